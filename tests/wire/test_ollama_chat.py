import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama._types import ChatRequest
from tests.examples import examples

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError, ContextTooLong
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import ollama_chat, openai_chat
from nearfar.wire.base import Outgoing
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.tokens import IMAGE_TOKENS

THERE = Deployment(
    name="d", provider="ollama", model="llama3.2", wire="ollama.chat", base_url="http://x", place=Place.DEVICE
)
HELLO = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}


def parse(**value: Any) -> Request:
    return ollama_chat.parse(json.dumps({"model": "m", "messages": HELLO, **value}).encode(), "r")


def travel(there: dict[str, Any] | None = None, **value: Any) -> tuple[dict[str, Any], Outgoing]:
    """A request from Ollama's client on its way to Ollama."""
    out = ollama_chat.encode(parse(**value), msgspec.structs.replace(THERE, **(there or {})), None)
    sent = json.loads(out.body)
    ChatRequest.model_validate(sent)
    return sent, out


def test_the_request_line() -> None:
    for stream in (True, False):
        body = {"model": "near", "messages": HELLO, "stream": stream, "seed": 1}
        request = openai_chat.parse(json.dumps(body).encode(), "r")
        out = ollama_chat.encode(request, THERE, conversation(request))
        assert (out.method, out.path, out.deviations) == ("POST", "/api/chat", ())
        assert json.loads(out.body)["stream"] is stream
        there = msgspec.structs.replace(THERE, drop=("seed", "shift"))
        out = ollama_chat.encode(request, there, conversation(request))
        assert out.deviations == ("dropped:seed", "dropped:shift")
        assert "shift" not in json.loads(out.body)


def test_a_stream_unless_told_otherwise() -> None:
    assert parse().stream
    assert parse(stream=None).stream
    assert parse(stream=True).stream
    assert not parse(stream=False).stream


def test_what_the_client_needs() -> None:
    assert parse(tools=[]).needs == frozenset(), "official clients always send an empty list"
    assert parse(tools=[TOOL]).needs == {"tools"}
    assert parse(format="json").needs == {"json_mode"}
    assert parse(format={"type": "object"}).needs == {"json_schema"}
    assert parse(format="").needs == frozenset()
    assert parse(logprobs=True, top_logprobs=2).needs == {"logprobs"}
    assert parse(options={"num_predict": 7}).max_output == 7
    assert parse(options={"num_predict": -1}).max_output is None
    picture = parse(messages=[{"role": "user", "content": "what?", "images": ["iVBORw0KGgo" * 1000]}])
    assert picture.needs == {"images"}
    assert IMAGE_TOKENS < picture.input_tokens < IMAGE_TOKENS + 100, "base64 is no text"


def test_chinese_does_not_fool_the_estimate() -> None:
    """A vocabulary without a language spends up to two tokens on a character of it; half a token is usual at best."""
    text = "臺北的天氣如何" * 1000
    request = parse(messages=[{"role": "user", "content": text}])
    assert request.input_tokens >= len(text)
    assert travel(messages=[{"role": "user", "content": text}])[0]["options"]["num_ctx"] >= len(text) + 2048


@pytest.mark.parametrize("empty", [{"messages": []}, {"messages": None}])
def test_without_messages_nothing_is_asked(empty: dict[str, Any]) -> None:
    assert ollama_chat.is_empty(parse(**empty))
    assert not ollama_chat.is_empty(parse())


def test_bytes_travel_with_name_and_context_patched() -> None:
    body = b'{ "model":"near", "messages":[ {"role":"user","content":"h\\u00fc"} ],"unknown":{"a" :1}}'
    out = ollama_chat.encode(ollama_chat.parse(body, "r"), THERE, None)
    assert (out.method, out.path, out.deviations) == ("POST", "/api/chat", ())
    assert b'"messages":[ {"role":"user","content":"h\\u00fc"} ]' in out.body, "byte for byte"
    assert b'"unknown":{"a" :1}' in out.body
    sent = json.loads(out.body)
    assert sent["model"] == "llama3.2"
    assert sent["options"] == {"num_ctx": 4096}
    assert (sent["truncate"], sent["shift"]) == (False, False)


