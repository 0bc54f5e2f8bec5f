"""Puts an evaluation's questions: to a running gateway in threads, or to one in this process. It scores nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from nearfar.cli.answer import COST, DEVIATIONS, Answer, deployment, whole
from nearfar.cli.errors import UsageError
from nearfar.cli.session import Here, Session, Show, Turn
from nearfar.core.errors import BadRequestError, InternalServerError, NearfarError, UnprocessableEntityError
from nearfar.core.money import NANO, Price
from nearfar.evaluation.records import Heard, Job, Role
from nearfar.settings.load import Loaded

PURPOSES: Mapping[Role, str] = {"answer": "eval", "opinion": "opinion", "judge": "judge"}
"""A policy may say of judges and opinions how far they go: that holds for these, too."""
T = TypeVar("T")
_NEAREST = 3
"""Names that are told to whoever misspelt one."""


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment behind a name that can be asked for."""

    name: str
    place: str
    usable: bool = True
    trouble: str = ""
    price: Price | None = None


class _More(msgspec.Struct, frozen=True):
    strategy: str = ""
    deployments: list[Behind] = []


class Named(msgspec.Struct, frozen=True):
    """A row of GET /v1/models."""

    id: str
    nearfar: _More = _More()

    @property
    def behind(self) -> list[Behind]:
        """Who could answer now."""
        return [item for item in self.nearfar.deployments if item.usable]

    @property
    def prices(self) -> list[Price | None]:
        """Of all who could answer; None where one is not known."""
        return [item.price for item in self.behind]


class _GoneError(Exception):
    """Nobody waits for the answer any more."""


def names(loaded: Loaded, url: str, wanted: Sequence[str]) -> dict[str, Named]:
    """The rows of what is to be asked. Raises UsageError for a name that nobody has, or that cannot be used."""
    from nearfar.cli.session import running_gateway

    gateway = running_gateway(loaded, url)
    where = "this process" if gateway is None else gateway.url
    if gateway is not None:
        raw = gateway.get("/v1/models")["data"]
    else:
        from nearfar.cli.route import listed

        raw = asyncio.run(listed(loaded))
    try:
        rows = {row.id: row for row in msgspec.convert(raw, list[Named])}
    except msgspec.ValidationError as error:
        raise InternalServerError(f"{where} lists its models in a form this release does not know: {error}.") from error
    for name in wanted:
        if name not in rows:
            raise UsageError(f"There is no {name!r} at {where}.", hint=_nearest(name, rows))
        if not rows[name].behind:
            troubles = "; ".join(item.trouble for item in rows[name].nearfar.deployments) or "nothing is behind it"
            raise UsageError(f"{name} cannot be asked: {troubles}.", hint="`nearfar route ls` shows what can.")
    return {name: rows[name] for name in wanted}


def _nearest(name: str, rows: Mapping[str, Named]) -> str:
    import difflib

    close = difflib.get_close_matches(name, rows, n=_NEAREST)
    return f"Did you mean {', '.join(close)}?" if close else "`nearfar route ls` lists all names."


class Putting:
    """Puts questions through ``session``. One that refuses log-probabilities is not asked for them again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unweighed: set[str] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work``, which calls ``ask``."""
        return self._session.run(work) if isinstance(self._session, Here) else asyncio.run(work)

    async def ask(self, job: Job) -> Heard:
        """Put one question; see ``evaluation.running.Ask``."""
        if not job.weigh or job.on in self._unweighed:
            return await self._ask(job, job.body)
        try:
            return await self._ask(job, {**job.body, "logprobs": True, "top_logprobs": 2})
        except (BadRequestError, UnprocessableEntityError):
            plain = await self._ask(job, job.body)  # raises again if that was not it
            self._unweighed.add(job.on)
            return plain

    async def _ask(self, job: Job, body: dict[str, Any]) -> Heard:
        purpose = PURPOSES[job.role]
        began = time.perf_counter()
        first: list[float] = []

        def show(text: str) -> None:
            if text and not first:
                first.append((time.perf_counter() - began) * 1000)

        if isinstance(self._session, Here):
            turn = await self._session.asked(body, class_=job.class_, show=show, purpose=purpose)
        else:
            turn = await _in_a_thread(self._session, body, job.class_, show, purpose)
        return heard(turn, first[0] if first else None, (time.perf_counter() - began) * 1000)


async def _in_a_thread(session: Session, body: dict[str, Any], class_: str, show: Show, purpose: str) -> Turn:
    """Ask where asking blocks. Whoever stops waiting ends the question at its next piece, and never waits for it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Turn] = loop.create_future()
    gone = threading.Event()

    def shown(text: str) -> None:
        if gone.is_set():
            raise _GoneError
        show(text)

    def told(turn: Turn | None, error: Exception | None) -> None:
        if answer.done():
            return
        if turn is not None:
            answer.set_result(turn)
        else:
            answer.set_exception(error or _GoneError())

    def ask() -> None:
        turn: Turn | None = None
        failure: Exception | None = None
        try:
            turn = session.ask(body, class_=class_, show=shown, purpose=purpose)
        except (NearfarError, _GoneError) as error:
            failure = error
        except Exception as error:  # noqa: BLE001  it belongs to whoever waits, not to this thread
            failure = error
        if not gone.is_set():
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile: nobody waits
                loop.call_soon_threadsafe(told, turn, failure)

    # Not one of the loop's own threads: those are waited for at the end, however long an answer takes.
    threading.Thread(target=ask, daemon=True, name="eval").start()
    try:
        return await answer
    finally:
        gone.set()


def heard(turn: Turn, first: float | None, total: float) -> Heard:
    """The turn as a record keeps it. ``first``: milliseconds until the first visible text; ``total``: until its end."""
    answer: Answer = turn.answer
    headers = turn.headers
    return Heard(
        text=turn.text,
        deployment=deployment(headers, ""),
        place=headers.get("x-nearfar-place", ""),
        class_=headers.get("x-nearfar-class", ""),
        finish=answer.finish,
        cost=_nano(headers.get(COST, "")),
        input=answer.input,
        output=answer.output,
        first_ms=None if first is None else round(first, 1),
        total_ms=round(total, 1),
        logprobs=answer.logprobs,
        margin=answer.margin,
        deviations=[item.strip() for item in whole(headers, DEVIATIONS).split(",") if item.strip()],
        request=headers.get("x-nearfar-request", ""),
        attempts=_count(headers.get("x-nearfar-attempts", "")),
    )


def _count(text: str) -> int:
    return int(text) if text.isdigit() else 1


def _nano(text: str) -> int | None:
    try:
        return int(Decimal(text) * NANO)
    except InvalidOperation:
        return None  # "unknown", or nobody said
