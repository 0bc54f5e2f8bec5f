"""``nearfar route``: what can be asked for, and the decision without the request; nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tests import stand_in
from tests.cli import serving
from tests.cli.conftest import Cli
from tests.cli.terminal import terminal
from tests.parts.test_routers import fitted


@pytest.fixture
def configured(cli: Cli, tiny_gguf: Path) -> Cli:
    assert cli("models", "add", str(tiny_gguf)).code == 0
    cli.environ["NEARFAR_CONFIG"] = str(serving.write_config(cli.home, "https://cloud.example"))
    return cli


def test_the_order_and_its_reasons(configured: Cli) -> None:
    told = configured("route", "explain", "hello", "-m", "far-first", "--json").json
    assert [item["deployment"] for item in told["ranked"]] == ["far", "near"]
    assert told["ranked"][0]["upper_bound"] > told["ranked"][1]["upper_bound"] == 0
    assert (told["class"], told["class_reason"], told["rejected"]) == ("internal", "default", [])
    assert configured("route", "explain", "hello", "-m", "near-first", "-q").out == "near\nfar\n"


def test_what_is_rejected_and_why(configured: Cli) -> None:
    told = configured("route", "explain", "hello", "-m", "private", "--json").json
    assert [item["deployment"] for item in told["ranked"]] == ["near"]
    assert [(item["deployment"], item["code"]) for item in told["rejected"]] == [("far", "place")]
    text = configured("route", "explain", "word " * 5000, "-m", "near-first").out
    assert "do not fit a context of 2048" in text


def test_what_the_question_holds_is_looked_at(configured: Cli) -> None:
    question = "身分證字號A123456789的客戶想改約"
    asked = ("route", "explain", question, "-m", "near-first", "--set", "policy.preset=team")
    told = configured(*asked, "--json").json
    assert (told["class"], told["class_reason"], told["policy"]) == ("confidential", "found tw.national_id", "team")
    assert [(item["deployment"], item["treatment"]) for item in told["ranked"]] == [
        ("near", "clear"),
        ("far", "masked"),
    ]
    assert any("identifies one person" in item["reason"] for item in told["reasons"])
    assert told["audit"] is True
    shown = configured(*asked)
    assert "confidential: found: tw.national_id" in shown.out
    assert "a record must be on the disk" in shown.out
    assert "A123456789" not in shown.out
    blocked = configured("route", "explain", "病歷號：A40154823", "-m", "far", "--set", "policy.preset=team")
    assert blocked.code == 1
    assert "restricted: found: medical_record" in blocked.out


def test_nothing_allowed_exits_with_1(configured: Cli) -> None:
    result = configured("route", "explain", "hello", "-m", "far", "--class", "restricted")
    assert result.code == 1
    assert "stays at device" in result.out


def test_nothing_is_written(configured: Cli) -> None:
    temporary = configured.home / "t"
    temporary.mkdir()
    assert configured("route", "explain", "hello", TMPDIR=str(temporary)).code == 0
    assert os.listdir(temporary) == []
    assert not (configured.home / ".local/state").exists()


def test_an_unknown_model(configured: Cli) -> None:
    result = configured("route", "explain", "hello", "-m", "near-frist")
    assert result.code == 1
    assert "near-first" in result.err


KEYLESS = """
[discovery]
loopback = false
keys = false
[deployments.far]
provider = "openai-compatible"
model = "m"
base_url = "http://127.0.0.1:9/v1"
key = "env:NO_SUCH_KEY"
[deployments.here]
provider = "embedded"
model = "tiny-chat"
[routes.mixed]
deployments = ["far", "here"]
[routes.secret]
deployments = ["far", "here"]
class = "restricted"
"""


def listed(cli: Cli, *args: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in cli("route", "ls", "--json", *args).json["routes"]}


def test_every_name_that_can_be_asked_for(cli: Cli, tiny_gguf: Path) -> None:
    cli("models", "add", str(tiny_gguf))
    cli.environ |= {"NEARFAR_CONFIG": cli.write(KEYLESS), "NEARFAR_SERVER__PORT": "1"}
    rows = listed(cli)
    assert list(rows) == ["auto", "local", "cloud", "far", "here", "tiny-chat", "demo-tiny", "mixed", "secret"]
    usable = {name: row["usable"] for name, row in rows.items()}
    assert usable == dict.fromkeys(rows, True) | {"cloud": False, "far": False}
    far, here = rows["mixed"]["deployments"]
    assert (far["place"], far["code"], far["trouble"]) == (
        "cloud",
        "unusable",
        "the key at env:NO_SUCH_KEY is empty or not set",
    )
    assert (here["place"], here["usable"], rows["mixed"]["strategy"]) == ("device", True, "local-first")
    assert rows["secret"]["deployments"][0]["code"] == "place", "the reason that a key would not mend comes first"
    shown = cli("route", "ls")
    lines = {line.split()[0]: line for line in shown.out.splitlines()}
    assert "far (cloud, unusable), here (device)" in lines["mixed"]
    assert "1 of 2" in lines["mixed"]
    assert lines["far"].split() == ["far", "no", "local-first", "cloud"]
    assert "far: the key at env:NO_SUCH_KEY is empty or not set" in shown.err
    assert cli("route", "ls", "-q").out.split() == list(rows)


def test_what_a_strategy_leaves_out_is_not_listed_whatever_else_it_lacks(cli: Cli) -> None:
    embeds = '[deployments.embeds]\nprovider = "openai-compatible"\nmodel = "e"\nbase_url = "http://127.0.0.1:9/v1"\n'
    cli.environ |= {"NEARFAR_CONFIG": cli.write(KEYLESS + embeds + 'operations = ["embeddings"]\n')}
    cli.environ |= {"NEARFAR_SERVER__PORT": "1"}
    here = "deployments.here.model=demo-tiny"
    lines = {line.split()[0]: line for line in cli("route", "ls", "--set", here).out.splitlines()}
    assert lines["local"].split() == ["local", "yes", "local-only", "here", "(device)"]
    assert "embeds (cloud, unusable)" in lines["cloud"]


def test_a_model_that_is_not_there_makes_its_deployment_unusable(cli: Cli) -> None:
    cli.environ |= {"NEARFAR_CONFIG": cli.write(KEYLESS), "NEARFAR_SERVER__PORT": "1"}
    shown = cli("route", "ls")
    assert "far (cloud, unusable), here (device, unusable)" in shown.out
    assert "here: there is no local model 'tiny-chat'" in shown.err


def test_a_running_gateway_lists_what_it_knows(cli: Cli, server: serving.Server) -> None:
    rows = listed(cli, "--url", server.url)
    assert {"near", "far", "near-first", "private"} <= set(rows)
    assert rows["near"]["usable"] is True
    refused = cli("route", "ls", "--url", "http://127.0.0.1:1")
    assert (refused.code, refused.out) == (3, "")


def test_a_list_that_is_somebody_elses(cli: Cli, cloud: stand_in.Running) -> None:
    result = cli("route", "ls", "--url", cloud.url)
    assert result.code in {0, 1}, "OpenAI's shape alone is enough"
    assert "Traceback" not in result.err


def test_on_eighty_columns_no_word_is_broken(cli: Cli) -> None:
    name = "meta-llama-3.3-70b-instruct-q4_k_m-of-the-other-machine"
    long = KEYLESS.replace("[deployments.far]", f'[deployments."{name}"]').replace('"far"', f'"{name}"')
    environ = {**cli.environ, "NEARFAR_CONFIG": cli.write(long), "NEARFAR_SERVER__PORT": "1"}
    with terminal("route", "ls", environ=environ) as shown:
        assert shown.ended() == 0
    lines = shown.screen.splitlines()
    table = lines[: 1 + next(i for i, line in enumerate(lines) if line.startswith("secret"))]
    assert all(cell_len(line) <= 80 for line in table)
    assert name in shown.screen


def test_what_would_be_masked_is_told_by_kind_and_count(configured: Cli) -> None:
    question = "write to mei@example.org and lin@example.org"
    asked = ("route", "explain", question, "-m", "near-first", "--set", "policy.preset=team")
    shown = configured(*asked).out
    assert "for far: masked before it leaves: email (2)" in shown
    told = configured(*asked, "--json")
    assert told.json["found"] == {"kinds": {"email": 2}, "unknown": 0, "harmless": 0}
    assert told.json["observed"] is None
    assert "mei@" not in shown + told.out


def test_what_would_be_rewritten_is_told_with_who_would_do_it(configured: Cli) -> None:
    policy = configured.write(
        'name = "own"\ndate = 2026-11-22\nextends = "team"\n[rewriting]\nroute = "near-first"\n'
        '[classes.confidential]\nclear = "lan"\nmasked = "lan"\nrewritten = "cloud"\nmedia = "lan"\n',
        "policy.toml",
    )
    asked = ("route", "explain", "身分證字號A123456789", "-m", "near-first", "--set", f"policy.file={policy}")
    assert configured(*asked, "-q").out == "near\nfar\n"
    shown = configured(*asked).out
    assert "for far: rewritten by a near model of route near-first, without: tw.national_id (1)" in shown
    assert "rewritten" in configured(*asked, "--json").json["ranked"][1]["treatment"]


def test_a_policy_that_is_only_observed_is_explained_beside_the_one_that_holds(configured: Cli) -> None:
    sets = ("--set", "policy.preset=tw-medical", "--set", "policy.mode=observe")
    asked = ("route", "explain", "病歷號：A40154823", "-m", "far", *sets)
    told = configured(*asked, "--json").json
    assert (told["policy"], told["class"], told["found"]["kinds"]) == ("default", "internal", {})
    assert [item["deployment"] for item in told["ranked"]] == ["far"]
    assert (told["observed"]["policy"], told["observed"]["class"]) == ("tw-medical", "restricted")
    assert told["observed"]["ranked"] == []
    shown = configured(*asked)
    assert shown.code == 0
    assert "Policy tw-medical is only observed and NOT ENFORCED" in shown.out


def test_what_a_learned_router_says_is_told(cli: Cli) -> None:
    fitted(cli.home / "r.npz", count=240)
    config = """
