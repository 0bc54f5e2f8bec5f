"""``nearfar ps``: what a running gateway holds; exit code 3 when there is none."""

from __future__ import annotations

from pathlib import Path

from tests import running, stand_in
from tests.cli import serving
from tests.cli.conftest import Cli
from tests.fake_ollama import beside


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


def test_models_of_other_runtimes(cli: Cli, tmp_path: Path) -> None:
    with beside({"llama3.2:latest": 8192}) as fake:
        near = f'[deployments.near]\nprovider = "ollama"\nmodel = "llama3.2"\nbase_url = "{fake.url}"\n'
        with running.gateway(tmp_path / "gateway", near) as gateway:
            cli.environ["NEARFAR_URL"] = gateway.url
            assert cli("ps", "-q").out.split()[-1] == "near"
            assert "cold" in cli("ps").out
            loaded = cli("models", "load", "near")
            assert (loaded.code, loaded.out) == (0, "near is loaded, 4096 tokens of context\n")
            (row,) = cli("ps", "--json").json["runtimes"]
            assert (row["deployment"], row["provider"], row["state"]) == ("near", "ollama", "loaded")
            assert cli("models", "unload", "near", "--json").json == {"unloaded": "near"}
            again = cli("models", "unload", "near")
            assert (again.code, again.out) == (1, "")
            assert "not loaded" in again.err


def test_no_gateway(cli: Cli) -> None:
    result = cli("ps", "--url", "http://127.0.0.1:1")
    assert (result.code, result.out) == (3, "")
    assert "nearfar serve" in result.err


def test_an_address_that_is_somebody_elses(cli: Cli, cloud: stand_in.Running) -> None:
    result = cli("ps", "--url", cloud.url)
    assert result.code == 1
    assert result.err.startswith("error: ")
