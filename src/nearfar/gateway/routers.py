"""Learned routers on the path of a request: they are asked once, after class and policy, who of both sides goes first.

It decides nothing: the decision is made again with what a router says. It knows neither how a router was learned nor
what its promise is; both come through ``core.learned.Learned``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from hashlib import blake2b

from nearfar.core.chat import Request
from nearfar.core.errors import NearfarError
from nearfar.core.learned import Gain, Learned, Standing
from nearfar.core.outcome import Outcome
from nearfar.core.routing import Decision, Lean, Route
from nearfar.gateway.asked import asked
from nearfar.gateway.beginnings import beginning
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Snapshot
from nearfar.gateway.metrics import Metrics
from nearfar.policy.lean import leaning
from nearfar.policy.rules import MEDIA

LARGE = 16 * 1024
"""Bytes of body from which on a request is read and scored beside the event loop."""
FRESH_SECONDS = 5.0
"""How long what was last read about a promise is believed, while requests come."""

_UNFIT = MEDIA | {"tools"}
"""What labels never hold, so that no router knows it and no promise covers it."""

Embed = Callable[[Request, Route, Said, str], Awaitable[list[float]]]
"""(request, route, what was said of its class, text) → its embedding. Raises NearfarError."""

log = logging.getLogger("nearfar.router")


class Routers:
    """The routers of one process, by route."""

    def __init__(
        self,
        decider: Decider,
        routes: Mapping[str, Learned],
        metrics: Metrics,
        *,
        key: bytes,
        embed: Mapping[str, Embed] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``key``: of the hash that conversations are told apart by. ``embed``: by route, for routers that need it."""
        self._decider = decider
        self._routes = routes
        self._metrics = metrics
        self._key = key
        self._embed = embed or {}
        self._clock = clock
        self._read_at = dict.fromkeys(routes, clock())
        self._tasks: set[asyncio.Task[None]] = set()

    def asks(self, route: str) -> bool:
        """Whether the route has a router."""
        return route in self._routes

    async def decide(
        self, request: Request, route: Route, said: Said, decision: Decision, snapshot: Snapshot
    ) -> tuple[Decision, Snapshot]:
        """``decision`` again with what the route's router says; as it is where none is asked.

        A router is asked only where both sides may be tried: it chooses nobody whom the policy does not allow.
        """
        learned = self._routes.get(route.name)
        if learned is None or request.purpose != "serve" or request.operation != "chat" or request.elsewhere:
            return decision, snapshot
        sides = {item.candidate.deployment.place.near for item in decision.ranked}
        if len(sides) < 2:
            return decision, snapshot
        self._look_again(route.name, learned)
        gain, why = await self._expected(request, route, said, learned)
        lean = leaning(
            gain, learned.threshold, mode=learned.mode, share=learned.share, draw=self._draw(request, route), why=why
        )
        self._metrics.leaned(route.name, _outcome(lean))
        return self._decider.decide(request, route, said, lean)

    async def _expected(self, request: Request, route: Route, said: Said, learned: Learned) -> tuple[Gain | None, str]:
        """What the router expects, or why it cannot say."""
        if not request.needs.isdisjoint(_UNFIT):
            return None, "the request is more than words"
        try:
            if learned.embeds or len(request.body) > LARGE:
                text = await asyncio.to_thread(asked, request)
            else:
                text = asked(request)
            if not text.strip():
                return None, "there are no words of a user"
            vector = None
            if learned.embeds:
                embed = self._embed.get(route.name)
                if embed is None:
                    return None, "nobody is asked for its embedding here"
                vector = await embed(request, route, said, text)
            if vector is not None or len(request.body) > LARGE:
                return await asyncio.to_thread(learned.expect, text, vector), ""
            return learned.expect(text), ""
        except NearfarError as error:
            return None, f"no embedding ({error.code})"
        except ValueError as error:
            log.warning("a router cannot score", extra={"route": route.name, "error": str(error)})
            return None, "its embedding is of another model"
        except Exception:
            # Whatever is wrong with a router, the route has a strategy that works without it.
            log.exception("a router failed", extra={"route": route.name})
            return None, "it failed, see the log"

    def _draw(self, request: Request, route: Route) -> float:
        """From 0 up to 1: the same for all turns of a conversation, and another one than for shadows."""
        known = beginning(request, self._key)
        name = str(known) if known else request.id
        digest = blake2b(f"{route.name}\0{name}".encode(), digest_size=4, key=b"router")
        return int.from_bytes(digest.digest(), "big") / 0x1_0000_0000

    # The promise

    def hear(self, outcome: Outcome) -> None:
        """A request was answered by both sides, and both were judged. Returns at once; call it on the event loop."""
        learned = self._routes.get(outcome.route)
        if learned is not None:
            self._beside(self._hear(learned, outcome))

    def standings(self) -> list[Standing]:
        """How each router does, as last read."""
        return [learned.standing() for learned in self._routes.values()]

    def count(self) -> None:
        """Tell the metrics how the promises stand: asked when somebody looks."""
        for standing in self.standings():
            self._metrics.promised(standing.route, standing.evidence, standing.alarms)

    async def close(self) -> None:
        """Let what was heard be written down."""
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _look_again(self, name: str, learned: Learned) -> None:
        now = self._clock()
        if now - self._read_at[name] >= FRESH_SECONDS:
            self._read_at[name] = now
            self._beside(self._refresh(name, learned))

    async def _refresh(self, name: str, learned: Learned) -> None:
        before = learned.threshold
        try:
            await asyncio.to_thread(learned.refresh)
        except NearfarError as error:
            log.warning("a promise cannot be read", extra={"route": name, "error": error.text})
            return
        if learned.threshold != before:
            log.info("a threshold was tightened elsewhere", extra={"route": name, "threshold": learned.threshold})

    async def _hear(self, learned: Learned, outcome: Outcome) -> None:
        try:
            alarmed = await asyncio.to_thread(learned.hear, outcome)
        except NearfarError as error:
            log.warning("an outcome was not taken into account", extra={"route": outcome.route, "error": error.text})
            return
        if alarmed:
            log.warning(
                "ALARM: a router loses more than was promised, its threshold is tightened",
                extra={"route": outcome.route, "threshold": learned.threshold},
            )

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="router")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _outcome(lean: Lean) -> str:
    """In a word or two, for a counter: the side, and whether the order follows."""
    if not lean.side:
        return "fallback"
    return lean.side if lean.follows else f"{lean.side}_{'observed' if lean.mode == 'observe' else 'resting'}"
