"""The client's half of a request: the commit window, the headers that tell what happened, the bytes that go out.

It does not know where the reply comes from; it sees chunks and deviations.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import msgspec

from nearfar.core.chat import Chunk, Request, TextDelta
from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.money import NANO
from nearfar.core.places import Class, Place
from nearfar.core.routing import Decision, Ranked
from nearfar.policy.classify import Seen
from nearfar.policy.seal import Look
from nearfar.wire.base import ClientWire, Renderer

if TYPE_CHECKING:
    from nearfar.gateway.learning_notes import Notes
    from nearfar.gateway.lines import Line
    from nearfar.gateway.masking import Masked
    from nearfar.privacy.restore_events import Restorer

Headers = list[tuple[bytes, bytes]]

WINDOW = 1024 * 1024
"""Bytes of a stream that are held while waiting for its first content."""
LARGE = 64 * 1024
"""Bytes of one chunk from which on masks are restored beside the event loop."""


class Out(Protocol):
    """Where the client's bytes go: the HTTP edge, or the terminal."""

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """Send status and headers; ``lines`` are headers written out already, each with its line break."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of a body; waits while the client is slow."""
        ...

    async def end(self, data: bytes) -> None:
        """Send the last piece: the reply is complete."""
        ...

    async def abort(self) -> None:
        """Break the connection, so that nobody takes what was sent for a whole reply."""
        ...


class Ear(Protocol):
    """Hears a reply that is held until somebody has judged it."""

    changes: bool
    """Whether it changes events, so that a reply cannot go out in the bytes in which it came."""

    def hear(self, chunks: Sequence[Chunk]) -> None:
        """Hear chunks as the client would get them. It may raise a NearfarError, which ends the attempt."""
        ...