[deployments.near]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "m"
place = "device"
[deployments.far]
provider = "openai-compatible"
base_url = "http://127.0.0.1:2/v1"
model = "m"
[routes.r]
deployments = ["near", "far"]
router = { file = "r.npz", threshold = 0.3, mode = "on" }
"""
    cli.environ["NEARFAR_CONFIG"] = cli.write(config)
    hard = "What about the matrix integral matrix proof proof lemma, number 300 of 0?"
    told = cli("route", "explain", hard, "-m", "r", "--json").json
    assert [item["deployment"] for item in told["ranked"]] == ["far", "near"]
    assert (told["router"]["side"], told["router"]["follows"], told["router"]["threshold"]) == ("far", True, 0.3)
    assert told["router"]["gap"] > 0.3
    shown = cli("route", "explain", hard, "-m", "r")
    assert "router: far first, gap +0." in shown.out
    easy = cli("route", "explain", "What about the cat dog cat bird fish dog, number 302 of 0?", "-m", "r", "-q")
    assert easy.out == "near\nfar\n"
    sealed = cli("route", "explain", hard, "-m", "r", "--class", "restricted", "--json").json
    assert ([item["deployment"] for item in sealed["ranked"]], sealed["router"]) == (["near"], None)
    observed = cli("route", "explain", hard, "-m", "r", "--set", "routes.r.router.mode=observe")
    assert "observed only" in observed.out
    other = cli("route", "explain", "Wo gibt es am Donnerstag eine Suppe?", "-m", "r")
    assert "router not followed: the prompt is unlike its labels" in other.out
