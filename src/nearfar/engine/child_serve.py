"""Answers OpenAI's requests with a model that runs in this process: one at a time, the others wait for a bounded time.

It knows no engine: a Model is whatever turns messages into tokens and tokens into more tokens. Its work happens in one
thread; the event loop stays free to notice a client that leaves, which ends its answer within a token.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec

from nearfar.core.errors import BadRequestError, ContextTooLong, Overloaded
from nearfar.engine import child_chat
from nearfar.engine.child_chat import Ask, Logprob, unsupported
from nearfar.engine.child_http import Reply, Request, Server, unknown
from nearfar.engine.child_start import Start
from nearfar.engine.child_text import Detokenizer, Stops
from nearfar.engine.child_tools import Call, ToolReader
from nearfar.engine.messages import Config, Ready

WAIT_SECONDS = 60.0
"""How long a request waits for those before it."""
MAX_INPUTS = 2048
_encode = msgspec.json.Encoder().encode

Step = Callable[[int, Logprob | None], bool]
"""Takes each new token as it comes; whether to stop."""


class Model(Protocol):
    """A loaded model. Everything but the attributes is called in one thread, the worker's."""

    context: int
    """Tokens of prompt and answer together."""
    ends: frozenset[int]
    """Tokens that end an answer."""
    marks: Mapping[int, str]
    """Special tokens that must be seen in the text, with their text."""
    can: Collection[str]
    """Members of a request that it honours besides the common ones."""
    tool_format: str
    operations: Collection[str]

    def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        """Tokens of a conversation. Raises BadRequestError when its template refuses it."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """Text of some tokens, without special ones; U+FFFD for broken characters."""
        ...

    def write(self, prompt: list[int], limit: int, ask: Ask, step: Step) -> None:
        """Write at most ``limit`` tokens until ``step`` says to stop."""
        ...

    def embed(self, text: str) -> tuple[list[float], int]:
        """(vector, tokens). Raises ContextTooLong."""
        ...


class Piece(msgspec.Struct):
    """What the worker tells the event loop."""

    text: str = ""
    logprobs: list[Logprob] | None = None
    calls: list[Call] = []
    finish: str = ""
    """Of the last piece: ``stop``, ``length`` or ``tool_calls``."""
    prompt: int = 0
    """Tokens of the prompt, in the first piece."""
    written: int = 0
    """Tokens of the answer so far."""
    failure: Exception | None = None


Post = Callable[[Piece], None]


def answer(model: Model, ask: Ask, gone: threading.Event, post: Post) -> None:
    """The worker's part of one request: the first piece says that the prompt fits, the last one how it ended."""
    prompt = model.prompt(ask.messages, ask.tools)
    room = model.context - len(prompt)
    if room < 1:
        raise ContextTooLong(f"The prompt has {len(prompt)} tokens, the context {model.context}.")
    post(Piece(prompt=len(prompt)))
    limit = min(ask.limit or room, room)
    text, stops = Detokenizer(model.decode, model.marks), Stops(ask.stops)
    tools = ToolReader(model.tool_format if ask.tools else "")
    state = _State()

    def step(token: int, logprob: Logprob | None) -> bool:
        if gone.is_set():
            state.finish = "gone"
            return True
        state.written += 1
        if token in model.ends:
            state.finish = "stop"
            return True
        out = tools.feed(stops.feed(text.feed(token)))
        if out or logprob is not None:
            post(Piece(text=out, logprobs=None if logprob is None else [logprob], written=state.written))
        if stops.hit:
            state.finish = "stop"
        elif state.written >= limit:
            state.finish = "length"
        return bool(state.finish)

    model.write(prompt, limit, ask, step)
    if state.finish == "gone":
        return
    rest = tools.feed(stops.feed(text.flush()))
    if stops.hit:
        state.finish = "stop"
    rest += tools.feed(stops.flush())
    more, calls = tools.close()
    if calls:
        state.finish, calls = "tool_calls", calls if ask.parallel else calls[:1]
    post(Piece(text=rest + more, calls=calls, finish=state.finish or "length", written=state.written))


class _State:
    """How far an answer has come."""

    def __init__(self) -> None:
        self.written = 0
        self.finish = ""


