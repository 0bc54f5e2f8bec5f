"""The upstream of the streams: any POST gets N events, one write each, a fixed time apart. Its own cost is not counted.

python -m bench.upstream PORT CHUNKS GAP_MS
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 420, "completion_tokens": 50, "total_tokens": 470}


def event(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    """One chunk of an OpenAI stream, framed as one HTTP chunk."""
    value = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return frame(b"data: %b\n\n" % json.dumps(value | more, separators=(",", ":")).encode())


def frame(data: bytes) -> bytes:
    """``data`` as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """Answers one request after the other; looks no further than the end of the request's body."""

    def __init__(self, chunks: int, gap: float) -> None:
        self.chunks = chunks
        self.gap = gap
        self.piece = event({"content": " word"})
        self.tail = event({}, "stop", usage=USAGE) + frame(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self.waiting = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the client is gone."""
        del exc
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came. Streams when the request is whole."""
        self.waiting += data
        head, mark, body = self.waiting.partition(b"\r\n\r\n")
        if not mark:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or 0):
            self.waiting = body[int(length or 0) :]
            self.transport.write(HEAD)
            self.tick(self.chunks, self.loop.time())

    def tick(self, left: int, due: float) -> None:
        """Write one event and plan the next; the clock runs on, so that lateness does not add up."""
        self.transport.write(self.piece if left else self.tail)
        if left:
            due = max(due + self.gap, self.loop.time() + self.gap / 2)
            self.timer = self.loop.call_at(due, self.tick, left - 1, due)


async def serve(port: int, chunks: int, gap: float) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Upstream(chunks, gap), "127.0.0.1", port, backlog=512
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