def test_what_the_client_says_about_cutting_stands() -> None:
    sent, out = travel(truncate=True, shift=True)
    assert (sent["truncate"], sent["shift"], out.deviations) == (True, True, ())


def test_a_context_that_the_client_asks_for() -> None:
    sent, out = travel(options={"num_ctx": 32_768, "seed": 3})
    assert sent["options"] == {"num_ctx": 32_768, "seed": 3}
    assert out.deviations == ()
    sent, out = travel(options={"num_ctx": 512, "seed": 3})
    assert sent["options"] == {"num_ctx": 4096, "seed": 3}, "too small for prompt and answer"
    assert out.deviations == ("adapted:num_ctx=4096",)


def test_a_loaded_model_is_not_loaded_anew_for_less() -> None:
    assert travel({"loaded_context": 16_384})[0]["options"]["num_ctx"] == 16_384
    assert travel({"loaded_context": 2048})[0]["options"]["num_ctx"] == 4096


def test_a_prompt_beyond_the_model_is_refused_not_cut() -> None:
    with pytest.raises(ContextTooLong, match="8192"):
        travel({"context": 8192}, messages=[{"role": "user", "content": "word " * 9000}])


def test_unwanted_members_are_dropped_and_told() -> None:
    sent, out = travel({"drop": ("keep_alive",)}, keep_alive="5m")
    assert ("keep_alive" in sent, out.deviations) == (False, ("dropped:keep_alive",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": 3},
        {"model": None},
        {"messages": {}},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"content": "no role"}]},
        {"messages": [{"role": [], "content": "x"}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "user", "content": "x", "images": "iVBOR"}]},
        {"messages": [{"role": "user", "content": "x", "images": [{}]}]},
        {"messages": [{"role": "user", "content": "x", "images": ["https://example.org/a.png"]}]},
        {"messages": [{"role": "user", "content": "x", "images": ["file:///etc/passwd"]}]},
        {"messages": [{"role": "assistant", "tool_calls": {}}]},
        {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 3}}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": []}}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": 3, "function": {"name": "f"}}]}]},
        {"tools": {}},
        {"tools": [3]},
        {"tools": [{"type": [], "function": {"name": "f"}}]},
        {"tools": [{"function": {}}]},
        {"tools": [{"function": {"name": "f", "parameters": []}}]},
        {"tools": [{"function": {"name": "f", "description": 3}}]},
        {"stream": "yes"},
        {"format": 3},
        {"format": "yaml"},
        {"format": []},
        {"options": []},
        {"options": {"temperature": "hot"}},
        {"options": {"seed": 0.5}},
        {"options": {"num_predict": "many"}},
        {"options": {"num_ctx": True}},
        {"options": {"stop": [3]}},
        {"options": {"stop": 3}},
        {"think": "hard"},
        {"think": []},
        {"think": 1.5},
        {"logprobs": "yes"},
        {"top_logprobs": 99},
        {"base_url": "http://elsewhere"},
    ],
)
def test_wrong_requests_say_what_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(**wrong)
    assert caught.value.message


def test_tools_that_are_no_functions_are_noted() -> None:
    function = {"type": "function", "function": {"name": "f"}}
    assert parse(tools=[function, {"type": "web_search"}]).elsewhere == (("web_search", "tools[1].type"),)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ["messages", "tools", "options", "format", "think", "stream", "keep_alive", "logprobs", "top_logprobs"]
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"])},
    optional=dict.fromkeys(("content", "images", "tool_calls", "thinking", "tool_name", "tool_call_id"), JSON),
)


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON), st.lists(MESSAGE, max_size=3))
@examples(300)
def test_hostile_bodies_are_refused_or_understood(value: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Whatever parse lets through, the rest can read: no other error than a typed one ever leaves."""
    body = {"model": "m", "messages": messages, **value}
    try:
        request = ollama_chat.parse(json.dumps(body).encode(), "r")
        ollama_chat.is_empty(request)
        assert ollama_chat.CLIENT.conversation is not None
        openai_chat.encode(request, THERE, ollama_chat.CLIENT.conversation(request))
        ollama_chat.encode(request, THERE, None)
    except BadRequestError as error:
        assert error.message  # noqa: PT017  being accepted is as good an answer
