"""``nearfar providers``: what is known, and which keys are there by name."""

from __future__ import annotations

from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli

from nearfar.providers import registry


def test_ls(cli: Cli) -> None:
    shown = cli("providers", "ls", "--json", ANTHROPIC_API_KEY="sk-hunter2")
    rows = {row["name"]: row for row in shown.json["providers"]}
    assert set(rows) == set(registry.names())
    assert rows["anthropic"]["key_found"] == ["ANTHROPIC_API_KEY"]
    assert rows["openai"]["key_found"] == []
    assert rows["embedded"]["place"] == "device"
    assert "hunter2" not in shown.out
    assert cli("providers", "ls", "-q").out.split() == registry.names()
    table = cli("providers", "ls", ANTHROPIC_API_KEY="sk-hunter2").out
    assert "ANTHROPIC_API_KEY found" in table
    assert "hunter2" not in table


def test_discover_finds_a_runtime_and_whether_its_weights_are_here(cli: Cli, cloud: stand_in.Running) -> None:
    shown = cli("providers", "discover", "--json", OLLAMA_HOST=cloud.url).json
    (runtime,) = [item for item in shown["runtimes"] if item["provider"] == "ollama"]
    assert runtime["base_url"] == cloud.url
    assert runtime["models"]
    assert not any(model["local_weights"] for model in runtime["models"])
    assert "not proven" in cli("providers", "discover", OLLAMA_HOST=cloud.url).out
    assert "ollama" in cli("providers", "discover", "-q", OLLAMA_HOST=cloud.url).out.split()


def test_a_runtime_on_another_machine_is_not_asked(cli: Cli) -> None:
    """The network guard of the tests would end this one if it were. Its weights would not be on this machine."""
    shown = cli("providers", "discover", "--json", OLLAMA_HOST="http://192.0.2.7:11434").json
    assert "ollama" not in [item["provider"] for item in shown["runtimes"]]


def test_what_is_declared_does_not_stand_in_the_way(cli: Cli, cloud: stand_in.Running) -> None:
    text = '[deployments.a]\nprovider = "openai"\nmodel = "m"\nkey = "env:NOT_THERE"\n'
    found = cli("providers", "discover", "-q", "--config", cli.write(text), OLLAMA_HOST=cloud.url)
    assert "ollama" in found.out.split()


def test_discover_finds_nothing(cli: Cli) -> None:
    result = cli("providers", "discover", "--set", "discovery.loopback=false")
    assert result.code == 0
    assert "No runtime answers" in result.err


def test_one_deployment(cli: Cli, server: serving.Server, cloud: stand_in.Running) -> None:
    tested = cli("providers", "test", "far", "--url", server.url)
    assert tested.out.startswith("ok: far (cloud)")
    cloud.behave("401", times=1)
    failed = cli("providers", "test", "far", "--url", server.url)
    assert failed.code == 1
    assert failed.err.startswith("error: ")
