"""``nearfar ps``: what a running gateway holds; exit code 3 when there is none."""

from __future__ import annotations

from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli


def test_loaded_models_and_resting_deployments(cli: Cli, server: serving.Server, cloud: stand_in.Running) -> None:
    cli.environ["NEARFAR_URL"] = server.url
    assert cli("run", "near", "hello", "--max-tokens", "2").code == 0
    shown = cli("ps", "--json").json
    (row,) = [item for item in shown["models"] if item["model"] == "tiny-chat"]
    assert (row["state"], row["in_flight"]) == ("ready", 0)
    assert row["pid"] > 0
    assert row["rss_bytes"] > 0
    assert "tiny-chat" in cli("ps", "-q").out.split()
    assert "ready" in cli("ps").out


def test_no_gateway(cli: Cli) -> None:
    result = cli("ps", "--url", "http://127.0.0.1:1")
    assert (result.code, result.out) == (3, "")
    assert "nearfar serve" in result.err


def test_an_address_that_is_somebody_elses(cli: Cli, cloud: stand_in.Running) -> None:
    result = cli("ps", "--url", cloud.url)
    assert result.code == 1
    assert result.err.startswith("error: ")
