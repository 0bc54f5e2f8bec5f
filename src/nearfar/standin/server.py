"""The stand-in itself: paths, the standing behaviour, the record. How a reply goes wrong is another file's business."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import msgspec

from nearfar.standin import dialects, replies, shapes
from nearfar.standin.answers import DIMENSIONS, MODELS, Answer, count_messages, count_text, pieces_for, vector
from nearfar.standin.bedrock import BEDROCK
from nearfar.standin.behaviour import Behaviour, parse
from nearfar.standin.dialects import ANTHROPIC, OLLAMA, OLLAMA_GENERATE, OPENAI, Dialect
from nearfar.standin.faults import behaviour_of
from nearfar.standin.gemini import GEMINI
from nearfar.standin.http import Connection, HttpRequest
from nearfar.standin.record import Record, Seen

_CHAT = {
    "/v1/chat/completions": OPENAI,
    "/v1/messages": ANTHROPIC,
    "/api/chat": OLLAMA,
    "/api/generate": OLLAMA_GENERATE,
}
_EMBED = {"/v1/embeddings": OPENAI, "/api/embed": OLLAMA}
_NAMED = (
    (re.compile(r"/v1(?:beta)?/models/([^/:]+):(?:g|streamG)enerateContent"), GEMINI, "streamG"),
    (re.compile(r"/model/([^/]+)/converse(?:-stream)?"), BEDROCK, "-stream"),
)
"""Paths that name the model, and what in them asks for a stream. Google's array of events is not spoken here."""
_OK = Behaviour()
_JSON = "application/json"
_CUT = 12
"""Tokens that are read of a prompt in the mode ``prompt-cut``."""


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    role: str = "user"
    content: str | list[_Part] | None = None
    parts: list[_Part] | None = None
    """Gemini's word for it."""

    @property
    def text(self) -> str:
        return _text(self.content if self.parts is None else self.parts)


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _OllamaOptions(msgspec.Struct):
    num_predict: int | None = None