class Exchange(msgspec.Struct, eq=False):
    """One request being answered. ``committed`` once content has gone out: from then on nothing can be taken back.

    A struct although it changes: it has many members, one is made for every request, and most stay as they begin.
    """

    request: Request
    wire: ClientWire
    out: Out
    """Where the client's bytes go."""
    started: float
    """perf_counter seconds at the request's arrival."""
    asking: Request = None  # type: ignore[assignment]  # set below
    asking_wire: ClientWire = None  # type: ignore[assignment]  # set below
    """What the next attempt sends, and in which dialect: the client's request, or one that stands for it."""
    prepared: Masked | None = None
    """What may leave where only what was rewritten may; None: nothing was."""
    told: Ranked | None = None
    """Whom the reply's head names, where it is not who speaks last."""
    would: str = ""
    """What a policy that is only observed would have done; empty where none is."""
    seen: tuple[Seen, ...] = ()
    """What a look at the content found."""
    decision: Decision | None = None
    ranked: Ranked | None = None
    like: bool = False
    attempts: int = 0
    kept: list[str] | None = None
    """The words that went out, for whoever may have to continue them; None: nobody will."""
    serial: int = 0
    """Attempts besides those counted here: the numbers of further ones begin after both."""
    lost: bool = False
    """Whether its attempt is cancelled because another one was faster, and not because the client left."""
    attempt_id: str = ""
    """The present attempt; the parent of the next one."""
    attempt_deviations: tuple[str, ...] = ()
    deviations: list[str] = []
    """Deviations of the whole request: retries and failovers."""
    first: float | None = None
    """Seconds from arrival to the first content."""
    committed: bool = False
    heads_sent: bool = False
    ear: Ear | None = None
    """Who hears the reply before anything of it goes out; None: it goes out as it comes."""
    notes: Notes | None = None
    """Who hears, as it goes out, what may be learned from; None: nobody."""
    line: Line | None = None
    """Where it holds a slot; None: nowhere, or no longer."""
    last_look: Look | None = None
    """Sees the exact bytes of a masked request before they are sealed; None where it leaves in clear."""
    _renderer: Renderer | None = None
    _restorer: Restorer | None = None
    _held: list[Chunk] = []
    _held_bytes: int = 0

    def __post_init__(self) -> None:
        """The client's own request is asked with first."""
        self.asking = self.request
        self.asking_wire = self.wire

    def attempt(
        self,
        ranked: Ranked,
        attempt_id: str,
        deviations: tuple[str, ...],
        *,
        like: bool,
        restorer: Restorer | None = None,
    ) -> None:
        """A new attempt begins; what an earlier one left uncommitted is forgotten.

        ``restorer`` puts values back where the reply holds their masks.
        """
        self._restorer = restorer
        self.ranked = self.told or ranked
        self.attempt_id = attempt_id
        self.attempt_deviations = deviations
        if self.asking_wire is not self.wire:
            # What stands for the request may speak another dialect than the client.
            like = like and self.asking.wire == self.request.wire
        self.like = like
        if self.ear is not None:
            # It hears events, so they are read in any case; the bytes still go out as they came, if it changes none.
            self.like = False
            like = like and not self.ear.changes
        elif self.notes is not None:
            self.like = False
            self.notes.begin(self.ranked.candidate.deployment, goes_on=self.committed)
        self.attempts += 1
        self._held = []
        self._held_bytes = 0
        if self.committed:
            # It continues what another attempt began: the client goes on reading the same reply.
            return
        self._renderer = self.wire.renderer(self.request, like)

    def lane(self, out: Out) -> Exchange:
        """An exchange for one of several attempts under way for the same request; ``adopt`` takes it back."""
        made = Exchange(self.request, self.wire, out, self.started)
        for name in _SHARED:
            setattr(made, name, getattr(self, name))
        made.deviations = list(self.deviations)
        made.kept = None if self.kept is None else []
        return made

    def adopt(self, lane: Exchange) -> None:
        """Go on where ``lane`` stands."""
        sent = self.heads_sent or lane.heads_sent
        for name in _TAKEN:
            setattr(self, name, getattr(lane, name))
        self.heads_sent = sent

    def told_late(self, lines: bytes) -> bytes:
        """What a head would have said, as a note in a stream whose head has gone out."""
        assert self._renderer is not None
        told = [line for line in lines.decode("ascii").splitlines() if not line.startswith(_KNOWN_BEFORE)]
        return self._renderer.note("; ".join(told))

    async def deliver(self, chunks: Sequence[Chunk]) -> None:
        """Pass chunks on; before the first content they are held, so that another candidate may still answer."""
        if not chunks:
            return
        renderer = self._renderer
        assert renderer is not None
        if self._restorer is not None:
            for chunk in chunks:
                if len(chunk.raw) > LARGE:
                    chunk.events = await asyncio.to_thread(self._restorer.feed, chunk.events)
                else:
                    chunk.events = self._restorer.feed(chunk.events)
        if self.notes is not None:
            self.notes.hear(chunks)
        if not self.committed:
            self._held.extend(chunks)
            if self.ear is not None:
                self.ear.hear(chunks)
                return
            if self.request.stream:
                self._held_bytes += sum(len(chunk.raw) for chunk in chunks)
                if self._held_bytes > WINDOW:
                    raise UpstreamError(f"The upstream sent {WINDOW} bytes and no content.", code="no_content")
            if not self.request.stream or not any(chunk.content or chunk.end for chunk in chunks):
                return
            await self._commit()
            chunks = self._held
            self._held = []
        if self.kept is not None:
            self._keep(chunks)
        if len(chunks) == 1:
            data = renderer.render(chunks[0])
        else:
            data = b"".join([renderer.render(chunk) for chunk in chunks])
        if data:
            await self.out.write(data)

    def _keep(self, chunks: Sequence[Chunk]) -> None:
        """Remember the words of ``chunks``. What is more than words, or has said its last one, cannot be continued."""
        assert self.kept is not None
        for chunk in chunks:
            for event in chunk.events:
                if isinstance(event, TextDelta):
                    self.kept.append(event.text)
                else:
                    self.kept = None
                    return

    async def deviate(self, deviation: str) -> None:
        """Tell of a deviation that only showed at the reply's end: in the headers, or in the stream."""
        self.attempt_deviations = (*self.attempt_deviations, deviation)
        if not self.heads_sent:
            return
        assert self._renderer is not None
        note = self._renderer.note(f"x-nearfar-deviations: {deviation}")
        if whole := _encoded(b"x-nearfar-deviations-encoded", deviation, _PLAIN):
            note += self._renderer.note(whole.decode().rstrip())
        if note:
            await self.out.write(note)

    async def release(self) -> None:
        """Pass on what was held for an ear, whole: the upstream has ended clean."""
        self.ear = None
        if not self.request.stream or self.committed:
            return
        renderer = self._renderer
        assert renderer is not None
        await self._commit()
        held, self._held = self._held, []
        data = b"".join([renderer.render(chunk) for chunk in held])
        if data:
            await self.out.write(data)

    def brought_up(self) -> list[str]:
        """Deviations for what the reply has brought up by itself so far, where somebody looks for that."""
        redaction = None if self._restorer is None else self._restorer.redaction
        return [] if redaction is None else redaction.deviations()

    async def flush(self) -> None:
        """Pass on what a restorer still holds: nothing more comes from upstream."""
        restorer, self._restorer = self._restorer, None  # what it gives is done, and must not come to it again
        if restorer is not None and (events := restorer.flush()):
            await self.deliver([Chunk(events=events)])

    async def finish(self, cost: int | None) -> None:
        """The upstream ended clean: so does the client's reply. ``cost`` in nano-USD."""
        renderer = self._renderer
        assert renderer is not None
        if self._restorer is not None:
            await self.flush()
        data = b""
        if not self.committed:
            held, self._held = self._held, []
            data = renderer.render(held[0]) if len(held) == 1 else b"".join([renderer.render(chunk) for chunk in held])
            self._mark_first()
            self.committed = True
        data += renderer.finish()
        if not self.heads_sent:
            await self._send_head(renderer.content_type, cost=cost, length=len(data))
        elif self.request.tell_cost:
            # Only its end knows what a stream cost. Whoever did not ask gets the dialect's own bytes alone.
            data += renderer.note(f"x-nearfar-cost-usd: {'unknown' if cost is None else f'{cost / NANO:.9f}'}")
        await self.out.end(data)

    async def fail(self, error: NearfarError) -> None:
        """The request failed: a typed error reply, or after the head the dialect's error event and no clean end."""
        if not self.heads_sent:
            body = self.wire.error(error, self.request.id)
            await self.out.start(error.status, [*error_headers(error), _length(len(body))], self._told())
            self.heads_sent = True
            await self.out.end(body)
            return
        renderer = self._renderer or self.wire.renderer(self.request, True)
        data = renderer.error(error)
        if data:
            await self.out.write(data)
        await self.out.abort()

    async def heartbeat(self) -> None:
        """The client waits: send the head, and keep the connection alive where the dialect allows it."""
        if not self.request.stream:
            return
        renderer = self._renderer or self.wire.renderer(self.request, True)
        beat = renderer.keep_alive()
        if not beat:
            return
        if not self.heads_sent:
            # Nobody knows yet who will answer, and a header cannot be taken back: it is told in the stream then.
            await self._send_head(renderer.content_type, cost=None, length=None, pending=True)
        await self.out.write(beat)

    async def _commit(self) -> None:
        self.committed = True
        self._mark_first()
        renderer = self._renderer
        assert renderer is not None
        if not self.heads_sent:
            await self._send_head(renderer.content_type, cost=None, length=None)
            return
        note = self.told_late(self._told())
        if note:
            await self.out.write(note)

    def _mark_first(self) -> None:
        if self.first is None:
            self.first = time.perf_counter() - self.started

    def _send_head(
        self, content_type: str, *, cost: int | None, length: int | None, pending: bool = False
    ) -> Awaitable[None]:
        headers: Headers = [(b"content-type", content_type.encode())]
        if length is not None:
            headers.append(_length(length))
        else:
            headers.append((b"cache-control", b"no-cache"))
        if cost is not None:
            headers.append((b"x-nearfar-cost-usd", b"%.9f" % (cost / NANO)))
        self.heads_sent = True
        return self.out.start(200, headers, self._told(pending=pending))

    def _told(self, *, pending: bool = False) -> bytes:
        # Promise 3: what happened stands in the reply. Values are ASCII: header bytes beyond it are read differently
        # by different clients.
        lines = b"x-nearfar-request: %b\r\n" % self.request.id.encode()
        decision = self.decision
        if decision is not None:
            lines += _told_decision(decision.route, decision.class_)
        if self.would:
            lines += b"x-nearfar-would: %b\r\n" % _ascii(self.would)
        ranked = self.ranked
        if pending:
            return lines + b"x-nearfar-place: pending\r\n"
        if ranked is not None:
            deployment = ranked.candidate.deployment
            lines += _told_attempt(deployment.name, deployment.place, ranked.reason, self.attempts)
        if self.deviations or self.attempt_deviations:
            told = ", ".join((*self.deviations, *self.attempt_deviations))
            lines += b"x-nearfar-deviations: %b\r\n" % _ascii(told)
            lines += _encoded(b"x-nearfar-deviations-encoded", told, _PLAIN)
        return lines


