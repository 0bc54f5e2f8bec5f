"""A history that another account of Google's signed goes without its signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import SignatureRefused
from nearfar.wire.gemini_generate_failures import gemini_error
from nearfar.wire.gemini_generate_members import SKIP
from nearfar.wire.gemini_generate_signatures import unsigned


def sent(*parts: Any, role: str = "model") -> bytes:
    return json.dumps({"contents": [{"role": role, "parts": list(parts)}], "generationConfig": {"seed": 7}}).encode()


def parts(body: bytes) -> list[Any]:
    value = json.loads(body)
    assert value["generationConfig"] == {"seed": 7}
    found: list[Any] = value["contents"][0]["parts"]
    return found


CALL = {"name": "f", "args": {"x": 1}}


@pytest.mark.parametrize("spelling", ["thoughtSignature", "thought_signature"])
def test_thoughts_and_words_go_without_and_the_first_call_of_a_turn_has_googles_word(spelling: str) -> None:
    body = sent(
        {"text": "hm", "thought": True, spelling: "AAA"},
        {"functionCall": CALL, spelling: "BBB"},
        {"functionCall": CALL},
        {"text": "so", spelling: "CCC"},
    )
    assert parts(unsigned(body)) == [
        {"text": "hm", "thought": True},
        {"functionCall": CALL, "thoughtSignature": SKIP},
        {"functionCall": CALL},
        {"text": "so"},
    ]


def test_a_call_that_nobody_signed_gets_googles_word() -> None:
    assert parts(unsigned(sent({"function_call": CALL}))) == [{"function_call": CALL, "thoughtSignature": SKIP}]


def test_one_object_in_place_of_a_list() -> None:
    body = b'{"contents":{"parts":{"text":"x","thoughtSignature":"A"}}}'
    assert json.loads(unsigned(body)) == {"contents": {"parts": {"text": "x"}}}


@pytest.mark.parametrize("body", [sent({"text": "x"}), sent({"functionCall": CALL, "thoughtSignature": SKIP}), b"[]"])
def test_what_needs_no_change_is_the_very_same(body: bytes) -> None:
    assert unsigned(body) is body


@given(st.lists(st.sampled_from([{"text": "t"}, {"functionCall": CALL}, {"inlineData": {"data": "AA"}}]), max_size=5))
def test_once_is_enough(items: list[dict[str, Any]]) -> None:
    signed = [{**item, "thoughtSignature": f"S{at}"} for at, item in enumerate(items)]
    once = unsigned(sent(*signed))
    assert unsigned(once) is once
    bare = [{name: value for name, value in part.items() if name != "thoughtSignature"} for part in parts(once)]
    assert bare == items


@pytest.mark.parametrize(
    "message",
    [
        "Corrupted thought signature.",
        "Function call is missing a thought_signature in functionCall parts.",
        "Thought signature is not valid.",
    ],
)
def test_googles_refusals_are_known(message: str) -> None:
    body = json.dumps({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}).encode()
    error = gemini_error(400, {}, body)
    assert isinstance(error, SignatureRefused)
    assert (error.status, error.code, error.moves_on, error.cools_down) == (400, "signature_refused", True, False)
    assert not isinstance(gemini_error(403, {}, body), SignatureRefused)
