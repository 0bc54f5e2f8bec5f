"""What is planted is right, and what is looked for is found in every form."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest

from nearfar.cli import verify_corpus
from nearfar.cli.verify_corpus import Haystack, canaries, spots
from nearfar.policy import presets
from nearfar.privacy.names import Names
from nearfar.privacy.scan import Scanner
from nearfar.settings.model import Policy, Settings


def test_every_canary_is_one_that_the_scanner_finds() -> None:
    planted, short = canaries(presets.rules(Settings(policy=Policy(preset="team"))))
    scanner = Scanner(detectors=(Names.shipped(),))
    assert len(planted) > 100
    assert all(name == "card.code" or ".zh" in name for name in short), "illnesses in Chinese have few characters"
    for canary in planted:
        found = scanner.scan(canary.text).findings
        for value in canary.values:
            start = canary.text.index(value)
            assert any(each.start < start + len(value) and start < each.end for each in found), canary.kind


def test_what_the_owner_lets_go_is_not_planted_and_what_the_policy_lets_go_is_marked() -> None:
    mine = presets.rules(Settings(policy=Policy(preset="developer", harmless=("A123456789",))))
    planted, _ = canaries(mine)
    by_kind = {canary.kind: canary for canary in planted}
    assert "tw.national_id" not in by_kind
    assert by_kind["email"].allowed
    assert not by_kind["card"].allowed


VALUE = "mei.lin@example.org"


@pytest.mark.parametrize(
    "data",
    [
        VALUE.encode(),
        VALUE.upper().encode(),
        "ｍｅｉ．ｌｉｎ＠ｅｘａｍｐｌｅ．ｏｒｇ".encode(),
        "mei.\u200blin@exam ple.org".encode(),
        urllib.parse.quote(VALUE, safe="").encode(),
        "".join(f"\\u{ord(char):04x}" for char in VALUE).encode(),
        json.dumps("".join(f"\\u{ord(char):04x}" for char in VALUE)).encode(),
        VALUE.encode().hex().encode(),
        VALUE.encode().hex().upper().encode(),
        *(base64.b64encode(b"x" * skip + VALUE.encode() + b"yz") for skip in range(4)),
    ],
)
def test_a_value_is_found_in_every_form(data: bytes) -> None:
    assert Haystack(b"before " + data + b" after").holds(VALUE)


def test_and_not_where_it_is_not() -> None:
    assert not Haystack(b'mei.lin at example.org \\u12 \\"').holds(VALUE)
    assert Haystack("身分證 \\u738b\\u5c0f\\u660e".encode()).holds("王小明")


def test_each_spot_holds_its_text_once_and_all_dialects_are_there() -> None:
    seen = set()
    for spot in spots():
        path, body = spot.filled("a-route", 'CANARY "x"')
        decoded = json.loads(body)
        assert json.dumps(decoded).count("CANARY") == 1, spot
        assert verify_corpus.ROUTE not in path + body.decode()
        assert "a-route" in path or decoded["model"] == "a-route"
        seen.add((spot.dialect, spot.place, spot.stream))
    assert len(seen) == len(spots()) == 2 * (5 * 8 + 7) + 2


def test_questions_have_no_tools_and_hold_their_text_once() -> None:
    found = verify_corpus.questions()
    assert {(spot.dialect, spot.stream) for spot in found} == {
        (dialect, stream) for dialect in ("chat", "messages", "gemini") for stream in (False, True)
    }
    for spot in found:
        path, body = spot.filled("a-route", "the text of it")
        assert body.count(b"the text of it") == 1
        assert b"tools" not in body
        assert ("stream" in path.lower()) is (spot.stream and spot.dialect == "gemini")
