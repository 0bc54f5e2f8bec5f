"""Turns of one conversation are one number, other conversations are others, and nobody without the key can tell."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Request
from nearfar.gateway.beginnings import LONGEST, beginning

KEY = b"k" * 32
SYSTEM = {"role": "system", "content": "Be brief."}


def request(**fields: Any) -> Request:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    return Request(id="req-1", wire="openai.chat", operation="chat", model="m", body=b"", fields=raw)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@given(st.text(max_size=50), st.lists(st.text(max_size=20), max_size=5), st.booleans())
def test_every_turn_names_the_same_conversation(first: str, more: list[str], system: bool) -> None:
    start = [*([SYSTEM] if system else []), user(first)]
    number = beginning(request(messages=start), KEY)
    assert number > 0
    for turn in more:
        start = [*start, said("yes"), user(turn)]
        assert beginning(request(messages=start), KEY) == number


def test_other_words_and_other_keys_make_another_number() -> None:
    one = beginning(request(messages=[SYSTEM, user("one")]), KEY)
    assert one != beginning(request(messages=[SYSTEM, user("two")]), KEY)
    assert one != beginning(request(messages=[user("one")]), KEY)
    assert one != beginning(request(messages=[SYSTEM, user("one")]), b"x" * 32)


def test_every_dialect_has_its_beginning() -> None:
    anthropic = request(system="Be brief.", messages=[user("hello")])
    gemini = request(systemInstruction={"parts": []}, contents=[{"role": "user", "parts": [{"text": "hello"}]}])
    responses = request(instructions="Be brief.", input="hello")
    completions = request(prompt="Once upon a time")
    numbers = {beginning(item, KEY) for item in (anthropic, gemini, responses, completions)}
    assert len(numbers) == 4
    assert 0 not in numbers


def test_a_client_may_name_its_conversation_itself() -> None:
    one = request(prompt_cache_key="c-1", messages=[user("one")])
    two = request(prompt_cache_key="c-1", messages=[user("two")])
    assert beginning(one, KEY) == beginning(two, KEY)


def test_only_the_beginning_of_long_parts_counts() -> None:
    long = "a" * LONGEST
    assert beginning(request(messages=[user(long + "x")]), KEY) == beginning(request(messages=[user(long + "y")]), KEY)


def test_nothing_has_no_beginning() -> None:
    assert beginning(request(), KEY) == 0
    assert beginning(request(messages=[]), KEY) == 0
