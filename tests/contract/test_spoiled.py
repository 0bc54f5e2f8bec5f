"""Spoiled requests and replies, member by member: whoever sent them is told; nothing here is surprised.

Every member of a rich request in each dialect, and of every golden reply, is replaced by values of other kinds. What
comes of it is an error of ours or an answer, never an exception that nobody foresaw.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.rich import REQUESTS

from nearfar.core.chat import Request
from nearfar.core.errors import NearfarError, StreamCut
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import registry
from nearfar.wire.base import ProviderWire
from nearfar.wire.openai_responses_conversation import SEAL

GOLDEN = Path(__file__).parents[1] / "golden"
DEEP = '{"a":' + "[" * 3000 + "]" * 3000 + "}"
JUNK: tuple[Any, ...] = (
    *(None, True, -1, 1.5, 10**30, "", "x", [], ["x"], [None], [[]], {}, {"a": 1}, [{}], {"type": "x"}),
    *([{"type": "text"}], DEEP, "data:;base64,", "9" * 5000, SEAL + base64.b64encode(DEEP.encode()).decode()),
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in ``value``; of long lists only the beginning."""
    if at:
        yield at
    if isinstance(value, dict):
        for name in value:
            yield from paths(value[name], (*at, name))
    elif isinstance(value, list):
        for number in range(min(len(value), 12)):
            yield from paths(value[number], (*at, number))


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    made = found = copy.deepcopy(value)
    for name in at[:-1]:
        found = found[name]
    found[at[-1]] = new
    return made


def deployment(wire: ProviderWire) -> Deployment:
    claude = "anthropic" in wire.name or "converse" in wire.name
    return Deployment(
        name="d",
        provider="p",
        model="claude-sonnet-4-5" if claude else "gemini-2.5-flash",
        wire=wire.name,
        base_url="https://models.example.com/v1",
        place=Place.CLOUD,
        drop=("seed",),
    )


@pytest.mark.slow
@pytest.mark.parametrize("dialect", sorted(REQUESTS))
def test_a_spoiled_request_is_told_or_refused_for_every_wire(dialect: str) -> None:
    client = registry.client_wire(dialect)
    wires = [wire for wire in registry.provider_wires() if client.conversation is not None or dialect in wire.like]
    junk = itertools.cycle(JUNK)
    told = 0
    for at in paths(REQUESTS[dialect]):
        for value in itertools.islice(junk, 7):  # no divisor of their number: every member meets others
            body = msgspec.json.encode(put(REQUESTS[dialect], at, value))
            try:
                request = client.parse(body, "req-1")
            except NearfarError:
                continue
            told += sum(_encoded(request, wire) for wire in wires if request.operation in wire.operations)
    assert told, "some of it must have been sayable"


def _encoded(request: Request, wire: ProviderWire) -> bool:
    client = registry.client_wire(request.wire)
    try:
        conversation = None
        if request.wire not in wire.like:
            assert client.conversation is not None
            conversation = client.conversation(request)
        wire.encode(request, deployment(wire), conversation)
    except NearfarError:
        return False
    return True


ASKED: dict[str, Any] = {
    "anthropic.messages": {"max_tokens": 4, "messages": [{"role": "user", "content": "x"}]},
    "bedrock.converse": {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]},
    "gemini.generate": {"contents": [{"parts": [{"text": "x"}]}]},
    "ollama.chat": {"messages": [{"role": "user", "content": "x"}]},
    "openai.chat": {"messages": [{"role": "user", "content": "x"}]},
    "openai.completions": {"prompt": "x"},
    "openai.responses": {"input": "x", "tools": [{"type": "custom", "name": "f"}]},
}
CHATS = [wire for wire in registry.provider_wires() if "chat" in wire.operations]


@pytest.mark.slow
@pytest.mark.parametrize("wire", CHATS, ids=[wire.name for wire in CHATS])
def test_a_spoiled_reply_is_told_or_an_error_in_every_dialect(wire: ProviderWire) -> None:
    junk = itertools.cycle(JUNK)
    for path in sorted((GOLDEN / wire.name.replace(".", "_")).iterdir()):
        stream = path.suffix in {".sse", ".ndjson", ".jsonl"}
        if not stream and path.suffix != ".json":
            continue
        for data in _spoiled(path.read_bytes(), stream, junk):
            for dialect, members in ASKED.items():
                request = registry.client_wire(dialect).parse(msgspec.json.encode({"model": "m", **members}), "req-1")
                request.stream = stream
                _rendered(wire, request, data)


def _spoiled(whole: bytes, stream: bool, junk: Iterator[Any]) -> Iterator[bytes]:
    """The reply with one member of one of its objects changed; of objects that look alike, the first one."""
    lines = whole.split(b"\n") if stream else [whole]
    known: set[str] = set()
    for number, line in enumerate(lines):
        prefix = b"data: " if line.startswith(b"data: ") else b""
        try:
            value = json.loads(line[len(prefix) :])
        except ValueError:
            continue
        look = str(sorted(map(str, paths(value))))
        if look in known:
            continue
        known.add(look)
        for at in paths(value):
            for new in itertools.islice(junk, 3):
                changed = prefix + json.dumps(put(value, at, new)).encode()
                yield b"\n".join([*lines[:number], changed, *lines[number + 1 :]])


def _rendered(wire: ProviderWire, request: Request, data: bytes) -> None:
    like = request.wire in wire.like
    decoder = wire.decoder(request, not like)
    renderer = registry.client_wire(request.wire).renderer(request, like)
    try:
        for chunk in [*decoder.feed(data), *decoder.close()]:
            renderer.render(chunk)
        renderer.finish()
    except NearfarError as error:
        renderer.error(error)
    else:
        renderer.error(StreamCut("The upstream closed."))
