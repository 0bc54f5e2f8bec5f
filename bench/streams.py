"""The client of the streams: many at once, each chunk counted as it comes. Its own cost is not counted.

python -m bench.streams PORT KEY MODEL STREAMS SECONDS → one JSON line
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

PROMPT = "The quick brown fox jumps over the lazy dog. " * 40
MARK = b'"content":" word"'
END = b"0\r\n\r\n"


class Counts:
    """Sums over all connections."""

    def __init__(self) -> None:
        self.streams = 0
        self.chunks = 0
        self.reads = 0
        """Reads that brought at least one chunk: fewer than chunks means that some came together."""
        self.failed = 0


class Client(asyncio.Protocol):
    """Asks for one stream after the other until told to stop."""

    def __init__(self, request: bytes, counts: Counts) -> None:
        self.request = request
        self.counts = counts
        self.more = True
        self.status = b""
        self.tail = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected; the first request leaves."""
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        """Send the next request."""
        self.status = self.tail = b""
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if not self.status:
            self.status = data[:12]
        found = data.count(MARK)
        self.counts.chunks += found
        self.counts.reads += found > 0
        self.tail = (self.tail + data)[-64:]
        if self.tail.endswith(END) or not self.status.endswith(b" 200"):
            good = self.status.endswith(b" 200") and b"[DONE]" in self.tail
            self.counts.streams += good
            self.counts.failed += not good
            if self.more and good:
                self.ask()
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone; that is a failure unless a stream had just ended."""
        self.counts.failed += exc is not None or (bool(self.tail) and not self.tail.endswith(END))
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, key: str, model: str, streams: int, seconds: float) -> Counts:
    """Keep ``streams`` streams running for ``seconds``, then let them end."""
    body = json.dumps(
        {
            "model": model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": PROMPT}],
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    counts = Counts()
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(streams):
        _, client = await loop.create_connection(lambda: Client(head.encode() + body, counts), "127.0.0.1", port)
        clients.append(client)
        await asyncio.sleep(
            0.05 / streams if number else 0
        )  # spread the beginnings, so that chunks do not come in step
    await asyncio.sleep(seconds)
    for client in clients:
        client.more = False
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), 60)
    return counts


if __name__ == "__main__":
    result = uvloop.run(load(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
    print(json.dumps(vars(result)))
