"""``nearfar providers``: what is known, and which keys are there by name."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli

from nearfar.cli import look
from nearfar.core.routing import Capability
from nearfar.providers import registry
from nearfar.settings.load import load


def test_ls(cli: Cli) -> None:
    shown = cli("providers", "ls", "--json", ANTHROPIC_API_KEY="sk-hunter2")
    rows = {row["name"]: row for row in shown.json["providers"]}
    assert set(rows) == set(registry.names())
    assert rows["anthropic"]["key_found"] == ["ANTHROPIC_API_KEY"]
    assert rows["openai"]["key_found"] == []
    assert rows["embedded"]["place"] == "device"
    assert rows["embedded"]["evidence"]["label"] == "live"
    assert rows["gpt4all"]["evidence"] == {
        "label": registry.find("gpt4all").evidence.label,
        "what": registry.find("gpt4all").evidence.what,
    }
    assert {"chat", "embeddings"} <= set(rows["openai"]["operations"])
    assert rows["openai"]["wires"]["chat"] == "openai.chat"
    assert rows["vllm"]["capabilities"]["seed"] == {"can": True, "source": "catalogue", "date": "2026-11-22"}
    assert rows["tgi"]["ports"] == [8080, 3000]
    assert "hunter2" not in shown.out
    assert cli("providers", "ls", "-q").out.split() == registry.names()
    table = cli("providers", "ls", ANTHROPIC_API_KEY="sk-hunter2").out
    assert "ANTHROPIC_API_KEY found" in table
    row = {line.split()[0]: " ".join(line.split()[1:]) for line in table.splitlines() if line.strip()}
    assert "device if proven" in row["ollama"]
    assert "device if proven" not in row["vllm"], "its answers cannot prove where its weights are"
    assert row["sagemaker"].endswith("AWS credentials")
    assert row["vertex-ai"].endswith("Google credentials")
    assert row["embedded"].endswith("none needed")
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
    tested = cli("providers", "test", "far", "--quick", "--url", server.url)
    assert tested.out.startswith("ok: far (cloud)")
    cloud.behave("401", times=1)
    failed = cli("providers", "test", "far", "--url", server.url)
    assert failed.code == 1
    assert failed.err.startswith("error: ")


def test_a_quick_try_keeps_nothing(cli: Cli, server: serving.Server, cloud: stand_in.Running) -> None:
    cloud.behave()
    tested = cli("providers", "test", "far", "--quick", "--json", "--url", server.url).json
    assert tested["ok"]
    assert tested["capabilities"].keys() == {"streaming", "stream_usage"}
    assert not tested["kept"]


def test_what_was_found_is_kept_and_the_next_decision_knows_it(cli: Cli, stand_in: stand_in.Running) -> None:
    """The stand-in answers whatever it is asked, in words: it follows no schema and calls no tool."""
    text = f"""
[server]
port = 1  # no gateway listens there: a running one would be asked instead
[discovery]
loopback = false
keys = false
[deployments.far]
provider = "openai-compatible"
model = "stand-in-large"
base_url = "{stand_in.url}/v1"
price = {{ input = 2.5, output = 10 }}
"""
    config = cli.write(text)
    before = known(cli, config)
    assert "json_schema" not in before
    shown = cli("providers", "test", "far", "--config", config)
    assert shown.code == 0, shown.err
    assert "json_schema" in shown.out
    assert "answered without following the schema" in shown.out
    assert "tool_choice, json_schema go elsewhere or are refused" in shown.err
    assert "capabilities = { tool_choice = true, json_schema = true }" in shown.err
    after = known(cli, config)
    assert (after["json_schema"].can, after["json_schema"].source) == (False, "probed")
    assert after["streaming"].can is True
    assert "tools" not in after, "that it called none settles nothing"
    told = after["json_schema"]
    row = {"can": False, "source": "probed", "date": told.date}
    routes = {item["name"]: item for item in cli("route", "ls", "--json", "--config", config).json["routes"]}
    assert routes["far"]["deployments"][0]["capabilities"]["json_schema"] == row
    explained = ("route", "explain", "hello", "-m", "far", "--config", config)
    assert cli(*explained, "--json").json["capabilities"]["far"]["json_schema"] == row
    assert f"no json_schema, no long_prompt, no tool_choice (probed {told.date})" in cli(*explained).err
    kept = {item["what"]: item for item in cli("providers", "ls", "--json", "--config", config).json["probed"]}
    assert kept["json_schema"]["can"] is False
    assert "far was probed on" in cli("providers", "ls", "--config", config).err
    entries = cli("usage", "--config", config, "--json", "--by", "purpose").json
    assert "probe" in json.dumps(entries), "every probe stands in the ledger, under its purpose"
    other = cli.write(text.replace("stand-in-large", "another"), "other.toml")
    assert "json_schema" not in known(cli, other), "another model under the same name is another thing"
    unknown = cli("providers", "forget", "near", "--config", config)
    assert (unknown.code, "Known: far." in unknown.err) == (2, True)
    assert cli("providers", "forget", "far", "--config", config).out.startswith("forgot ")
    assert known(cli, config) == before
    assert cli("providers", "ls", "--json", "--config", config).json["probed"] == []
    assert "Nothing has been probed" in cli("providers", "forget", "far", "--config", config).err


def known(cli: Cli, config: str) -> dict[str, Capability]:
    """What the next decision would believe of the deployment ``far``."""
    loaded = load(config=Path(config), environ=cli.environ)

    async def scenario() -> dict[str, Capability]:
        async with look.gateway(loaded) as gateway:
            return gateway.fleet.snapshot.targets["far"].deployment.capabilities

    return asyncio.run(scenario())
