"""Asks questions: of a running gateway when one answers, else of a gateway built in this process.

Both ways give the same headers and the same stream, so whoever asks need not care which one it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import msgspec

from nearfar.cli import client
from nearfar.cli.answer import COST, UNKNOWN, Answer, together
from nearfar.core.errors import NearfarError, NotFoundError
from nearfar.settings.load import Loaded

T = TypeVar("T")
Show = Callable[[str], None]
"""Is given each piece of visible text as it comes."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One question answered."""

    text: str
    headers: dict[str, str]
    answer: Answer
    milliseconds: float


class Session(Protocol):
    """Somebody who answers; leave its ``with`` to end it."""

    where: str
    """The gateway's address, or ``this process``."""

    def ask(self, body: dict[str, object], *, class_: str, show: Show, purpose: str = "") -> Turn:
        """Send ``body`` (a chat request), show the answer as it comes. Raises NearfarError, also in mid-stream.

        ``purpose``: ``probe`` for one that tries what a deployment can do, ``eval`` for one that is scored.
        """
        ...

    def leave(self, body: dict[str, object], *, class_: str, purpose: str = "") -> bool:
        """Send ``body`` and hang up at the first text; False when the answer ended before there was any."""
        ...

    def account(self, turn: Turn) -> Turn:
        """``turn`` with its cost, if that can be known once the session is over. A stream's head comes before it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def running_gateway(loaded: Loaded, url: str) -> client.Gateway | None:
    """The gateway that was named, or that answers at the configured address; None when nobody does."""
    gateway = client.locate(loaded, url)
    named = bool(url or loaded.environ.get("NEARFAR_URL"))
    return gateway if named or gateway.alive() else None


def open_session(loaded: Loaded, url: str) -> Session:
    """A running gateway if there is one, else one in this process."""
    gateway = running_gateway(loaded, url)
    if gateway is None:
        return Here(loaded)
    return Remote(gateway, frozenset({*loaded.settings.deployments, *loaded.settings.routes}))


class _LeftError(Exception):
    """Whoever asked has gone."""


class Remote:
    """A running gateway. ``configured``: names in the caller's configuration, which may be newer than the gateway's."""

    def __init__(self, gateway: client.Gateway, configured: frozenset[str]) -> None:
        self._gateway = gateway
        self._configured = configured
        self.where = gateway.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, body: dict[str, object], *, class_: str, show: Show, purpose: str = "") -> Turn:
        """See Session."""
        began = time.perf_counter()
        answer = Answer()
        extra = {"x-nearfar-tell": "cost", **({"x-nearfar-class": class_} if class_ else {})}
        if purpose:
            extra["x-nearfar-purpose"] = purpose
        try:
            with self._gateway.stream("/v1/chat/completions", body, extra) as (headers, pieces):
                for piece in pieces:
                    show(answer.feed(piece))
        except NotFoundError as error:
            if body.get("model") in self._configured:
                error.hint = f"Your configuration has it; the gateway at {self.where} read another one: restart that."
            raise
        answer.close()
        elapsed = (time.perf_counter() - began) * 1000
        return Turn(text=answer.text, headers=together(headers, answer.told), answer=answer, milliseconds=elapsed)

    def leave(self, body: dict[str, object], *, class_: str, purpose: str = "") -> bool:
        """See Session."""

        def gone(text: str) -> None:
            if text:
                raise _LeftError

        try:
            self.ask(body, class_=class_, show=gone, purpose=purpose)
        except _LeftError:
            return True
        return False

    def account(self, turn: Turn) -> Turn:
        """See Session. The gateway told the cost at the end of the stream."""
        return turn


class Here:
    """A gateway in this process, built at the first question and closed with the session."""

    where = "this process"

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._runner = asyncio.Runner()
        self._gateway: object = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        from nearfar import build

        if isinstance(self._gateway, build.Gateway):
            self._runner.run(self._gateway.close())
        self._runner.close()

    def ask(self, body: dict[str, object], *, class_: str, show: Show, purpose: str = "") -> Turn:
        """See Session."""
        return self._runner.run(self._ask(body, class_, show, purpose))

    async def asked(self, body: dict[str, object], *, class_: str, show: Show, purpose: str = "") -> Turn:
        """As ``ask``, for whoever asks several at once inside ``run``."""
        return await self._ask(body, class_, show, purpose)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` where this gateway lives."""
        return self._runner.run(work)

    def leave(self, body: dict[str, object], *, class_: str, purpose: str = "") -> bool:
        """See Session."""
        return self._runner.run(self._leave(body, class_, purpose))

    async def _leave(self, body: dict[str, object], class_: str, purpose: str) -> bool:
        begun = asyncio.Event()
        asking = asyncio.create_task(self._ask(body, class_, lambda text: begun.set() if text else None, purpose))
        waiting = asyncio.create_task(begun.wait())
        await asyncio.wait({asking, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not begun.is_set():
            await asking
            return False
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        return True

    def account(self, turn: Turn) -> Turn:
        """See Session: the ledger is complete once this session is closed."""
        from nearfar.core.money import NANO
        from nearfar.ledger import query

        with contextlib.closing(query.open_ledger(self._loaded.ledger_url)) as connection:
            costs = [entry.cost for entry in query.request(connection, turn.headers.get("x-nearfar-request", ""))]
        known = [cost for cost in costs if cost is not None]
        if not costs:
            return turn
        told = f"{sum(known) / NANO:.9f}" if len(known) == len(costs) else UNKNOWN
        return msgspec.structs.replace(turn, headers={**turn.headers, COST: told})

    async def _ask(self, body: dict[str, object], class_: str, show: Show, purpose: str) -> Turn:
        from nearfar import build
        from nearfar.core.places import Class
        from nearfar.gateway.decider import Said
        from nearfar.wire.openai_chat import CLIENT

        if not isinstance(self._gateway, build.Gateway):
            self._gateway = build.gateway(self._loaded)
            self._gateway.start()
        gateway = self._gateway
        began = time.perf_counter()
        out = _Out(show)
        request = CLIENT.parse(msgspec.json.encode(body), gateway.ids.new("req-"))
        request.received = int(time.time())
        request.tell_cost = True
        request.purpose = purpose or request.purpose
        said = Said(header=Class.parse(class_) if class_ else None)
        await gateway.pipeline.answer(request, CLIENT, said, out)
        out.close()
        elapsed = (time.perf_counter() - began) * 1000
        headers = together(out.headers, out.answer.told)
        return Turn(text=out.answer.text, headers=headers, answer=out.answer, milliseconds=elapsed)


class _Out:
    """The terminal's end of an exchange."""

    def __init__(self, show: Show) -> None:
        self.answer = Answer()
        self.headers: dict[str, str] = {}
        self._status = 0
        self._refusal = b""
        self._show = show
        self._error: NearfarError | None = None

    async def start(self, status: int, headers: list[tuple[bytes, bytes]], lines: bytes = b"") -> None:
        """See gateway.exchange.Out."""
        from nearfar.gateway.exchange import read_lines

        self._status = status
        told = [*headers, *read_lines(lines)]
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in told}

    async def write(self, data: bytes) -> None:
        """See gateway.exchange.Out."""
        if self._status >= 400:
            self._refusal += data
            return
        try:
            self._show(self.answer.feed(data))
        except NearfarError as error:
            # Kept for ``close``: an error raised here would look to the pipeline like a client that went away.
            self._error = error

    async def end(self, data: bytes) -> None:
        """See gateway.exchange.Out."""
        await self.write(data)

    async def abort(self) -> None:
        """See gateway.exchange.Out."""

    def close(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._status >= 400:
            raise client.error_of(self._status, self._refusal)
        if self._error is not None:
            raise self._error
        self.answer.close()
