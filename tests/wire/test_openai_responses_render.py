"""Responses as the official client reads them: every event and every object passes its own strict models."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from nearfar.core.chat import Chunk, Event, Finish, TextDelta, ToolCallDelta, Usage
from nearfar.core.errors import BadRequestError, RateLimitError, StreamCut
from nearfar.wire import registry
from nearfar.wire.base import ProviderWire, Renderer
from nearfar.wire.openai_responses import renderer
from nearfar.wire.openai_responses_parse import parse
from nearfar.wire.openai_responses_render import Told

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def made(*, stream: bool, told: Told | None = None, **members: Any) -> Renderer:
    request = parse(json.dumps({"model": "m", "input": "hi", "stream": stream, **members}).encode(), "req-7")
    request.received = 1_790_000_000
    return renderer(request, False, told or Told())


def events(data: bytes) -> list[dict[str, Any]]:
    """The events, each checked against the client's models and its own name, numbered without a gap."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, line = block.split("\n")
        value = json.loads(line.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        EVENTS.validate_python(value)
        found.append(value)
    assert [value["sequence_number"] for value in found] == list(range(len(found)))
    return found


def chunk(*said: Event, **facts: Any) -> Chunk:
    return Chunk(events=said, **facts)


def whole(out: Renderer, chunks: Iterable[Chunk]) -> bytes:
    return b"".join([out.render(item) for item in chunks]) + out.finish()


ANSWER = (
    chunk(TextDelta("Near"), model="there"),
    chunk(TextDelta(" far")),
    chunk(Finish("stop"), usage=Usage(input=3, output=2, cached=1, reasoning=1)),
)


def test_a_stream_in_order() -> None:
    found = events(whole(made(stream=True), ANSWER))
    assert [value["type"] for value in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    response = Response.model_validate(found[-1]["response"])
    assert response.output_text == "Near far"
    assert response.model == "there"
    assert response.usage is not None
    assert (response.usage.total_tokens, response.usage.input_tokens_details.cached_tokens) == (5, 1)
    assert found[0]["response"]["status"] == "in_progress"


def test_plain_equals_the_streams_end() -> None:
    plain = json.loads(whole(made(stream=False), ANSWER))
    assert plain == events(whole(made(stream=True), ANSWER))[-1]["response"]
    Response.model_validate(plain)


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_endings(reason: str, status: str, why: str | None) -> None:
    said = (chunk(TextDelta("x")), chunk(Finish(reason)))
    last = events(whole(made(stream=True), said))[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["status"] == status
    assert (last["response"]["incomplete_details"] or {}).get("reason") == why
    assert last["response"]["output"][0]["status"] == status
    assert json.loads(whole(made(stream=False), said))["status"] == status


def test_an_answer_without_a_word_is_a_response_without_output() -> None:
    assert Response.model_validate_json(whole(made(stream=False), [chunk(Finish("stop"))])).output == []
    assert events(whole(made(stream=True), []))[-1]["type"] == "response.completed"


def test_the_request_is_echoed() -> None:
    members: dict[str, Any] = {
        "instructions": "Be brief.",
        "metadata": {"k": "v"},
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": "required",
        "text": {"format": {"type": "json_object"}},
        "max_output_tokens": 7,
        "parallel_tool_calls": None,
    }
    value = json.loads(whole(made(stream=False, **members), ANSWER))
    Response.model_validate(value)
    assert {name: value[name] for name in members} == {**members, "parallel_tool_calls": True}
    assert (value["store"], value["previous_response_id"]) == (False, None)
    told = Told(store=True, previous="resp_0")
    value = json.loads(whole(made(stream=False, told=told), ANSWER))
    assert (value["store"], value["previous_response_id"]) == (True, "resp_0")


REQUIRED = (
    "id object created_at completed_at status incomplete_details model previous_response_id instructions output error "
    "tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs "
    "temperature reasoning usage max_output_tokens max_tool_calls store background service_tier metadata "
    "safety_identifier prompt_cache_key"
)
"""Members that the Open Responses specification of 2026-04-24 requires of a response."""
NOT_NULL = (
    "id object created_at status model output tools tool_choice truncation parallel_tool_calls text top_p "
    "presence_penalty frequency_penalty top_logprobs temperature store background service_tier"
)


def test_open_responses_finds_every_member_it_requires() -> None:
    value = json.loads(whole(made(stream=False, text={"verbosity": "low"}), ANSWER))
    assert value.keys() >= set(REQUIRED.split())
    assert all(value[name] is not None for name in NOT_NULL.split())
    assert value["text"] == {"format": {"type": "text"}, "verbosity": "low"}


def test_usage_is_none_when_it_is_not_known_and_merged_when_it_comes_in_parts() -> None:
    assert json.loads(whole(made(stream=False), [chunk(TextDelta("x"), usage=Usage(input=3))]))["usage"] is None
    parts = [chunk(TextDelta("x"), usage=Usage(input=3)), chunk(Finish("stop"), usage=Usage(output=2))]
    assert json.loads(whole(made(stream=False), parts))["usage"]["total_tokens"] == 5


def test_a_stream_that_breaks_never_completes() -> None:
    out = made(stream=True)
    data = out.render(ANSWER[0]) + out.error(StreamCut("The upstream closed.", hint="Try again."))
    found = events(data)
    assert [value["type"] for value in found[-2:]] == ["response.failed", "error"]
    assert found[-2]["response"]["error"] == {"code": "server_error", "message": "The upstream closed. Try again."}
    assert (found[-1]["code"], found[-1]["error"]["code"]) == ("stream_cut", "stream_cut")
    assert b"response.completed" not in data


def test_a_stream_that_breaks_before_it_began_still_begins() -> None:
    out = made(stream=True)
    found = events(out.keep_alive() + b"\n" + out.error(RateLimitError("Slow down.")))
    assert [value["type"] for value in found] == [
        "response.created",
        "response.in_progress",
        "response.failed",
        "error",
    ]
    assert found[2]["response"]["error"]["code"] == "rate_limit_exceeded"


def test_plain_errors_have_openais_shape() -> None:
    assert json.loads(made(stream=False).error(BadRequestError("No.")))["error"]["message"] == "No."
    assert made(stream=False).keep_alive() == made(stream=False).note("x") == b""
    assert made(stream=True).note("x") == b": x\n"


def test_what_is_rendered_is_remembered() -> None:
    for stream in (True, False):
        out: Any = made(stream=stream)
        assert out.final == b""
        whole(out, ANSWER)
        assert json.loads(out.final)["status"] == "completed"


def test_signatures_of_calls_are_kept_by_the_client() -> None:
    said = chunk(ToolCallDelta(0, "c1", "f", "{}", signature="s"), Finish("tool_calls"))
    value = json.loads(whole(made(stream=False), [said]))
    Response.model_validate(value)
    assert [item["type"] for item in value["output"]] == ["reasoning", "function_call"]
    assert msgspec.json.encode(value)


GOLDEN = Path(__file__).parents[1] / "golden"
FOREIGN = [
    pytest.param(wire, path, id=f"{wire.name}-{path.name}")
    for wire in registry.provider_wires()
    if "chat" in wire.operations
    for path in sorted((GOLDEN / wire.name.replace(".", "_")).glob("stream_*"))
    if "choices" not in path.name
]


@pytest.mark.parametrize(("wire", "path"), FOREIGN)
def test_the_whole_answer_of_every_provider_arrives(wire: ProviderWire, path: Path) -> None:
    """Text, calls and usage of every wire's golden streams, through the official client's own models."""
    request = parse(json.dumps({"model": "m", "input": "hi", "stream": True}).encode(), "req-7")
    decoder = wire.decoder(request, True)
    chunks = [*decoder.feed(path.read_bytes()), *decoder.close()]
    found = events(whole(renderer(request, False, Told()), chunks))
    response = Response.model_validate(found[-1]["response"])
    said = [event for item in chunks for event in item.events]
    assert response.output_text == "".join(event.text for event in said if isinstance(event, TextDelta))
    arguments: dict[int, str] = {}
    for event in said:
        if isinstance(event, ToolCallDelta):
            arguments[event.call] = arguments.get(event.call, "") + event.arguments
    calls = [item.arguments for item in response.output if item.type == "function_call"]
    assert calls == list(arguments.values())
    assert found[-1]["type"] in {"response.completed", "response.incomplete"}
