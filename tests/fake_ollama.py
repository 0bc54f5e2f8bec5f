"""A fake of Ollama's own API, for what cannot run here: models come into memory, leave it, and prompts are cut.

Written from Ollama's docs/openapi.yaml, docs/faq and server/routes.go of 2026-08; no byte of it was recorded. Tokens
are words. An answer repeats the last words of the prompt that were still read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

NOW = "2026-08-04T08:52:19.385406455Z"


class FakeOllama:
    """One server with ``models``: name → tokens of context it was trained for."""

    def __init__(
        self,
        models: dict[str, int],
        *,
        cuts: bool = False,
        default_context: int = 4096,
        capabilities: tuple[str, ...] = ("completion", "tools"),
    ) -> None:
        """``cuts``: an older version, which cuts a prompt that does not fit whatever the request says."""
        self.models = models
        self.cuts = cuts
        self.default_context = default_context
        self.capabilities = capabilities
        self.loaded: dict[str, int] = {}
        """Model → context it is in memory with."""
        self.loads: list[tuple[str, int]] = []
        """Every time a model came into memory, with its context."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ready = asyncio.Event()
        """Loading ends when it is set."""
        self.ready.set()
        self.fail = 0
        """A status with which every answer is refused."""
        self.break_after = -1
        """Lines of a stream after which the connection breaks."""
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await self._answer(writer, method, path, json.loads(body) if body else {})
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def let(self, *, load: bool) -> None:
        """From another thread: whether loading ends."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.ready.set if load else self.ready.clear)

    def drop(self) -> None:
        """Close every connection."""
        for writer in list(self._writers):
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, method: str, path: str, asked: dict[str, Any]) -> None:
        self.asked.append((path, asked))
        if (method, path) == ("GET", "/api/version"):
            return _send(writer, 200, {"version": "0.32.0"})
        if (method, path) == ("GET", "/api/tags"):
            return _send(writer, 200, {"models": [_row(name) for name in self.models]})
        if (method, path) == ("GET", "/api/ps"):
            rows = [
                {**_row(name), "expires_at": NOW, "size_vram": 0, "context_length": context}
                for name, context in self.loaded.items()
            ]
            return _send(writer, 200, {"models": rows})
        name = asked.get("model", "")
        name = name if name in self.models else f"{name}:latest"
        if name not in self.models:
            return _send(writer, 404, {"error": f"model '{asked.get('model')}' not found"})
        if path == "/api/show":
            info = {"general.architecture": "fake", "fake.context_length": self.models[name]}
            return _send(writer, 200, {"model_info": info, "capabilities": self.capabilities, "details": {}})
        if self.fail:
            return _send(writer, self.fail, {"error": "the model could not be loaded: out of memory"})
        await self._speak(writer, path, name, asked)
        return None

    async def _speak(self, writer: asyncio.StreamWriter, path: str, name: str, asked: dict[str, Any]) -> None:
        chat = path == "/api/chat"
        words = _words(asked)
        head = {"model": asked["model"], "created_at": NOW}
        if not words:
            if asked.get("keep_alive") == 0:
                self.loaded.pop(name, None)
            else:
                await self._load(name, asked)
            reason = "unload" if asked.get("keep_alive") == 0 else "load"
            return _send(writer, 200, {**head, **_piece(chat, ""), "done": True, "done_reason": reason})
        await self._load(name, asked)
        context = self.loaded[name]
        if len(words) > context:
            if not self.cuts and asked.get("truncate") is False:
                return _send(writer, 400, {"error": "the input length exceeds the context length"})
            words = words[-context:]
        answer = words[-3:]
        last = {**head, "done": True, "done_reason": "stop", "prompt_eval_count": len(words), "eval_count": len(answer)}
        last |= {"total_duration": 5, "load_duration": 1, "prompt_eval_duration": 2, "eval_duration": 2}
        if asked.get("stream", True) is False:
            return _send(writer, 200, {**last, **_piece(chat, " ".join(answer))})
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n")
        lines = [
            *({**head, **_piece(chat, f"{word} "), "done": False} for word in answer),
            {**last, **_piece(chat, "")},
        ]
        for number, line in enumerate(lines):
            if number == self.break_after:
                writer.close()
                return None
            data = json.dumps(line).encode() + b"\n"
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        writer.write(b"0\r\n\r\n")
        return None

    async def _load(self, name: str, asked: dict[str, Any]) -> None:
        wanted = (asked.get("options") or {}).get("num_ctx", self.default_context)
        context = min(wanted, self.models[name])
        if self.loaded.get(name) != context:
            await self.ready.wait()
            self.loaded[name] = context
            self.loads.append((name, context))


def _row(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "fake", "parameter_size": "1B", "quantization_level": "Q4_0"}
    return {
        "name": name,
        "model": name,
        "modified_at": NOW,
        "size": 5_000_000_000,
        "digest": "0" * 64,
        "details": details,
    }


def _words(asked: dict[str, Any]) -> list[str]:
    texts = [message.get("content", "") for message in asked.get("messages") or []]
    return " ".join([asked.get("system") or "", asked.get("prompt") or "", *texts]).split()


def _piece(chat: bool, text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}} if chat else {"response": text}


def _send(writer: asyncio.StreamWriter, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)))
    writer.write(body)


@contextlib.asynccontextmanager
async def here(models: dict[str, int], **more: Any) -> AsyncIterator[FakeOllama]:
    """A fake in the running event loop."""
    made = FakeOllama(models, **more)
    made._loop = asyncio.get_running_loop()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        made.drop()
        await server.wait_closed()


@contextlib.contextmanager
def beside(models: dict[str, int], **more: Any) -> Iterator[FakeOllama]:
    """A fake in a thread of its own. Its plain attributes may be read and set from outside."""
    up: queue.Queue[tuple[FakeOllama, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        async with here(models, **more) as made:
            stop = asyncio.Event()
            up.put((made, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="fake-ollama")
    thread.start()
    made, loop, stop = up.get(timeout=20)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive(), "the fake did not stop"
