"""The channel between the parent process and its workers: the parent runs engines, all share cool-downs and speeds.

One JSON message a line over a socket pair. When a worker dies its end closes, and what it held is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EngineError, NearfarError
from nearfar.engine.supervisor import Supervisor
from nearfar.gateway.exposition import Snapshot, merged, without_gauges
from nearfar.gateway.health import LONGEST, CoolDown
from nearfar.gateway.metrics import GAUGES
from nearfar.policy.wait import Pace

log = logging.getLogger("nearfar.control")

REPORT_SECONDS = 1.0
LINE = 4 * 1024 * 1024
"""The longest message; a status over many models stays far below."""


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call", omit_defaults=True):
    """Worker to parent: ``op`` is acquire, release, status, unload or metrics."""

    id: int
    op: str
    model: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer", omit_defaults=True):
    """Parent to worker."""

    id: int
    endpoint: Endpoint | None = None
    status: list[EngineStatus] = []
    snapshots: list[Snapshot] = []
    done: bool = False
    error: str = ""
    code: str = ""
    hint: str = ""
    retry_after: float | None = None


class News(msgspec.Struct, frozen=True, kw_only=True, tag="news"):
    """Either way: a cool-down began or ended."""

    rest: CoolDown


class Numbers(msgspec.Struct, frozen=True, kw_only=True, tag="numbers"):
    """Worker to parent: what it has counted so far."""

    snapshot: Snapshot


class Speeds(msgspec.Struct, frozen=True, kw_only=True, tag="speeds"):
    """Either way: how fast deployments were, by name, for those who have not measured it themselves."""

    paces: dict[str, Pace]


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """Parent to worker: finish what runs and end."""


Message = Call | Answer | News | Numbers | Speeds | Stop

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode
_BROKEN = (OSError, ValueError, msgspec.DecodeError)
"""How a channel ends other than by its end: a reset, a line that is too long, one that was torn off."""


class Hub:
    """The parent's side: one supervisor for all workers."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._rests: dict[tuple[str, str], CoolDown] = {}
        """Deployment and kind of failure → its breaker."""
        self._paces: dict[str, Pace] = {}
        """Deployment → how fast it was, as the last worker said that measured it."""
        self._numbers: dict[str, Snapshot] = {}
        """Living worker → its last counts."""
        self._past: Snapshot = []
        """What the dead workers counted, all together: without it counters would go back."""
        self.stopping = False

    async def serve(self, owner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one worker until its end closes; then give back what it held."""
        self._writers[owner] = writer
        self._prune()
        for rest in self._rests.values():
            _write(writer, News(rest=rest))
        if self._paces:
            _write(writer, Speeds(paces=self._paces))
        if self.stopping:
            _write(writer, Stop())
        # A task per call: a cold start must not hold up the other requests of the worker.
        tasks: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                self._heard(owner, _decode(line), tasks, writer)
        except ConnectionError:
            # A worker that dies with something unread resets the channel.
            pass
        except _BROKEN as error:
            log.warning("the channel of a worker broke", extra={"worker": owner, "error": str(error)})
        finally:
            self._writers.pop(owner, None)
            self._past = merged(self._past, without_gauges(self._numbers.pop(owner, []), GAUGES))
            # Nobody is there to hear the answers, and a model may take minutes to load.
            for task in tasks:
                task.cancel()
            self._supervisor.drop_owner(owner)
            writer.close()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _heard(
        self, owner: str, message: Message, tasks: set[asyncio.Task[None]], writer: asyncio.StreamWriter
    ) -> None:
        if isinstance(message, News):
            self._spread(owner, message)
        elif isinstance(message, Numbers):
            self._numbers[owner] = message.snapshot
        elif isinstance(message, Speeds):
            self._paces |= message.paces
            self._pass_on(owner, message)
        elif isinstance(message, Call):
            task = asyncio.create_task(self._answer(owner, message, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def stop(self) -> None:
        """Ask every worker to finish and end, also one that is yet to come."""
        self.stopping = True
        for writer in self._writers.values():
            _write(writer, Stop())

    def _prune(self) -> None:
        """Forget what is so long over that it tells nothing about the deployment any more."""
        now = time.monotonic()
        self._rests = {key: rest for key, rest in self._rests.items() if rest.until > now - LONGEST}

    def _spread(self, owner: str, news: News) -> None:
        self._prune()
        key = (news.rest.deployment, news.rest.kind)
        if news.rest.failures:
            self._rests[key] = news.rest
        else:
            self._rests.pop(key, None)
        self._pass_on(owner, news)

    def _pass_on(self, owner: str, message: News | Speeds) -> None:
        for name, writer in self._writers.items():
            if name != owner:
                _write(writer, message)

    async def _answer(self, owner: str, call: Call, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._do(owner, call)
        except NearfarError as error:
            answer = Answer(
                id=call.id, error=error.message, code=error.code, hint=error.hint, retry_after=error.retry_after
            )
        except Exception:
            # One call that fails must not end the channel, and with it a worker that answers other requests.
            log.exception("unexpected failure", extra={"op": call.op, "worker": owner})
            answer = Answer(id=call.id, error="The process that runs the models failed; its log has the details.")
        _write(writer, answer)

    async def _do(self, owner: str, call: Call) -> Answer:
        if call.op == "acquire":
            return Answer(id=call.id, endpoint=await self._supervisor.acquire(call.model, owner))
        if call.op == "release":
            self._supervisor.release(call.model, owner)
            return Answer(id=call.id, done=True)
        if call.op == "metrics":
            others = [item for name, item in self._numbers.items() if name != owner]
            return Answer(id=call.id, snapshots=[self._past, *others])
        if call.op == "status":
            return Answer(id=call.id, status=await self._supervisor.status())
        return Answer(id=call.id, done=await self._supervisor.unload(call.model))


class Link:
    """The worker's side: the parent's engines as ``core.engines.Engines``, and news of cool-downs."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        stop: Callable[[], None],
    ) -> None:
        """``stop`` is called when the parent says so, and when it is gone."""
        self._reader = reader
        self._writer = writer
        self._stop = stop
        self._calls: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.count(1)
        self._gone = False
        self._counted: Callable[[], Snapshot] | None = None

    async def listen(
        self, learn: Callable[[CoolDown], None], hear: Callable[[Mapping[str, Pace]], None] = lambda _: None
    ) -> None:
        """Read the parent's messages until it is gone; ``learn`` is told of other workers' cool-downs, ``hear`` of the
        speeds that they have measured.
        """
        try:
            while line := await self._reader.readline():
                message = _decode(line)
                if isinstance(message, Answer):
                    self._answered(message)
                elif isinstance(message, News):
                    learn(message.rest)
                elif isinstance(message, Speeds):
                    hear(message.paces)
                elif isinstance(message, Stop):
                    self._stop()
        except ConnectionError:
            pass
        except _BROKEN as error:
            log.warning("the channel to the parent broke", extra={"error": str(error)})
        self._gone = True
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(_gone())
        self._stop()

    def publish(self, rest: CoolDown) -> None:
        """Tell the other workers."""
        self._send(News(rest=rest))

    async def acquire(self, model: str, owner: str = "") -> Endpoint:  # noqa: ARG002  the parent knows its worker
        """As Engines.acquire."""
        waiting = self._ask("acquire", model)
        try:
            answer = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # The answer may still come: what it grants is given back then, or the model would count as busy for ever.
            waiting.add_done_callback(lambda late: self._give_back(late, model))
            raise
        assert answer.endpoint is not None
        return answer.endpoint

    def release(self, model: str, owner: str = "") -> None:  # noqa: ARG002  the parent knows its worker
        """As Engines.release."""
        self._send(Call(id=next(self._ids), op="release", model=model))

    async def status(self) -> list[EngineStatus]:
        """As Engines.status."""
        return (await self._ask("status")).status

    async def unload(self, model: str) -> bool:
        """As Engines.unload."""
        return (await self._ask("unload", model)).done

    async def other_metrics(self) -> list[Snapshot]:
        """What the other workers have counted, dead ones too."""
        return (await self._ask("metrics")).snapshots

    async def report(self, snapshot: Callable[[], Snapshot], news: Callable[[], dict[str, Pace]] = dict) -> None:
        """Tell the parent every second what was counted, and once more when the link closes; and ``news`` of speeds."""
        self._counted = snapshot
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self._send(Numbers(snapshot=snapshot()))
            if paces := news():
                self._send(Speeds(paces=paces))

    async def close(self) -> None:
        """Say the last counts and end the channel; the engines belong to the parent."""
        if self._counted is not None:
            self._send(Numbers(snapshot=self._counted()))
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _ask(self, op: str, model: str = "") -> asyncio.Future[Answer]:
        number = next(self._ids)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._gone:
            # Requests still finish while the worker ends; nobody would ever answer this one.
            waiting.set_exception(_gone())
            return waiting
        self._calls[number] = waiting
        self._send(Call(id=number, op=op, model=model))
        return waiting

    def _answered(self, answer: Answer) -> None:
        waiting = self._calls.pop(answer.id, None)
        if waiting is None or waiting.done():
            return
        if answer.error:
            waiting.set_exception(
                EngineError(answer.error, code=answer.code, hint=answer.hint, retry_after=answer.retry_after)
            )
        else:
            waiting.set_result(answer)

    def _give_back(self, late: asyncio.Future[Answer], model: str) -> None:
        if not late.cancelled() and late.exception() is None:
            self.release(model)

    def _send(self, message: Message) -> None:
        _write(self._writer, message)


def _gone() -> EngineError:
    return EngineError("The process that runs the models is gone.")


def _write(writer: asyncio.StreamWriter, message: Message) -> None:
    # Whoever is at the other end may have died a moment ago: what is said to it is lost, and that is all.
    if not writer.is_closing():
        writer.write(_encode(message) + b"\n")
