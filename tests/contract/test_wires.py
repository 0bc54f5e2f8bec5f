"""What every wire promises, over every wire and every file of golden bytes."""

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.chat import Chunk, Event, LogprobsDelta, Request, TextDelta, ToolCallDelta, Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, NearfarError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import aws_event_stream, registry
from nearfar.wire.base import ClientWire, ProviderWire

GOLDEN = Path(__file__).parents[1] / "golden"
CLIENTS = registry.client_wires()
FORMS = {"openai.audio"}
"""Wires of forms and files, not of JSON: their own tests hold them to the same."""
PROVIDERS = [wire for wire in registry.provider_wires() if wire.name not in FORMS]
MARKERS = {
    "openai.chat": b'"finish_reason":"',
    "anthropic.messages": b'"message_stop"',
    "ollama.chat": b'"done":true',
    "gemini.generate": b'"finishReason"',
    "vertex.anthropic": b'"message_stop"',
    "ollama.generate": b'"done":true',
    "azure.chat": b'"finish_reason":"',
    "huggingface.chat": b'"finish_reason":"',
    "tgi.chat": b'"finish_reason":"',
    "transformers.chat": b'"finish_reason":"',
    "gpt4all.chat": b"}",
    "openai.responses": b'"type":"response.',
    "openai.completions": b'"finish_reason":"',
    "bedrock.converse": b"messageStop",
    "bedrock.anthropic": base64.b64encode(b'{"type":"message_stop"')[:28],
    "sagemaker.invoke": b'"finish_reason":"',
    "sagemaker.invoke.tgi": b'"finish_reason":"',
    "sagemaker.invoke.lines": b'"finish_reason":"',
    "sagemaker.openai": b'"finish_reason":"',
}
"""Bytes in the piece that completes a stream; before its end no stream may end clean."""

