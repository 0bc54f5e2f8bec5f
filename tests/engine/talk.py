"""Speak HTTP to an engine over its Unix socket with asyncio alone, and wait for processes to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from nearfar.core.engines import Endpoint

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
ENDLESS = {"messages": HELLO, "stream": True, "logit_bias": {"2": -100}}
"""A stream that does not end before the context is full."""


@contextlib.asynccontextmanager
async def opened(
    endpoint: Endpoint, path: str, body: object, *, key: str | None = None
) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request; yields the stream its answer comes from."""
    reader, writer = await asyncio.open_unix_connection(endpoint.address.removeprefix("unix:"), limit=1 << 20)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {endpoint.key if key is None else key}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    try:
        writer.write(head.encode() + data)
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def post(endpoint: Endpoint, path: str, body: object, *, key: str | None = None) -> tuple[int, bytes]:
    """(status, body with its transfer coding)."""
    async with opened(endpoint, path, body, key=key) as reader:
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), rest


async def ask(endpoint: Endpoint, path: str, body: object) -> tuple[int, Any]:
    """(status, decoded body) of an answer that does not stream."""
    status, data = await post(endpoint, path, body)
    return status, json.loads(data)


async def ended(pid: int) -> None:
    """Wait until process ``pid`` has ended, whoever's child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        async with asyncio.timeout(30):
            await readable.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