_SHARED = ("asking", "asking_wire", "attempt_id", "attempts", "decision", "prepared", "seen", "told", "would")
_TAKEN = (
    *("_held", "_held_bytes", "_renderer", "_restorer", "attempt_deviations", "attempt_id", "committed", "deviations"),
    *("first", "kept", "last_look", "like", "ranked"),
)
"""What a lane begins with, and what is taken from it when it has won."""
_PLAIN = "/:@+ ,;()="
"""What stays as it is in sentences and lists that are percent-encoded."""
_KNOWN_BEFORE = ("x-nearfar-request:", "x-nearfar-class:", "x-nearfar-would:")
"""What the head of a reply says even before anybody knows who will answer."""


# The same few replies are told of again and again.


@functools.lru_cache(1024)
def _told_decision(route: str, class_: Class) -> bytes:
    lines = b"x-nearfar-route: %b\r\nx-nearfar-class: %b\r\n" % (_ascii(route), class_.label.encode())
    return lines + _encoded(b"x-nearfar-route-encoded", route)


@functools.lru_cache(1024)
def _told_attempt(deployment: str, place: Place, reason: str, attempts: int) -> bytes:
    lines = b"x-nearfar-deployment: %b\r\nx-nearfar-place: %b\r\nx-nearfar-reason: %b\r\nx-nearfar-attempts: %d\r\n" % (
        _ascii(deployment),
        place.label.encode(),
        _ascii(reason),
        attempts,
    )
    lines += _encoded(b"x-nearfar-deployment-encoded", deployment)
    return lines + _encoded(b"x-nearfar-reason-encoded", reason, _PLAIN)


def _encoded(header: bytes, text: str, safe: str = "/:@+") -> bytes:
    """The header with the whole ``text``, where another one can only show its ASCII."""
    if text.isascii():
        return b""
    return b"%b: %b\r\n" % (header, quote(text, safe=safe, errors="replace").encode())


def read_lines(lines: bytes) -> Headers:
    """The headers in ``lines``, for an Out that looks at what it is told."""
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in pairs]


def error_headers(error: NearfarError) -> Headers:
    """Headers of an error reply: what SDKs read to decide about a retry."""
    headers: Headers = [(b"content-type", b"application/json"), (b"x-nearfar-error", _ascii(error.code))]
    if error.retry_after is not None:
        # Whole seconds, upwards: who comes back early is turned away again.
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
        headers.append((b"retry-after-ms", b"%d" % round(error.retry_after * 1000)))
    if error.status in {408, 409, 429} or error.status >= 500:
        # Every allowed deployment has been tried already: only waiting can help, and only when somebody said so.
        headers.append((b"x-should-retry", b"true" if error.retry_after is not None else b"false"))
    return headers


def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ")
