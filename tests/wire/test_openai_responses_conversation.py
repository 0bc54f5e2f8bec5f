"""What a Responses request says in the words of a Conversation."""

import base64
import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.conversation import Conversation, Media, Reasoning, Refusal, Text, ToolCall, ToolResult
from nearfar.core.errors import BadRequestError
from nearfar.wire.openai_responses_conversation import SEAL, Seal, conversation, sealed, unsealed
from nearfar.wire.openai_responses_parse import ITEMS, parse

FUNCTION = {"type": "function", "name": "f", "parameters": {}}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "rain"}


def said(**members: Any) -> Conversation:
    return conversation(parse(json.dumps({"model": "m", "input": "hi", **members}).encode(), "req-1"))


def turns(found: Conversation) -> list[tuple[str, list[Any]]]:
    return [(message.role, message.blocks) for message in found.messages]


def test_text_and_instructions() -> None:
    found = said(instructions="Be brief.")
    assert turns(found) == [("system", [Text(text="Be brief.")]), ("user", [Text(text="hi")])]
    assert found.extra == {}
    assert found.deviations == ()


def test_a_turn_of_the_assistant_is_one_message() -> None:
    items = [
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]},
        {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        CALL,
        {**CALL, "call_id": "c2", "arguments": ""},
        RESULT,
        {**RESULT, "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    found = said(input=items, tools=[FUNCTION])
    assert turns(found) == [
        ("developer", [Text(text="d")]),
        ("user", [Text(text="u")]),
        (
            "assistant",
            [
                Reasoning(text="r", vendor="reasoning_content"),
                Text(text="a"),
                ToolCall(id="c1", name="f", arguments='{"a":1}'),
                ToolCall(id="c2", name="f", arguments="{}"),
            ],
        ),
        (
            "tool",
            [
                ToolResult(id="c1", content=[Text(text="rain")]),
                ToolResult(id="c2", content=[Text(text="sun")]),
            ],
        ),
        ("assistant", [Refusal(text="no")]),
    ]


def test_words_after_a_call_are_a_new_turn() -> None:
    found = said(input=[CALL, {"role": "assistant", "content": "more"}])
    assert [role for role, _ in turns(found)] == ["assistant", "assistant"]


def test_media() -> None:
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BB=="},
        {"type": "input_audio", "input_audio": {"data": "CC==", "format": "wav"}},
    ]
    [(_, blocks)] = turns(said(input=[{"role": "user", "content": parts}]))
    low, far, pdf, sound = blocks
    assert isinstance(low, Media)
    assert (low.mime, low.data, bytes(low.extra["detail"])) == ("image/png", "AA==", b'"low"')
    assert far == Media(kind="image", url="https://x/y.png")
    assert isinstance(pdf, Media)
    assert (pdf.kind, pdf.mime, pdf.data, bytes(pdf.extra["title"])) == (
        "document",
        "application/pdf",
        "BB==",
        b'"a.pdf"',
    )
    assert sound == Media(kind="audio", mime="audio/wav", data="CC==")


def test_settings() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    found = said(
        max_output_tokens=5,
        temperature=0.5,
        top_p=1,
        user="u",
        presence_penalty=0.5,
        top_logprobs=3,
        parallel_tool_calls=False,
        tools=[FUNCTION],
        tool_choice={"type": "function", "name": "f"},
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": form, "verbosity": "low"},
        truncation="auto",
        metadata={"k": "v"},
        store=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="p",
        client_metadata={"x": "y"},
    )
    values = found.settings
    assert (values.max_output, values.temperature, values.top_p, values.user) == (5, 0.5, 1.0, "u")
    assert values.presence_penalty == 0.5
    assert (values.logprobs, values.top_logprobs, values.parallel_tools) == (True, 3, False)
    assert (values.tool_choice, values.reasoning_effort) == ("tool:f", "low")
    assert values.json_schema is not None
    assert (bytes(values.json_schema), values.json_schema_name, values.json_schema_strict) == (
        b'{"type": "object"}',
        "n",
        True,
    )
    assert {name: bytes(raw) for name, raw in found.extra.items()} == {
        "prompt_cache_key": b'"p"',
        "client_metadata": b'{"x": "y"}',
        "verbosity": b'"low"',
    }, "the target says what it does with these"
    assert set(found.deviations) == {"dropped:store", "dropped:truncation", "adapted:reasoning.summary"}


def test_allowed_tools_are_the_only_ones_offered() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    found = said(tools=[FUNCTION, {**FUNCTION, "name": "g"}], tool_choice=choice)
    assert [tool.name for tool in found.tools] == ["g"]
    assert found.settings.tool_choice == "required"
    assert "adapted:tool_choice" in found.deviations


def test_custom_calls_and_namespaces_keep_their_meaning() -> None:
    tools = [
        {"type": "custom", "name": "patch"},
        {"type": "namespace", "name": "git", "description": "", "tools": [{**FUNCTION, "name": "log"}]},
    ]
    items = [
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"'},
        {**CALL, "call_id": "c2", "name": "log", "namespace": "git"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
    ]
    found = said(input=items, tools=tools)
    [_, _] = found.messages
    calls = [block for block in found.messages[0].blocks if isinstance(block, ToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("patch", {"input": 'a "b"'}),
        ("git__log", {"a": 1}),
    ]


def test_a_seal_goes_back_to_who_made_it_and_openais_own_is_left_out() -> None:
    summary = [{"type": "summary_text", "text": "t"}]
    signed = {"type": "reasoning", "summary": summary, "encrypted_content": sealed(Seal(signature="s"))}
    opaque = {"type": "reasoning", "summary": [], "encrypted_content": sealed(Seal(redacted="r"))}
    own = {"type": "reasoning", "summary": summary, "encrypted_content": "gAAAA"}
    [(_, blocks)] = turns(said(input=[signed, opaque]))
    assert blocks == [
        Reasoning(text="t", signature="s", vendor="anthropic"),
        Reasoning(redacted="r", vendor="anthropic"),
    ]
    found = said(input=[own, {"role": "user", "content": "u"}])
    assert found.messages[0].blocks == [Reasoning(text="t", vendor="reasoning_content")]
    assert found.deviations == ("dropped:reasoning.encrypted_content",)


def test_googles_signatures_stand_beside_call_and_turn() -> None:
    def seal(value: Seal) -> dict[str, Any]:
        return {"type": "reasoning", "summary": [], "encrypted_content": sealed(value)}

    items = [
        seal(Seal(signature="of the call", vendor="google", call="c1")),
        CALL,
        seal(Seal(signature="of the turn", vendor="google")),
    ]
    [message] = said(input=items).messages
    [call] = message.blocks
    assert isinstance(call, ToolCall)
    assert json.loads(bytes(call.extra["extra_content"])) == {"google": {"thought_signature": "of the call"}}
    assert json.loads(bytes(message.extra["extra_content"])) == {"google": {"thought_signature": "of the turn"}}


@given(st.text(), st.text())
def test_seals_survive(signature: str, redacted: str) -> None:
    assert unsealed(sealed(Seal(signature, redacted))) == Seal(signature, redacted)


NESTED = base64.b64encode(b'{"x":' + b"[" * 100_000).decode()


@pytest.mark.parametrize("text", ["", "gAAAA", SEAL, SEAL + "!", SEAL + "AAAA", SEAL + "W10=", SEAL + NESTED])
def test_what_is_no_seal_is_none(text: str) -> None:
    assert unsealed(text) is None


@pytest.mark.parametrize("kind", sorted(ITEMS))
def test_every_item_is_told_or_refused(kind: str) -> None:
    understood = {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
    }
    if kind in understood:
        with contextlib.suppress(BadRequestError):
            said(input=[{"type": kind, "role": "user", "content": "x"}])
    elif kind == "web_search_call":
        assert said(input=[{"type": kind, "id": "ws"}]).deviations == ("dropped:input.web_search_call",)
    else:
        with pytest.raises(BadRequestError) as caught:
            said(input=[{"type": kind}])
        assert caught.value.code == "unsupported"


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "output", "name", "call_id"]), inner)
    ),
    max_leaves=6,
)


@examples(200)
@given(
    st.sampled_from(sorted(ITEMS)),
    st.dictionaries(
        st.sampled_from(["output", "summary", "content", "call_id", "name", "arguments", "encrypted_content"]), _VALUES
    ),
    st.dictionaries(st.sampled_from(["reasoning", "text", "tool_choice", "tools", "truncation"]), _VALUES),
)
def test_anything_becomes_a_conversation_or_a_400(kind: str, item: dict[str, Any], members: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequestError):
        said(input=[{"type": kind, **item}], **members)


def test_the_conversation_can_be_written_down() -> None:
    assert msgspec.json.encode(said(input=[CALL, RESULT], tools=[FUNCTION]))