class Service:
    """Routes requests to the model, one at a time."""

    def __init__(self, name: str, model: Model, waiting: int, wait_seconds: float = WAIT_SECONDS) -> None:
        """``waiting``: how many may wait for the one that is answered."""
        self._name = name
        self._model = model
        self._places = waiting + 1
        self._wait_seconds = wait_seconds
        self._turn = asyncio.Semaphore(1)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def handle(self, request: Request, reply: Reply) -> None:
        """One request. Raises NearfarError."""
        what = (request.method, request.path)
        if what == ("GET", "/health"):
            await reply.send(200, b'{"status":"ok"}')
        elif what == ("GET", "/v1/models"):
            listed = {"id": self._name, "object": "model", "created": 0, "owned_by": "nearfar"}
            await reply.send(200, _encode({"object": "list", "data": [listed]}))
        elif what == ("POST", "/v1/chat/completions"):
            if "chat" not in self._model.operations:
                raise BadRequestError(f"{self._name} embeds and cannot chat.", code="unsupported", param="model")
            ask = child_chat.read(request.body, self._model.can)
            async with self._my_turn():
                await self._chat(ask, reply)
        elif what == ("POST", "/v1/embeddings"):
            if "embeddings" not in self._model.operations:
                raise BadRequestError(f"{self._name} does not embed.", code="unsupported", param="model")
            texts, base64_wanted = read_inputs(request.body)
            async with self._my_turn():
                await reply.send(200, await self._embed(texts, base64_wanted=base64_wanted))
        else:
            raise unknown(request)

    @contextlib.asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        """Wait for those before; Overloaded when there are too many of them or they take too long."""
        if not self._places:
            raise Overloaded(f"{self._name} has too many requests waiting.", retry_after=1.0)
        self._places -= 1
        try:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._turn.acquire()
            except TimeoutError as exc:
                raise Overloaded(f"{self._name} was busy for {self._wait_seconds:g} s.", retry_after=5.0) from exc
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places += 1

    async def _chat(self, ask: Ask, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        gone = threading.Event()

        def post(piece: Piece) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def work() -> None:
            try:
                answer(self._model, ask, gone, post)
            except Exception as exc:  # noqa: BLE001 (raised again where the reply is written)
                post(Piece(failure=exc))

        running = loop.run_in_executor(self._worker, work)
        try:
            await (_stream if ask.stream else _collect)(pieces, ask, child_chat.Reply(self._name), reply)
        finally:
            gone.set()
            while not running.done():  # the turn is over when the worker is free, also for who was cancelled
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({running})

    async def _embed(self, texts: list[str], *, base64_wanted: bool) -> bytes:
        loop = asyncio.get_running_loop()
        data, total = [], 0
        for at, text in enumerate(texts):
            vector, tokens = await loop.run_in_executor(self._worker, self._model.embed, text)
            packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if base64_wanted else vector
            data.append({"object": "embedding", "index": at, "embedding": packed})
            total += tokens
        usage = {"prompt_tokens": total, "total_tokens": total}
        return _encode({"object": "list", "model": self._name, "data": data, "usage": usage})


async def _next(pieces: asyncio.Queue[Piece]) -> Piece:
    piece = await pieces.get()
    if piece.failure is not None:
        raise piece.failure
    return piece


async def _collect(pieces: asyncio.Queue[Piece], ask: Ask, made: child_chat.Reply, reply: Reply) -> None:
    prompt = (await _next(pieces)).prompt
    texts, logprobs = [], []
    while True:
        piece = await _next(pieces)
        texts.append(piece.text)
        logprobs += piece.logprobs or []
        if piece.finish:
            break
    told = logprobs if ask.logprobs else None
    await reply.send(200, made.plain("".join(texts), piece.calls, told, piece.finish, (prompt, piece.written)))


async def _stream(pieces: asyncio.Queue[Piece], ask: Ask, made: child_chat.Reply, reply: Reply) -> None:
    prompt = (await _next(pieces)).prompt
    await reply.event(made.begin())
    while True:
        piece = await _next(pieces)
        if piece.text or piece.logprobs:
            await reply.event(made.piece(piece.text, piece.logprobs))
        for at, call in enumerate(piece.calls):
            await reply.event(made.call(at, call))
        if piece.finish:
            break
    await reply.event(made.end(piece.finish, (prompt, piece.written) if ask.include_usage else None))
    await reply.end()


class _Inputs(msgspec.Struct):
    input: str | list[str]
    encoding_format: str = "float"
    dimensions: Any = None


def read_inputs(body: bytes) -> tuple[list[str], bool]:
    """(texts, whether base64 is wanted) of an embeddings request. Raises BadRequestError."""
    try:
        asked = msgspec.json.decode(body, type=_Inputs)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRequestError(f"input must be a text or a list of texts: {exc}.", param="input") from exc
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not 0 < len(texts) <= MAX_INPUTS:
        raise BadRequestError(f"input must hold 1 to {MAX_INPUTS} texts.", code="invalid_value", param="input")
    if asked.encoding_format not in {"float", "base64"}:
        raise BadRequestError("encoding_format must be float or base64.", param="encoding_format")
    if asked.dimensions is not None:
        raise unsupported("dimensions")
    return texts, asked.encoding_format == "base64"


def run(start: Start, load: Callable[[Config], tuple[Ready, Model | None]]) -> None:
    """Load, report, and serve until the parent goes."""
    ready, model = load(start.config)
    if model is None:
        start.report(ready)
        sys.stderr.flush()
        os._exit(1)
    asyncio.run(_serve(start, ready, model))


async def _serve(start: Start, ready: Ready, model: Model) -> None:
    config = start.config
    with contextlib.suppress(FileNotFoundError):
        os.unlink(config.socket)  # left by one that was killed  # noqa: PTH108 (no pathlib in the child's start)
    service = Service(config.name, model, config.slots)
    server = await Server(config.key, service.handle).listen(config.socket)
    start.report(ready)
    await server.serve_forever()


def marked(words: Iterable[str], token_of: Callable[[str], int | None]) -> dict[int, str]:
    """Token → text for those of ``words`` that are one token."""
    return {token: word for word in words if (token := token_of(word)) is not None}
