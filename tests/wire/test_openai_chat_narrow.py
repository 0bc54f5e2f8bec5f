import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.conversation import Conversation, Message, Reasoning, Text
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.deviations import Deviations
from nearfar.wire.openai_chat_narrow import Members, Takes, narrow, one_limit, sayable, schema_of

TAKES = Takes(system="It", members=frozenset({"messages", "seed"}), refused=frozenset({"tools", "n", "stop"}))
THERE = Deployment(name="d", provider="p", model="m", wire="w", base_url="http://x", place=Place.LAN)


def raw(**values: Any) -> Members:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def narrowed(**values: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    note = Deviations()
    kept = narrow(raw(**values), TAKES, note)
    return {name: json.loads(bytes(value)) for name, value in kept.items()}, note.all()


def test_what_it_takes_goes_out_and_what_it_does_not_is_told() -> None:
    assert narrowed(messages=[1], seed=7, user="u", logit_bias={"1": 2}) == (
        {"messages": [1], "seed": 7},
        ("dropped:user", "dropped:logit_bias"),
    )


@pytest.mark.parametrize("values", [{"tools": [{}]}, {"n": 2}, {"stop": ["x"]}, {"stop": "x"}])
def test_what_the_answer_depends_on_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="It has no ") as caught:
        narrowed(**values)
    assert (caught.value.code, caught.value.param) == ("unsupported", next(iter(values)))


def test_what_asks_for_nothing_is_left_out_without_a_word() -> None:
    silent = {
        "tools": [],
        "n": 1,
        "stop": None,
        "logprobs": False,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "parallel_tool_calls": True,
        "store": False,
        "metadata": {},
        "user": "",
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "service_tier": "auto",
    }
    assert narrowed(**silent) == ({}, ())


@given(st.dictionaries(st.sampled_from(["user", "store", "seed", "n", "tools", "x"]), st.integers(0, 3)))
def test_nothing_gets_lost_in_silence(values: dict[str, int]) -> None:
    refused = values.keys() & {"tools"} or values.get("n", 1) != 1
    if refused:
        with pytest.raises(BadRequestError, match="It has no "):
            narrowed(**values)
        return
    kept, told = narrowed(**values)
    for name, value in values.items():
        assert name in kept or f"dropped:{name}" in told or (name, value) == ("n", 1)


def limited(**values: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    note, members = Deviations(), raw(**values)
    one_limit(members, "max_tokens", otherwise=99, note=note)
    return {name: json.loads(bytes(value)) for name, value in members.items()}, note.all()


def test_one_limit_of_two_names() -> None:
    assert limited(max_tokens=5) == ({"max_tokens": 5}, ())
    assert limited(max_completion_tokens=6) == ({"max_tokens": 6}, ())
    assert limited(max_tokens=5, max_completion_tokens=6) == ({"max_tokens": 6}, ())
    assert limited(max_tokens=5, max_completion_tokens=None) == ({"max_tokens": 5}, ())
    assert limited(max_tokens=None) == ({"max_tokens": 99}, ("default:max_tokens=99",))


def test_no_limit_where_none_is_needed() -> None:
    members = raw(x=1)
    one_limit(members, "max_tokens", otherwise=None, note=Deviations())
    assert members.keys() == {"x"}


def test_schemas() -> None:
    wanted = {"type": "object", "properties": {"a": {"type": "string"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": wanted, "strict": True}}
    found = schema_of(raw(response_format=shape))
    assert found is not None
    assert json.loads(bytes(found)) == wanted
    any_object = schema_of(raw(response_format={"type": "json_object"}))
    assert any_object is not None
    assert json.loads(bytes(any_object)) == {"type": "object"}
    assert schema_of(raw(response_format={"type": "text"})) is None
    assert schema_of({}) is None
    for odd in ({"type": "grammar"}, {"type": "json_schema"}, "json"):
        with pytest.raises(BadRequestError, match="cannot follow"):
            schema_of(raw(response_format=odd))


def test_another_dialects_conversation_is_made_sayable_and_that_is_told() -> None:
    request = openai_chat.parse(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', "r")
    thoughts = Conversation(messages=[Message(role="assistant", blocks=[Reasoning(signature="s"), Text(text="a")])])
    note = Deviations()
    assert sayable(request, THERE, thoughts, note) is thoughts
    assert note.all() == ()
    request.wire = "anthropic.messages"
    assert sayable(request, THERE, thoughts, note).messages[0].blocks == [Text(text="a")]
    assert note.all() == ("dropped:reasoning",)