class _Limits(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    max_tokens: int | None = None


class _Asked(msgspec.Struct):
    """The few members that matter here, in any of the dialects."""

    model: str = MODELS[0]
    messages: list[_Message] = []
    contents: list[_Message] = []
    prompt: str | None = None
    system: str | list[_Part] | None = None
    instruction: _Message | None = msgspec.field(name="systemInstruction", default=None)
    generation: _Limits = msgspec.field(name="generationConfig", default_factory=_Limits)
    inference: _Limits = msgspec.field(name="inferenceConfig", default_factory=_Limits)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    options: _OllamaOptions | None = None
    n: int | None = None
    logprobs: bool | None = None
    input: str | list[str] | None = None
    encoding_format: str = "float"
    dimensions: int | None = None
    stand_in: Behaviour | None = None
    """A behaviour for this request alone."""

    @property
    def texts(self) -> list[str]:
        """The text of each message, what comes before them first."""
        before = [] if self.system is None else [_text(self.system)]
        before += [] if self.instruction is None else [self.instruction.text]
        before += [message.text for message in (*self.messages, *self.contents)]
        return before if self.prompt is None else [*before, self.prompt]

    @property
    def limit(self) -> int | None:
        """The most tokens of the answer."""
        named = self.generation.max_output_tokens or self.inference.max_tokens
        return self.max_completion_tokens or self.max_tokens or named or (self.options or _OllamaOptions()).num_predict


class StandIn:
    """A running stand-in. Start it, read ``url``, stop it; all in one event loop."""

    def __init__(
        self,
        *,
        key: str = "",
        invoices: Path | None = None,
        keep_bodies: bool = False,
        behaviour: Behaviour = _OK,
        ended: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        """``ended`` is called in the event loop with each model request that is over."""
        self.record = Record(invoices, keep_bodies=keep_bodies, ended=ended)
        self.url = ""
        self._key = key
        self._standing = behaviour
        self._left = behaviour.times
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._only: Connection | None = None
        """Who is answered in the mode ``one-at-a-time``."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on a loopback address; port 0 takes a free one. Raises ValueError for any other address."""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the stand-in listens on loopback only, not on {host}")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections.add, self._connections.discard), host, port
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening, abort what is open, close the file of invoices."""
        if self._server is not None:
            self._server.close()
        tasks = [task for connection in list(self._connections) if (task := connection.stop()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the aborted transports say goodbye
        self.record.close()

    def behave(self, behaviour: Behaviour = _OK) -> None:
        """Set the standing behaviour, for ``behaviour.times`` model requests or until changed."""
        self._standing, self._left = behaviour, behaviour.times

    def _behaviour_for(self, request: HttpRequest, asked: _Asked) -> Behaviour:
        own = request.headers.get("x-stand-in")
        if own:
            return parse(own)
        if asked.stand_in is not None:
            return asked.stand_in
        chosen = behaviour_of(asked.model)
        if chosen is not None:
            return chosen
        if self._left is None:
            return self._standing
        if self._left == 0:
            return _OK
        self._left -= 1
        return self._standing

    async def _handle(self, connection: Connection, request: HttpRequest) -> None:
        if request.path.startswith("/stand-in/"):
            self._control(connection, request)
            return
        seen = self.record.begin(request.method, request.path, request.headers, request.body)
        headers = [("x-request-id", f"stand-in-{seen.number}")]
        dialect, model, streams = _named(request.path)
        dialect = dialect or _CHAT.get(request.path) or _EMBED.get(request.path) or OPENAI
        outcome, reply = "cancelled", ""
        try:
            if not self._admitted(request):
                connection.send(401, dialect.error(401, "the stand-in expects another key"), _JSON, headers)
                outcome = "refused"
            elif request.method == "POST" and (model or request.path in _CHAT):
                reply = self._reply_id(dialect, seen)
                asked = _decode(request.body)
                if model:
                    asked.model, asked.stream = model, streams
                if dialect is OLLAMA_GENERATE and not asked.prompt:  # that is how a model is loaded and unloaded
                    connection.send(200, dialects.ollama_loaded(asked.model), _JSON, headers)
                    outcome = "complete"
                    return
                outcome = await self._chat(connection, request, asked, seen, dialect, headers)
            elif request.method == "POST" and request.path in _EMBED:
                seen.operation = "embeddings"
                outcome = await self._embed(connection, request, seen, dialect, headers)
            else:
                outcome = self._about(connection, request, headers)
        except ValueError as exc:  # what the client sent cannot be understood
            connection.send(400, dialect.error(400, str(exc)), _JSON, headers)
            outcome = "refused"
        finally:
            self.record.end(seen, outcome, reply=reply)

    def _admitted(self, request: HttpRequest) -> bool:
        found = (request.headers.get(name) for name in ("x-api-key", "x-goog-api-key"))
        given = next(filter(None, found), "") or request.headers.get("authorization", "").removeprefix("Bearer ")
        return not self._key or given == self._key

    def _reply_id(self, dialect: Dialect, seen: Seen) -> str:
        prefix = {"openai": "chatcmpl", "anthropic": "msg"}.get(dialect.name, "chat")
        return f"{prefix}-stand-in-{seen.number:08d}"

    async def _chat(
        self,
        connection: Connection,
        request: HttpRequest,
        asked: _Asked,
        seen: Seen,
        dialect: Dialect,
        headers: replies.Headers,
    ) -> str:
        behaviour = self._behaviour_for(request, asked)
        if (asked.n or 1) != 1:
            raise ValueError("the stand-in gives one choice only")
        texts = asked.texts
        pieces, finish = pieces_for(texts[-1] if texts else "", count=behaviour.chunks, limit=asked.limit)
        if behaviour.says:
            pieces, finish = behaviour.says, "stop"
        answer = Answer(
            id=self._reply_id(dialect, seen),
            model="another-model" if behaviour.mode == "wrong-model" else asked.model,
            created=int(time.time()),
            pieces=pieces,
            input=_CUT if behaviour.mode == "prompt-cut" else count_messages(texts),
            output=len(pieces),
            finish=finish,
            include_usage=asked.stream_options is not None and asked.stream_options.include_usage,
            logprob=behaviour.logprob if asked.logprobs else None,
        )
        seen.model, seen.input, seen.mode = asked.model, answer.input, behaviour.mode
        seen.stream = asked.stream if asked.stream is not None else dialect.name == "ollama"
        headers = headers + behaviour.limit_headers()
        if behaviour.mode == "one-at-a-time":
            if self._only is not None:
                self._only.reset()
            self._only = connection
        if await replies.refuse(connection, dialect, behaviour, headers):
            return "refused"
        if seen.stream:
            return await replies.stream(connection, dialect, answer, seen, behaviour, headers)
        if behaviour.mode == "huge":
            return await replies.huge_plain(connection, dialect, answer, seen, behaviour, headers)
        seen.chunks = answer.output
        error = dialect.error(500, behaviour.error or replies.STRUCK)
        body = shapes.plain(dialect, answer, behaviour.mode)
        return await replies.plain(connection, body, error, seen, behaviour, headers)

    async def _embed(
        self, connection: Connection, request: HttpRequest, seen: Seen, dialect: Dialect, headers: replies.Headers
    ) -> str:
        asked = _decode(request.body)
        behaviour = self._behaviour_for(request, asked)
        if asked.input is None:
            raise ValueError("input is missing")
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        seen.model, seen.mode, seen.input = asked.model, behaviour.mode, sum(count_text(text) for text in texts)
        if await replies.refuse(connection, dialect, behaviour, headers):
            return "refused"
        vectors = [vector(text, asked.dimensions or DIMENSIONS) for text in texts]
        if dialect is OLLAMA:
            body = dialects.ollama_embed(asked.model, vectors, seen.input)
        else:
            as_base64 = asked.encoding_format == "base64"
            body = dialects.openai_embeddings(asked.model, vectors, seen.input, as_base64=as_base64)
        error = dialect.error(500, replies.STRUCK)
        return await replies.plain(connection, body, error, seen, behaviour, headers)

    def _about(self, connection: Connection, request: HttpRequest, headers: replies.Headers) -> str:
        """Answer what asks about models; anything else is not found."""
        path, body = request.path, b""
        if request.method == "GET" and path == "/v1/models":
            body = dialects.openai_models(MODELS)
        elif request.method == "GET" and path.startswith("/v1/models/") and path.rpartition("/")[2] in MODELS:
            body = msgspec.json.encode(dialects.openai_model(path.rpartition("/")[2]))
        elif request.method == "GET" and path == "/api/tags":
            body = dialects.ollama_tags(MODELS)
        elif request.method == "GET" and path == "/api/version":
            body = b'{"version":"0.0.0-stand-in"}'
        elif request.method == "GET" and path == "/api/ps":
            body = b'{"models":[]}'
        elif request.method == "POST" and path == "/api/show":
            body = dialects.ollama_show(_decode(request.body).model)
        if not body:
            error = OLLAMA.error if path.startswith("/api/") else OPENAI.error
            connection.send(404, error(404, f"the stand-in has no {request.method} {path}"), _JSON, headers)
            return "refused"
        connection.send(200, body, _JSON, headers)
        return "complete"

    def _control(self, connection: Connection, request: HttpRequest) -> None:
        """The stand-in's own paths: ``mode``, ``record``, ``reset``; ``elsewhere`` is where the redirect points."""
        status, body = 200, b"{}"
        match request.method, request.path:
            case "GET", "/stand-in/record":
                report = msgspec.structs.replace(self.record.report(), connections=len(self._connections))
                body = msgspec.json.encode(report)
            case "POST", "/stand-in/mode":
                try:
                    self.behave(parse(request.body))
                except ValueError as exc:
                    status, body = 400, OPENAI.error(400, str(exc))
                else:
                    body = msgspec.json.encode(self._standing)
            case "GET", "/stand-in/mode":
                body = msgspec.json.encode(self._standing)
            case "POST", "/stand-in/reset":
                self.behave()
                self.record.reset()
            case _, "/stand-in/elsewhere":
                self.record.followed()
            case _:
                status, body = 404, OPENAI.error(404, f"the stand-in has no {request.method} {request.path}")
        connection.send(status, body, _JSON)


def _decode(body: bytes) -> _Asked:
    try:
        return msgspec.json.decode(body, type=_Asked)
    except msgspec.DecodeError as exc:
        raise ValueError(f"the stand-in cannot read the request: {exc}") from exc


def _named(path: str) -> tuple[Dialect | None, str, bool]:
    """(dialect, model, whether to stream) of a path that names the model; no dialect for any other path."""
    for pattern, dialect, mark in _NAMED:
        match = pattern.fullmatch(path)
        if match is not None:
            return dialect, unquote(match[1]), mark in path[match.end(1) :]
    return None, "", False


def _text(content: str | list[_Part] | None) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content or ())
