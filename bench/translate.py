"""What translating between unlike wires adds to a request and to each chunk: `python -m bench.translate`.

Each client dialect asks each provider wire for the same prompt of 2 kB. What is added is the work that a dialect passed
on as it came does not need: the conversation, the request composed anew, the reply decoded into events and rendered
again. The reply's stream is that of the wire's golden bytes, its first piece of text repeated. CPU of this process,
the best of several rounds; a ratio to nginx needs the same run's figures, so `make bench` calls this.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nearfar.core.chat import Request, TextDelta
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import gemini_generate, registry
from nearfar.wire.base import ClientWire, ProviderWire

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
CLIENTS = ("openai.chat", "anthropic.messages", "gemini.generate", "ollama.chat", "openai.responses")
PROVIDERS = ("openai.chat", "anthropic.messages", "gemini.generate", "ollama.chat", "bedrock.converse")
PIECES = 200
"""Chunks of one stream."""


PROMPT = ("The quick brown fox jumps over the lazy dog. " * 46)[:2000]


class Cost(NamedTuple):
    """What one pair of wires adds, in microseconds of CPU."""

    request: float
    chunk: float


def body(dialect: str, *, stream: bool) -> bytes:
    """A request of 2 kB in ``dialect``."""
    turn = {"role": "user", "content": PROMPT}
    asked: dict[str, object] = {"model": "asked", "stream": stream}
    if dialect == "gemini.generate":
        return json.dumps({"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}).encode()
    if dialect == "openai.responses":
        return json.dumps({**asked, "input": [turn], "max_output_tokens": 64, "store": False}).encode()
    if dialect == "ollama.chat":
        return json.dumps({**asked, "messages": [turn], "options": {"num_predict": 64}}).encode()
    return json.dumps({**asked, "messages": [turn], "max_tokens": 64}).encode()


def ask(wire: ClientWire, *, stream: bool) -> Request:
    """The request as its wire reads it."""
    data = body(wire.name, stream=stream)
    if wire.name == "gemini.generate":
        return gemini_generate.read(data, "req-1", model="asked", stream=stream)
    return wire.parse(data, "req-1")


def deployment(wire: ProviderWire) -> Deployment:
    """A deployment that speaks ``wire``."""
    return Deployment(
        name="far",
        provider="bench",
        model="the-model",
        wire=wire.name,
        base_url="http://127.0.0.1:1",
        place=Place.CLOUD,
        context=32768,
        max_output=4096,
    )


def pieces(wire: ProviderWire) -> list[bytes]:
    """A stream of ``wire``, one write of the upstream each. Raises LookupError when no piece of it holds text."""
    [path] = sorted((GOLDEN / wire.name.replace(".", "_")).glob("stream_text.*"))
    whole = _cut(path.read_bytes(), path.suffix)
    request = ask(registry.client_wire("openai.chat"), stream=True)
    decoder = wire.decoder(request, True)
    for position, piece in enumerate(whole):
        events = [event for chunk in decoder.feed(piece) for event in chunk.events]
        if any(isinstance(event, TextDelta) for event in events):
            return [*whole[:position], *([piece] * PIECES), *whole[position + 1 :]]
    raise LookupError(f"no piece of {path} holds text")


def _cut(data: bytes, suffix: str) -> list[bytes]:
    if suffix == ".bin":
        found = []
        while data:
            (length,) = struct.unpack(">I", data[:4])
            found.append(data[:length])
            data = data[length:]
        return found
    mark = b"\n" if suffix == ".ndjson" else b"\n\n"
    return [part + mark for part in data.replace(b"\r\n", b"\n").split(mark) if part.strip()]


def best(work: Callable[[], object], times: int, rounds: int) -> float:
    """Microseconds of CPU for each of ``times`` calls, in the best of several rounds."""
    found = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(times):
            work()
        found = min(found, (time.thread_time() - began) / times)
    return found * 1e6


def to_provider(client: ClientWire, provider: ProviderWire, rounds: int) -> float:
    """Microseconds to turn a request that has been read into the provider's bytes."""
    request, target = ask(client, stream=False), deployment(provider)
    convert = client.conversation
    if client.name in provider.like or convert is None:
        return best(lambda: provider.encode(request, target, None), 200, rounds)
    return best(lambda: provider.encode(request, target, convert(request)), 200, rounds)


def to_client(client: ClientWire, provider: ProviderWire, rounds: int) -> float:
    """Microseconds to turn each chunk of the provider's stream into the client's bytes."""
    request, stream = ask(client, stream=True), pieces(provider)
    like = client.name in provider.like

    def work() -> None:
        decoder, renderer = provider.decoder(request, not like), client.renderer(request, like)
        for piece in stream:
            for chunk in decoder.feed(piece):
                renderer.render(chunk)
        for chunk in decoder.close():
            renderer.render(chunk)
        renderer.finish()

    return best(work, 2, rounds) / PIECES


def measure(rounds: int) -> dict[str, Cost]:
    """What each pair of unlike wires adds to what bytes that are passed on cost: "client > provider" → cost."""
    openai = registry.provider_wire("openai.chat")
    passed = registry.client_wire("openai.chat")
    floor = Cost(request=to_provider(passed, openai, rounds), chunk=to_client(passed, openai, rounds))
    found = {}
    for name in CLIENTS:
        client = registry.client_wire(name)
        for other in PROVIDERS:
            provider = registry.provider_wire(other)
            if name not in provider.like:
                request = to_provider(client, provider, rounds) - floor.request
                chunk = to_client(client, provider, rounds) - floor.chunk
                found[f"{name} > {other}"] = Cost(request=request, chunk=chunk)
    return found


def figures(
    nginx_request: float | None = None, nginx_chunk: float | None = None, *, rounds: int = 15
) -> dict[str, object]:
    """The figures as they are written down; with nginx's CPU of the same run also as multiples of it."""
    found = measure(rounds)
    worst = Cost(max(cost.request for cost in found.values()), max(cost.chunk for cost in found.values()))
    told: dict[str, object] = {
        "worst_request_us": round(worst.request, 1),
        "worst_chunk_us": round(worst.chunk, 1),
        "pairs": {pair: [round(cost.request, 1), round(cost.chunk, 1)] for pair, cost in found.items()},
    }
    if nginx_request and nginx_chunk:
        told["worst_request_ratio"] = round(worst.request / nginx_request, 2)
        told["worst_chunk_ratio"] = round(worst.chunk / nginx_chunk, 2)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.translate", description=(__doc__ or "").partition("\n")[0])
    parser.parse_args()
    print(json.dumps(figures(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
