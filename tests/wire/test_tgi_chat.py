"""TGI's wire against the words of its docs/openapi.json (ChatRequest, ChatCompletionChunk, ErrorResponse), 2026-01."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearfar.core.chat import Chunk, Event, Finish, Request, TextDelta, ToolCallDelta, Usage
from nearfar.core.errors import BadRequestError, ContextTooLong, Overloaded, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.tgi_chat import PROVIDER, TAKES, decoder, error

GOLDEN = Path(__file__).parents[1] / "golden" / "tgi_chat"
THERE = Deployment(name="d", provider="tgi", model="tgi", wire="tgi.chat", base_url="", place=Place.LAN)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}

CHAT_REQUEST = {
    "frequency_penalty": (int, float),
    "guideline": str,
    "logit_bias": list,
    "logprobs": bool,
    "max_tokens": int,
    "messages": list,
    "model": str,
    "n": int,
    "presence_penalty": (int, float),
    "response_format": dict,
    "seed": int,
    "stop": list,
    "stream": bool,
    "stream_options": dict,
    "temperature": (int, float),
    "tool_choice": (str, dict),
    "tool_prompt": str,
    "tools": list,
    "top_logprobs": int,
    "top_p": (int, float),
}
"""Member → type, as the schema ChatRequest has them."""


def ask(**fields: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return openai_chat.parse(json.dumps(body).encode(), "req-7f")


def encoded(there: Deployment = THERE, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """OpenAI request → TGI request that its schema allows, and the deviations."""
    request = ask(**fields)
    out = PROVIDER.encode(request, there, conversation(request))
    value: dict[str, Any] = json.loads(out.body)
    for name, item in value.items():
        assert isinstance(item, CHAT_REQUEST[name]), name  # type: ignore[arg-type]  # a type or a tuple of types
    return value, out.deviations


def events(name: str, *, stream: bool = True, data: bytes | None = None) -> list[Event]:
    return [event for chunk in chunks(name, stream=stream, data=data) for event in chunk.events]


def chunks(name: str, *, stream: bool = True, data: bytes | None = None) -> list[Chunk]:
    found = decoder(ask(stream=stream), typed=False)
    return found.feed((GOLDEN / name).read_bytes() if data is None else data) + found.close()


def test_every_member_it_takes_is_in_its_schema() -> None:
    assert TAKES.members <= CHAT_REQUEST.keys()
    assert {"n", "logit_bias"}.isdisjoint(TAKES.members), "its schema calls them unused"


def test_limits_stops_and_usage() -> None:
    sent, told = encoded(max_completion_tokens=9, stop="x", stream=True, temperature=0.5, seed=3)
    assert sent == {
        "model": "tgi",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "stop": ["x"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "seed": 3,
    }
    assert told == ()
    assert "max_tokens" not in encoded()[0], "the server's own default stands, and its finish reason tells"
    limited = msgspec.structs.replace(THERE, max_output=64)
    assert encoded(limited) == (
        {"model": "tgi", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 64, "stream": False},
        ("default:max_tokens=64",),
    )


def test_schemas_become_its_own_grammar() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert encoded(response_format=shape)[0]["response_format"] == {"type": "json", "value": SCHEMA}
    any_json = encoded(response_format={"type": "json_object"})[0]["response_format"]
    assert any_json == {"type": "json", "value": {"type": "object"}}
    own = {"type": "regex", "value": "[ab]+"}
    assert encoded(response_format=own)[0]["response_format"] == own
    assert "response_format" not in encoded(response_format={"type": "text"})[0]


def test_what_it_would_ignore_is_told_or_refused() -> None:
    assert encoded(user="u", logit_bias={"1": 2}, top_k=3)[1] == ("dropped:logit_bias", "dropped:top_k", "dropped:user")
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    sound = [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]
    video = [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}]
    for fields in (
        {"n": 2},
        {"tools": [TOOL], "response_format": shape},
        {"messages": [{"role": "user", "content": sound}]},
        {"messages": [{"role": "user", "content": video}]},
    ):
        with pytest.raises(BadRequestError) as caught:
            encoded(**fields)
        assert caught.value.code == "unsupported"


def test_tools_travel() -> None:
    sent, told = encoded(tools=[TOOL], tool_choice="required")
    assert (sent["tools"], sent["tool_choice"], told) == ([TOOL], "required", ())


def test_its_finish_reasons_are_openais() -> None:
    assert events("stream_text.sse")[-1] == Finish("stop", "eos_token")
    assert events("stream_stopped.sse")[-1] == Finish("stop", "stop_sequence")
    assert events("plain_text.json", stream=False)[-1] == Finish("stop", "stop_sequence")
    assert [chunk.usage for chunk in chunks("stream_text.sse") if chunk.usage] == [Usage(input=17, output=4)]
    assert [event.text for event in events("stream_text.sse") if isinstance(event, TextDelta)] == [
        "Deep",
        " learning",
        " 是",
    ]


def test_calls_that_all_have_the_index_0_stay_apart() -> None:
    assert events("stream_tools.sse") == [
        ToolCallDelta(call=0, id="call_7f_0", name="get_weather"),
        ToolCallDelta(call=0, arguments='{"city":'),
        ToolCallDelta(call=0, arguments=' "Taipei"}'),
        ToolCallDelta(call=1, id="call_7f_1", name="get_time"),
        ToolCallDelta(call=1, arguments='{"zone":"UTC"}'),
        Finish("tool_calls", "stop"),
    ]


def test_one_call_where_a_list_belongs_is_not_lost() -> None:
    assert events("stream_tool_object.sse") == [
        ToolCallDelta(call=0, id="call_7f_0", name="get_weather"),
        ToolCallDelta(call=0, arguments='{"city":"Taipei"}'),
        ToolCallDelta(call=0),
        Finish("tool_calls", "eos_token"),
    ]


def test_ids_that_differ_are_calls_that_differ_and_good_ids_are_kept() -> None:
    def event(id_: str, name: str) -> bytes:
        call = {"index": 0, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
        choice = {"index": 0, "delta": {"tool_calls": [call]}}
        return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()

    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    found = events("", data=event("abc123xyz", "f") + event("def456uvw", "g") + end)
    assert found[:2] == [
        ToolCallDelta(call=0, id="abc123xyz", name="f"),
        ToolCallDelta(call=1, id="def456uvw", name="g"),
    ]


def test_plain_calls_with_an_object_and_a_short_id() -> None:
    assert events("plain_tools.json", stream=False) == [
        ToolCallDelta(call=0, id="call_7f_0", name="get_weather", arguments='{"city":"Taipei"}'),
        Finish("tool_calls", "stop"),
    ]


def test_its_errors() -> None:
    full = error(429, {"retry-after": "3"}, (GOLDEN / "error_429_overloaded.json").read_bytes())
    assert isinstance(full, Overloaded)
    assert full.retry_after == 3.0
    broken = error(424, {}, (GOLDEN / "error_424_api.json").read_bytes())
    assert isinstance(broken, UpstreamError)
    assert broken.moves_on
    assert isinstance(error(422, {}, (GOLDEN / "error_422_context.json").read_bytes()), ContextTooLong)
