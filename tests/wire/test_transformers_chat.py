"""The wire of ``transformers serve``; tests/live/test_transformers_serve.py asks the real one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearfar.core.chat import Event, Finish, ReasoningDelta, Request, TextDelta, ToolCallDelta, Usage
from nearfar.core.errors import BadRequestError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Capability, Deployment
from nearfar.wire import openai_chat
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.transformers_chat import PROVIDER, decoder, error

GOLDEN = Path(__file__).parents[1] / "golden" / "transformers_chat"
THERE = Deployment(
    name="d", provider="transformers", model="org/m", wire="transformers.chat", base_url="", place=Place.LAN
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]


def ask(**fields: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return openai_chat.parse(json.dumps(body).encode(), "r")


def encoded(there: Deployment = THERE, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = ask(**fields)
    out = PROVIDER.encode(request, there, conversation(request))
    return json.loads(out.body), out.deviations


def events(name: str) -> list[Event]:
    found = decoder(ask(stream=name.endswith(".sse")), typed=False)
    chunks = found.feed((GOLDEN / name).read_bytes()) + found.close()
    return [event for chunk in chunks for event in chunk.events]


def test_what_it_reads_goes_out() -> None:
    sent, told = encoded(
        max_tokens=9, temperature=0, top_p=0.5, seed=1, stop=["x"], tools=[TOOL], stream=True, logit_bias={"1": 2.0}
    )
    assert sent == {
        "model": "org/m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 1,
        "stop": ["x"],
        "tools": [TOOL],
        "stream": True,
        "logit_bias": {"1": 2.0},
    }
    assert told == ()


def test_what_it_would_ignore_or_answer_422_to_is_dropped_and_told() -> None:
    sent, told = encoded(top_k=4, user="u", presence_penalty=1, store=True, reasoning_effort="low", stream=True)
    assert sent.keys() == {"model", "messages", "stream"}, "stream_options among them: usage always comes"
    assert set(told) == {
        "dropped:top_k",
        "dropped:user",
        "dropped:presence_penalty",
        "dropped:store",
        "dropped:reasoning_effort",
    }


def test_what_it_reads_otherwise_is_told() -> None:
    assert encoded(frequency_penalty=0.5)[1] == ("adapted:frequency_penalty",)
    assert encoded(frequency_penalty=0)[1] == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
        {"logprobs": True},
        {"n": 2},
        {"tools": [TOOL], "tool_choice": "required"},
        {"messages": [{"role": "assistant", "content": None, "refusal": "no"}]},
        {"messages": [{"role": "user", "content": IMAGE}]},
    ],
)
def test_what_it_would_ignore_to_the_answers_harm_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        encoded(**fields)
    assert caught.value.code == "unsupported"


def test_images_go_out_once_somebody_knows_that_the_model_sees() -> None:
    sees = msgspec.structs.replace(THERE, capabilities={"images": Capability(can=True, source="declared")})
    sent, told = encoded(sees, messages=[{"role": "user", "content": IMAGE}])
    assert (sent["messages"], told) == ([{"role": "user", "content": IMAGE}], ())
    blind = msgspec.structs.replace(THERE, capabilities={"images": Capability(can=False, source="declared")})
    with pytest.raises(BadRequestError):
        encoded(blind, messages=[{"role": "user", "content": IMAGE}])


def test_what_its_prompt_leaves_out_is_told() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "hi", "name": "Ann"},
        {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    assert encoded(messages=messages)[1] == ("dropped:name", "dropped:reasoning", "dropped:content")
    broken = {**call, "function": {"name": "f", "arguments": "{"}}
    with pytest.raises(BadRequestError, match="no JSON object"):
        encoded(messages=[{"role": "assistant", "tool_calls": [broken]}])


def test_replies() -> None:
    assert events("stream_text.sse") == [TextDelta("Hello"), TextDelta(" 世界"), Finish("stop", "stop")]
    assert events("stream_reasoning.sse") == [
        ReasoningDelta("Let me think."),
        TextDelta("Hello"),
        Finish("length", "length"),
    ]
    first, second, finish = events("stream_tools.sse")
    assert isinstance(first, ToolCallDelta)
    assert isinstance(second, ToolCallDelta)
    assert (first.call, first.arguments, second.call, second.name) == (0, '{"city": "Taipei"}', 1, "get_time")
    assert finish == Finish("tool_calls", "tool_calls")
    assert events("plain_text.json") == [TextDelta("Hello"), Finish("stop", "stop")]


def test_usage_stands_in_the_last_event() -> None:
    found = decoder(ask(stream=True), typed=False)
    chunks = found.feed((GOLDEN / "stream_text.sse").read_bytes()) + found.close()
    assert chunks[-2].usage == Usage(input=11, output=3)
    assert chunks[-1].end


@pytest.mark.parametrize(
    ("name", "words"), [("broken_error.sse", "CUDA out of memory"), ("broken_unescaped.sse", 'expected "a" and got')]
)
def test_an_error_in_mid_stream_keeps_its_words_even_when_they_break_the_json(name: str, words: str) -> None:
    found = decoder(ask(stream=True), typed=False)
    assert len(found.feed((GOLDEN / name).read_bytes())) == 2
    with pytest.raises(UpstreamError, match=words):
        found.close()


def test_a_server_with_one_model_blames_the_deployment_and_not_the_request() -> None:
    pinned = error(400, {}, b"""{"detail":"Server is pinned to 'org/a'; requested 'org/b'."}""")
    assert (type(pinned), pinned.code, pinned.moves_on) == (UpstreamError, "upstream_not_found", True)
    assert isinstance(error(400, {}, b'{"detail":"temperature"}'), BadRequestError)


def test_an_end_without_a_finish_reason_is_a_cut() -> None:
    data = (GOLDEN / "stream_text.sse").read_bytes()
    found = decoder(ask(stream=True), typed=False)
    found.feed(data[: data.rindex(b"data: ")])
    with pytest.raises(StreamCut):
        found.close()
