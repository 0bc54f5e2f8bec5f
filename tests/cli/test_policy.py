"""``nearfar policy``: what holds, with who said it; an owner's cases decide the exit code."""

from __future__ import annotations

import json

import pytest
from tests.cli.conftest import Cli

from nearfar.cli.policy import scanner
from nearfar.core.places import Class
from nearfar.policy import presets

CASES = """
[[case]]
name = "a record stays in the house"
text = "病患詹冠芬，身分證字號A123456789，病歷號：A40154823，主訴胸痛三天。"
header = "public"
expect = { class = "restricted", furthest = "lan", kinds = ["tw.national_id", "medical_record"], audit = true }

[[case]]
name = "full-width digits are digits"
body = { messages = [{ role = "user", content = "身分證字號Ａ１２３４５６７８９" }] }
deployments = ["cloud"]
expect = { refused = "pii_blocked" }

[[case]]
name = "a question that names nobody"
text = "什麼是糖尿病？"
header = "public"
expect = { class = "public", treatment = { cloud = "clear" } }
"""


def test_show_says_who_said_what(cli: Cli) -> None:
    config = cli.write('[policy]\npreset = "team"\nconfidential = "lan"\nharmless = ["02-2737-9999"]\n')
    told = cli("policy", "show", "--config", config, "--json").json
    assert (told["name"], told["default_class"], told["audit"]) == ("team (changed)", "internal", "confidential")
    assert told["classes"]["internal"]["masked"] == "cloud"
    assert told["classes"]["confidential"]["masked"] == "lan"
    assert told["origins"]["classes.internal.clear"] == "preset team"
    assert told["origins"]["classes.confidential.clear"] == f"file {config}:3"
    assert told["harmless"] == {"*": 1}
    shown = cli("policy", "show", "--config", config)
    assert shown.code == 0
    assert "02-2737" not in shown.out
    assert "Personal Data Protection Act" in shown.out
    assert "harmless values on every route: 1" in shown.out
    assert cli("policy", "show", "-q").out == "default\n"


@pytest.mark.parametrize("name", presets.NAMES)
def test_every_preset_can_be_shown_and_printed(cli: Cli, name: str) -> None:
    told = cli("policy", "show", "--set", f"policy.preset={name}", "--json").json
    assert told["name"] == name
    assert set(told["classes"]) == {item.label for item in Class}
    assert presets.parse(cli("policy", "presets", name).out.encode(), where=name) == presets.preset(name)
    assert cli("policy", "show", "--set", f"policy.preset={name}").out.startswith(f"{name}: ")


def test_presets_are_listed(cli: Cli) -> None:
    assert cli("policy", "presets", "-q").out.split() == list(presets.NAMES)
    assert [item["name"] for item in cli("policy", "presets", "--json").json["presets"]] == list(presets.NAMES)
    assert "tw-medical" in cli("policy", "presets").out
    unknown = cli("policy", "presets", "nobody")
    assert (unknown.code, "Use one of default, developer" in unknown.err) == (2, True)


def test_cases_that_hold(cli: Cli) -> None:
    file = cli.write(CASES, "cases.toml")
    done = cli("policy", "test", file, "--set", "policy.preset=tw-medical")
    assert done.code == 0, done.out + done.err
    assert done.out.count("ok  ") == 3
    assert "PDPA art. 6" in done.out
    told = cli("policy", "test", file, "--set", "policy.preset=tw-medical", "--json").json
    assert (told["cases"], told["failed"], told["policy"]) == (3, 0, "tw-medical")
    assert len(told["detectors"]) == 16


def test_a_case_that_does_not_hold_fails_the_run(cli: Cli) -> None:
    file = cli.write(CASES, "cases.toml")
    done = cli("policy", "test", file, "--set", "policy.detect=true")
    assert done.code == 1
    assert "FAIL  a record stays in the house" in done.out
    assert "✗ furthest is device, not lan" in done.out
    assert cli("policy", "test", file, "-q", "--set", "policy.detect=true").out == "a record stays in the house\n"


def test_a_policy_that_does_not_look_is_tested_as_it_is(cli: Cli) -> None:
    done = cli("policy", "test", cli.write(CASES, "cases.toml"))
    assert done.code == 1
    assert "a record stays in the house: public, runs at device" in done.out
    assert "does not look at content" in done.err


def test_cases_as_json_with_the_routes_of_the_configuration(cli: Cli) -> None:
    config = cli.write(
        """
[deployments.cloud]
provider = "openai-compatible"
base_url = "https://cloud.example/v1"
model = "m"
[routes.desk]
deployments = ["cloud"]
class = "internal"
harmless = ["desk@clinic.example"]
"""
    )
    case = {"name": "own address", "text": "desk@clinic.example", "route": "desk", "header": "public"}
    expect = {"class": "internal", "reason": "route"}
    file = cli.write(json.dumps({"case": [{**case, "expect": expect}]}), "cases.json")
    told = cli("policy", "test", file, "--config", config, "--set", "policy.detect=true", "--json").json
    assert (told["failed"], told["outcomes"][0]["harmless"], told["outcomes"][0]["kinds"]) == (0, 1, {})


