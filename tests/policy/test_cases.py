"""An owner's cases: what is compared, what is refused as a case, and that the deciding is the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from nearfar.core.errors import GuardError, MaskingFailed
from nearfar.core.places import Class, Place
from nearfar.policy import presets
from nearfar.policy.cases import Case, Expect, Outcome, parse, run, strings
from nearfar.policy.classify import Seen
from nearfar.policy.rules import Rules
from nearfar.settings.model import Policy, Settings

WORDS = {"@": "email", "病歷": "medical_record", "A123456789": "tw.national_id"}


def rules(preset: Any = "team") -> Rules:
    return presets.rules(Settings(policy=Policy(preset=preset)))


def scan(part: str, text: str, harmless: Sequence[str]) -> Seen:
    """Stands for the scanner: finds three words."""
    if "boom" in text:
        raise GuardError("the detector broke")
    found = {kind: text.count(word) for word, kind in WORDS.items() if word in text and word not in harmless}
    return Seen(part=part, kinds=found, unknown=text.count("\x00"), harmless=sum(item in text for item in harmless))


def tried(preset: str = "team", **more: Any) -> Outcome:
    return run(msgspec.convert({"name": "x", **more}, Case), rules(preset), scan, routes={"desk": Class.CONFIDENTIAL})


def test_what_is_found_decides() -> None:
    made = tried(text="write to a@b", header="public")
    assert (made.class_, made.place, made.refused) == ("internal", "device", "")
    assert made.treatment == {"device": "clear", "lan": "clear", "private-cloud": "clear", "cloud": "masked"}
    assert made.furthest == "cloud"
    assert made.kinds == {"email": 1}


def test_the_strategy_orders_as_for_a_real_request() -> None:
    assert tried(text="hello", header="public", strategy="cloud-first").place == "cloud"
    assert tried(text="病歷", strategy="cloud-only").refused == "pii_blocked"


def test_every_part_of_a_request_counts() -> None:
    assert tried(text="hi", history=["病歷"]).class_ == "restricted"
    assert tried(text="hi", tool_results=["A123456789"]).class_ == "confidential"
    assert tried(text="hi", passages=["病歷"]).reasons[0].startswith("restricted: passage: medical_record")


@pytest.mark.parametrize(
    "body", ['{"messages":[{"content":"病歷"}]}', {"tools": [{"病歷": 1}]}, ["x", {"a": ["病歷"]}]]
)
def test_a_body_is_read_to_its_last_string(body: object) -> None:
    assert tried(body=body).class_ == "restricted"


def test_strings_come_in_order_with_their_keys() -> None:
    assert strings({"a": ["b", {"c": 1}], "d": "e"}) == ["a", "b", "c", "d", "e"]
    deep: Any = "end"
    for _ in range(5000):
        deep = [deep]
    assert strings(deep) == ["end"]


def test_route_caller_and_header() -> None:
    assert tried(text="hi", route="desk").class_ == "confidential"
    assert tried(text="hi", route="new", route_class="restricted").class_ == "restricted"
    assert tried(text="hi", caller="confidential", header="public").class_ == "confidential"
    with pytest.raises(ValueError, match="there is no route 'nowhere'"):
        tried(text="hi", route="nowhere")


def test_a_failed_detector_stays_near_or_is_refused() -> None:
    near = tried(text="boom", header="public")
    assert (near.class_, near.furthest, near.refused) == ("restricted", "lan", "")
    assert tried(text="boom", deployments=["cloud"]).refused == "guard_unavailable"
    assert tried(guard="hung", deployments=["cloud"]).refused == "guard_unavailable"


def test_media_elsewhere_and_what_cannot_be_masked() -> None:
    assert tried(text="hi", needs=["images"], deployments=["cloud"]).refused == "media_denied"
    assert tried(text="hi", elsewhere=["web_search"]).refused == "elsewhere_denied"
    named = tried("developer", text="hi", header="public", elsewhere=["web_search"])
    assert (named.class_, named.refused) == ("internal", ""), "it counts as what nobody could read"
    assert tried(text="a@b", masks=False).treatment["cloud"] == "never"
    assert tried("tw-medical", text="hi", header="internal", rewrites=True).treatment["cloud"] == "masked"


def test_harmless_values_raise_nothing_and_are_counted() -> None:
    made = tried(text="病歷", harmless=["病歷"], header="public")
    assert (made.class_, made.harmless) == ("public", 1)


@pytest.mark.parametrize(
    ("expect", "wrong"),
    [
        ({"class": "public"}, "class is internal, not public"),
        ({"furthest": "lan"}, "furthest is cloud, not lan"),
        ({"place": "cloud"}, "place is device, not cloud"),
        ({"treatment": {"cloud": "clear"}}, "treatment at cloud is masked, not clear"),
        ({"refused": True}, "is not refused"),
        ({"refused": "pii_blocked"}, "is refused with nothing, not pii_blocked"),
        ({"kinds": ["card"]}, "card was not found"),
        ({"reason": "card"}, "no reason says 'card'"),
        ({"audit": True}, "audit is nowhere, not True"),
    ],
)
def test_each_expectation_can_fail(expect: dict[str, Any], wrong: str) -> None:
    made = tried(text="a@b", expect=expect)
    assert not made.passed
    if "audit" not in expect:
        assert made.wrong == [wrong]


def test_what_comes_out_as_expected_passes() -> None:
    expect = {
        "class": "internal",
        "furthest": "cloud",
        "place": "device",
        "treatment": {"cloud": "masked"},
        "refused": False,
        "kinds": ["email"],
        "reason": "reaches a person",
        "audit": False,
    }
    assert tried(text="a@b", expect=expect).passed
    refused = tried(text="病歷", deployments=["cloud"], expect={"refused": False})
    assert refused.wrong == ["is refused (pii_blocked)"]
    assert tried(text="病歷", deployments=["cloud"], expect={"place": "cloud"}).wrong == ["place is nowhere, not cloud"]


TOML = b"""
[[case]]
name = "one"
text = "hi"
[case.expect]
class = "internal"
refused = "pii_blocked"
"""


def test_cases_are_read_from_toml_and_json() -> None:
    (case,) = parse(TOML, json=False)
    assert case.expect == Expect(class_="internal", refused="pii_blocked")
    data = b'{"case":[{"name":"one","text":"hi","expect":{"class":"internal","refused":"pii_blocked"}}]}'
    assert parse(data, json=True) == (case,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not a file of cases"),
        (b"case = []", "holds no"),
        (b"\xff", "not a file of cases"),
        (TOML.replace(b"text", b"txet"), "unknown field"),
        (TOML.replace(b'text = "hi"', b""), "neither text nor body"),
        (TOML.replace(b'"internal"', b'"secret"'), "case 'one': unknown class"),
        (TOML.replace(b"refused", b"furthest"), "unknown place"),
        (TOML + b'treatment = { cloud = "hidden" }', "unknown treatment"),
        (TOML.replace(b'text = "hi"', b'text = "hi"\nstrategy = "best"'), "unknown strategy"),
        (TOML.replace(b'text = "hi"', b'text = "hi"\ndeployments = ["moon"]'), "unknown place"),
    ],
)
def test_a_wrong_file_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text, json=False)


def test_whole_bodies_are_read_by_whoever_can() -> None:
    def look(body: bytes, harmless: Sequence[str], media: list[str]) -> list[Seen]:
        assert body == b'{"a":1}'
        assert harmless == ("mine",)
        media += ["messages[0].input_audio.data", "contents[0].inlineData.data"]
        return [Seen(part="history", kinds={"medical_record": 1})]

    case = msgspec.convert({"name": "x", "body": {"a": 1}, "harmless": ["mine"]}, Case)
    made = run(case, rules(), scan, look=look)
    assert made.class_ == "restricted"
    assert made.reasons[0].startswith("restricted: history: medical_record")
    assert made.treatment["lan"] == "clear"

    def broken(body: bytes, harmless: Sequence[str], media: list[str]) -> list[Seen]:
        raise MaskingFailed("no JSON")

    made = run(case, rules(), scan, look=broken)
    assert "guard: no JSON" in made.reasons[0]


def test_only_what_can_be_masked_can_be_rewritten() -> None:
    further = msgspec.structs.replace(rules(), rewritten=(Place.CLOUD,) * 4)
    for masks, form in ((True, "rewritten"), (False, "never")):
        case = msgspec.convert({"name": "x", "text": "病歷", "rewrites": True, "masks": masks}, Case)
        assert run(case, further, scan).treatment["cloud"] == form