BODIES: dict[str, dict[str, Any]] = {
    "chat": {"model": "asked", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "embeddings": {"model": "asked", "input": ["a", "b"]},
    "bedrock.converse": {"modelId": "asked", "messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    "gemini.generate": {"model": "asked", "contents": [{"parts": [{"text": "hi"}]}]},
    "gemini.embed": {"model": "asked", "content": {"parts": [{"text": "a"}]}},
    "count": {"model": "asked", "contents": [{"parts": [{"text": "hi"}]}]},
    "generate": {"model": "asked", "prompt": "hi"},
    "embed": {"model": "asked", "input": ["a", "b"]},
    "responses": {"model": "asked", "input": "hi"},
    "completions": {"model": "asked", "prompt": "hi"},
    "messages": {"model": "asked", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "count_tokens": {"model": "asked", "messages": [{"role": "user", "content": "hi"}]},
}
"""A request of each kind, by the name of its client wire or the last word of it."""

LIKE_ONLY = {"openai.responses", "openai.completions", "anthropic.count_tokens", "gemini.count"}
"""Provider wires that only clients of the same dialect use; how their chunks look in others has tests of its own."""


NAMELESS = {
    "bedrock.converse",
    "bedrock.embed",
    "sagemaker.invoke.lines",
    "sagemaker.invoke.tgi",
    "gemini.embed",
    "vertex.embed",
}
"""Wires whose replies do not say which model answered."""


def folder(wire: ProviderWire) -> Path:
    return GOLDEN / wire.name.replace(".", "_")


def golden(pattern: str) -> list[Any]:
    return [
        pytest.param(wire, path, id=f"{wire.name}-{path.name}")
        for wire in PROVIDERS
        for path in sorted(folder(wire).glob(pattern))
    ]


def ask(wire: ProviderWire, path: Path | None = None) -> Request:
    [operation] = wire.operations
    name = wire.name if wire.name in LIKE_ONLY else f"openai.{operation}"
    body = dict(BODIES[name.rpartition(".")[2]])
    if path is not None and path.suffix != ".json":
        body["stream"] = True
    if path is not None and "choices" in path.name:
        body["n"] = 2
    # Every provider wire is asked in OpenAI's dialect; the other clients' dialects have tests of their own.
    client = registry.client_wire(name)
    return client.parse(json.dumps(body).encode(), "req-1")


def feed(wire: ProviderWire, request: Request, pieces: list[bytes], *, typed: bool) -> list[Chunk]:
    decoder = wire.decoder(request, typed)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return chunks + decoder.close()


def visible(chunks: list[Chunk]) -> list[Any]:
    """Chunks as plain values (undecoded bytes have no equality of their own)."""
    return [json.loads(msgspec.json.encode(chunk)) for chunk in chunks]


def test_every_wire_has_golden_bytes() -> None:
    assert all(any(folder(wire).glob("plain_*")) for wire in PROVIDERS)
    assert all(any(folder(wire).glob("stream_*")) for wire in PROVIDERS if "chat" in wire.operations)
    assert all(any(folder(wire).glob("error_*")) for wire in PROVIDERS)
    known = {folder(wire).name for wire in PROVIDERS}
    assert {path.name for path in GOLDEN.iterdir() if path.is_dir()} <= known


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(("wire", "path"), golden("stream_*") + golden("plain_*"))
def test_a_complete_reply_ends_once_with_its_facts(wire: ProviderWire, path: Path, typed: bool) -> None:
    chunks = feed(wire, ask(wire, path), [path.read_bytes()], typed=typed)
    assert [chunk.end for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert any(chunk.content for chunk in chunks)
    if "count_tokens" in wire.operations:
        return  # a number, with no model and no events
    assert any(chunk.model for chunk in chunks) or wire.name in NAMELESS
    if "chat" in wire.operations:
        assert any(chunk.finish in {"stop", "length", "tool_calls", "content_filter"} for chunk in chunks)
    if typed:
        assert any(chunk.events for chunk in chunks)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(("wire", "path"), golden("stream_*") + golden("plain_*"))
def test_any_split_gives_the_same_chunks(wire: ProviderWire, path: Path, typed: bool) -> None:
    data = path.read_bytes()
    request = ask(wire, path)
    whole = visible(feed(wire, request, [data], typed=typed))

    @examples(25)
    @given(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    def check(places: list[int]) -> None:
        pieces = [data[start:end] for start, end in itertools.pairwise([0, *places, len(data)])]
        assert visible(feed(wire, request, pieces, typed=typed)) == whole

    check()
    assert visible(feed(wire, request, [bytes([byte]) for byte in data], typed=typed)) == whole


def cuts(wire: ProviderWire, path: Path) -> Iterator[tuple[int, bool]]:
    """Every place to cut the reply, and whether it then ended clean."""
    data = path.read_bytes()
    request = ask(wire, path)
    for place in range(len(data) + 1):
        try:
            feed(wire, request, [data[:place]], typed=False)
        except NearfarError:
            yield place, False
        else:
            yield place, True


def end_of(data: bytes, marker: bytes, *, framed: bool) -> int:
    """Where the piece that holds the last marker ends: its line, or its frame, which a marker may span."""
    if not framed:
        return data.index(b"\n", data.rindex(marker))
    end, said = 0, b""
    for message in aws_event_stream.Messages().feed(data):
        end += len(message.raw)
        said += message.payload
        if marker in said or marker == message.header(":event-type").encode():
            return end
    raise AssertionError("no marker")


@pytest.mark.parametrize(("wire", "path"), golden("stream_*"))
def test_a_stream_cut_before_its_marker_never_ends_clean(wire: ProviderWire, path: Path) -> None:
    data = path.read_bytes()
    end = end_of(data, MARKERS[wire.name], framed=path.suffix == ".bin")
    found = list(cuts(wire, path))
    assert not any(clean for place, clean in found if place < end)
    assert found[-1][1]


@pytest.mark.parametrize(("wire", "path"), golden("plain_*"))
def test_half_a_plain_reply_never_ends_clean(wire: ProviderWire, path: Path) -> None:
    whole = len(path.read_bytes().rstrip())
    assert all(clean == (place >= whole) for place, clean in cuts(wire, path))


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(("wire", "path"), golden("broken_*"))
def test_a_broken_reply_ends_in_a_typed_error(wire: ProviderWire, path: Path, typed: bool) -> None:
    data = path.read_bytes()
    for pieces in ([data], [bytes([byte]) for byte in data]):
        with pytest.raises(NearfarError) as caught:
            feed(wire, ask(wire, path), pieces, typed=typed)
        assert caught.value.message


@pytest.mark.parametrize(("wire", "path"), golden("error_*"))
def test_error_bodies_become_typed_errors(wire: ProviderWire, path: Path) -> None:
    _, text, what = path.stem.split("_", 2)
    error = wire.error(int(text), {"retry-after": "3"}, path.read_bytes())
    expected = {
        "rate_limit": "RateLimitError",
        "quota": "QuotaExhausted",
        "overloaded": "Overloaded",
        "busy": "Overloaded",
        "context": "ContextTooLong",
        "key": "UpstreamError",
        "model": "UpstreamError",
        "api": "UpstreamError",
        "runner": "UpstreamError",
        "large": "RequestTooLargeError",
        "invalid": "BadRequestError",
        "param": "BadRequestError",
        "input": "BadRequestError",
        "validation": "UnprocessableEntityError",
        "loading": "ModelLoading",
        "timeout": "APITimeoutError",
    }
    assert type(error).__name__ == expected[what]
    assert error.message
    assert error.upstream_status == int(text)
    if what in {"rate_limit", "overloaded", "busy"}:
        assert error.retry_after == 3.0


@pytest.mark.parametrize("wire", PROVIDERS, ids=lambda wire: wire.name)
def test_unreadable_error_bodies_are_typed_too(wire: ProviderWire) -> None:
    for status in (400, 401, 404, 408, 413, 422, 429, 500, 502, 503, 529):
        for body in (b"", b"<html>no</html>", b"\xff\xff", b"[" * 10_000, b'{"error":{"message":7}}'):
            assert wire.error(status, {}, body).message


@pytest.mark.parametrize("wire", PROVIDERS, ids=lambda wire: wire.name)
@given(data=st.binary(max_size=200), stream=st.booleans())
@examples(40)
def test_rubbish_raises_nothing_but_our_errors(wire: ProviderWire, data: bytes, stream: bool) -> None:
    request = ask(wire)
    request.stream = stream and "chat" in wire.operations
    with pytest.raises((StreamCut, UpstreamError, NearfarError)):
        feed(wire, request, [data], typed=True)


@pytest.mark.parametrize("wire", PROVIDERS, ids=lambda wire: wire.name)
def test_encoding_is_pure_and_names_the_model(wire: ProviderWire) -> None:
    there = Deployment(name="d", provider="p", model="the-model", wire=wire.name, base_url="http://x", place=Place.LAN)
    request = ask(wire)
    before = (request.body, {name: bytes(raw) for name, raw in request.fields.items()})
    out = [wire.encode(request, there, conversation(wire, request)) for _ in range(2)]
    assert out[0] == out[1]
    assert (request.body, {name: bytes(raw) for name, raw in request.fields.items()}) == before
    assert json.loads(out[0].body).get("model") == "the-model" or "the-model" in out[0].path
    assert out[0].path.startswith("/")
    assert ("content-type", "application/json") in out[0].headers


def conversation(wire: ProviderWire, request: Request) -> Conversation | None:
    if request.wire in wire.like:
        return None
    client = registry.client_wire(request.wire)
    assert client.conversation is not None
    return client.conversation(request)


@pytest.mark.parametrize("wire", [wire for wire in CLIENTS if wire.name not in FORMS], ids=lambda wire: wire.name)
def test_the_error_body_is_json_and_the_stream_error_ends_nothing(wire: ClientWire) -> None:
    error = BadRequestError("No.", code="c", hint="Do.")
    told = json.loads(wire.error(error, "r"))
    told = told.get("error", told)  # AWS's stands bare
    assert (told if isinstance(told, str) else told["message"]) == "No. Do."  # Ollama's must be text
    body = BODIES.get(wire.name) or BODIES[wire.name.rpartition(".")[2]]
    request = wire.parse(json.dumps(body).encode(), "r")
    for like in (True, False):
        assert b"No. Do." in wire.renderer(request, like).error(error)


@pytest.mark.parametrize("wire", CLIENTS, ids=lambda wire: wire.name)
@given(body=st.binary(max_size=80) | st.text(alphabet='{}[]":,modelinputxs', max_size=80).map(str.encode))
@examples(60)
def test_rubbish_from_a_client_is_a_400(wire: ClientWire, body: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        wire.parse(body, "r")
    assert caught.value.message


@pytest.mark.parametrize(
    ("wire", "path"),
    [item for item in golden("stream_*") + golden("plain_*") if item.values[0].name not in LIKE_ONLY],
)
def test_every_client_gets_the_whole_answer_of_every_provider(wire: ProviderWire, path: Path) -> None:
    """Text, tool arguments and usage arrive whole through the unlike renderer."""
    request = ask(wire, path)
    request.include_usage = True
    chunks = feed(wire, request, [path.read_bytes()], typed=True)
    renderer = registry.client_wire(request.wire).renderer(request, False)
    out = b"".join(renderer.render(chunk) for chunk in chunks) + renderer.finish()
    events = [event for chunk in chunks for event in chunk.events]
    assert said(out) == (
        "".join(event.text for event in events if isinstance(event, TextDelta)),
        "".join(event.arguments for event in events if isinstance(event, ToolCallDelta)),
    )
    usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
    if usages and complete(usages[-1]):
        assert f'"prompt_tokens":{usages[-1].input}'.encode() in out
    assert (b'"logprob":' in out) == any(isinstance(event, LogprobsDelta) for event in events)


def complete(usage: Usage) -> bool:
    return usage.input is not None and usage.output is not None


def said(out: bytes) -> tuple[str, str]:
    text = arguments = ""
    bodies = out.split(b"\n\n") if out.startswith(b"data: ") else [out]
    for body in bodies:
        if not body or body == b"data: [DONE]":
            continue
        for choice in json.loads(body.removeprefix(b"data: ")).get("choices", []):
            message = choice.get("delta") or choice.get("message") or {}
            text += message.get("content") or ""
            for call in message.get("tool_calls", []):
                arguments += call["function"]["arguments"]
    return text, arguments


def test_events_are_all_known_to_msgspec() -> None:
    """The ledger and the tests write events as JSON: each kind has its tag."""
    tags = {kind.__struct_config__.tag for kind in Event.__args__}
    assert len(tags) == len(Event.__args__)