@pytest.mark.parametrize(
    ("text", "why"), [("[[case]]\nname = 'x'", "neither text nor body"), ("case = 1", "not a file of cases")]
)
def test_a_wrong_file_is_a_usage_error(cli: Cli, text: str, why: str) -> None:
    done = cli("policy", "test", cli.write(text, "cases.toml"))
    assert done.code == 2
    assert why in done.err


def test_a_file_that_is_not_there(cli: Cli) -> None:
    assert cli("policy", "test", str(cli.home / "none.toml")).code == 2


def test_a_policy_that_cannot_be_used_is_said_at_once(cli: Cli) -> None:
    bad = cli.write("name = 'x'\ndate = 2026-11-22\n[classes.restricted]\nclear = 'cloud'\n", "policy.toml")
    done = cli("policy", "show", "--set", f"policy.file={bad}")
    assert done.code == 2
    assert "may not travel further" in done.err


def test_the_scan_counts_kinds_and_keeps_no_value() -> None:
    seen = scanner()("found", "a@b.example and a@b.example", ())
    assert (seen.part, seen.kinds) == ("found", {"email": 2})


def test_who_rewrites_is_shown_where_anything_is_rewritten(cli: Cli) -> None:
    line = "route that rewrites and merges: ward"
    policy = cli.write(
        'name = "own"\ndate = 2026-11-22\nextends = "team"\n[rewriting]\nroute = "ward"\n'
        '[classes.confidential]\nclear = "lan"\nrewritten = "cloud"\n',
        "policy.toml",
    )
    assert line in cli("policy", "show", "--set", f"policy.file={policy}").out
    told = cli("policy", "show", "--set", f"policy.file={policy}", "--json").json
    assert told["rewriting"] == {"route": "ward"}
    assert "rewrites" not in cli("policy", "show", "--set", "policy.preset=team").out


def test_a_policy_that_is_only_observed_is_shown_as_such(cli: Cli) -> None:
    sets = ("--set", "policy.preset=team", "--set", "policy.mode=observe")
    shown = cli("policy", "show", *sets)
    assert shown.code == 0
    assert "NOT ENFORCED" in shown.err
    assert cli("policy", "show", "--json", *sets).json["mode"] == "observe"
    assert cli("policy", "show", "--json").json["mode"] == "enforce"
    refused = cli("policy", "show", "--set", "policy.mode=observe")
    assert refused.code
    assert "nothing to observe" in refused.err


BODIES = {
    "openai.chat": {"messages": [{"role": "user", "content": [{"type": "text", "text": "身分證字號A123456789"}]}]},
    "openai.responses": {"input": [{"role": "user", "content": [{"type": "input_text", "text": "A123456789"}]}]},
    "openai.tools": {
        "messages": [
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"id":"A123456789"}'}}],
            }
        ]
    },
    "anthropic.messages": {"system": [{"type": "text", "text": "A123456789"}], "messages": []},
    "gemini.generate": {
        "contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"id": "A123456789"}}}]}]
    },
    "ollama.generate": {"prompt": "身分證字號 A１２３４５６７８９"},
    "bedrock.converse": {"messages": [{"role": "user", "content": [{"text": "A123456789"}]}]},
    "unknown members": {"x": {"y": [{"z": "A123456789"}]}},
}


@pytest.mark.parametrize("dialect", BODIES)
def test_a_body_of_any_dialect_is_read_as_the_gateway_reads_it(cli: Cli, dialect: str) -> None:
    expect = {"kinds": ["tw.national_id"], "class": "confidential"}
    case = {"name": dialect, "header": "public", "body": BODIES[dialect], "expect": expect}
    file = cli.write(json.dumps({"case": [case]}), "cases.json")
    done = cli("policy", "test", file, "--set", "policy.preset=team")
    assert done.code == 0, done.out


def test_history_and_media_of_a_body_count_as_what_they_are(cli: Cli) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {
        "messages": [
            {"role": "assistant", "content": "Your ID is A123456789."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        ]
    }
    expect = {"reason": "history: tw.national_id", "treatment": {"lan": "clear", "cloud": "never"}}
    case = {"name": "both", "header": "public", "body": body, "expect": expect}
    file = cli.write(json.dumps({"case": [case]}), "cases.json")
    assert cli("policy", "test", file, "--set", "policy.preset=team").code == 0
    blind = {"name": "a picture", "header": "internal", "body": body, "expect": {"treatment": {"cloud": "never"}}}
    file = cli.write(json.dumps({"case": [blind]}), "cases.json")
    assert cli("policy", "test", file, "--set", "policy.preset=team", "--set", "policy.detect=false").code == 0
    unread = {"name": "not JSON", "header": "public", "body": "{", "expect": {"furthest": "lan"}}
    file = cli.write(json.dumps({"case": [unread]}), "cases.json")
    assert cli("policy", "test", file, "--set", "policy.preset=team").code == 0
