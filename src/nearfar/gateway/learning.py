"""Keeps both answers of requests that were answered near and far, to learn from: opt-in, by class, encrypted.

It asks nobody for an answer: shadows and cascades do. What comparing decides is scored at once, the rest waits for a
judge; what neither can score is not kept. How likely a pair came to be is kept with it: an escalated answer that only
needs comparing always makes one, everything else with the share of the route's shadow (times ``share_judged``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import NearfarError
from nearfar.core.outcome import Outcome
from nearfar.core.places import Class
from nearfar.core.routing import Cascade, Decision, Ranked, Route
from nearfar.gateway.asked import asked
from nearfar.gateway.cascade_asking import expected
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.judge import PURPOSE, question
from nearfar.gateway.judge_prompts import shipped
from nearfar.gateway.learning_checks import compared
from nearfar.gateway.learning_notes import MOST, Both, Heard, Notes
from nearfar.gateway.learning_text import transcript
from nearfar.gateway.metrics import Metrics
from nearfar.policy.rules import MEDIA
from nearfar.store import labels as store
from nearfar.store.labels_scores import Scores

if TYPE_CHECKING:
    from nearfar.gateway.guard import Guard
    from nearfar.gateway.learning_judging import Judging

AT_ONCE = 32
"""Pairs that are made at the same time; more are left out."""
CHECKS = "checks"
"""Who scored what comparing decided."""
_UNFIT = MEDIA | {"tools"}
_DEFAULT = Cascade()

log = logging.getLogger("nearfar.learning")


class Learner:
    """Makes pairs of what shadows and cascades bring, and tells of their scores."""

    def __init__(
        self,
        *,
        labels: store.Labels,
        keep: Collection[Class],
        decider: Decider,
        metrics: Metrics,
        label_id: Callable[[], str],
        outcomes: Sequence[Callable[[Outcome], None]] = (),
        guard: Guard | None = None,
        share_judged: float = 1.0,
    ) -> None:
        """``keep``: classes. ``outcomes`` hear, on the event loop, of every pair that got its scores."""
        self._labels = labels
        self._keep = frozenset(keep)
        self._decider = decider
        self._metrics = metrics
        self._label_id = label_id
        self._outcomes = outcomes
        self._guard = guard
        self._share_judged = share_judged
        self.judging: Judging | None = None
        """Who judges what comparing does not decide; None: nobody."""
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, exchange: Exchange, decision: Decision) -> None:
        """The request was drawn: hear what is answered to it."""
        if self._wants(exchange.request, decision):
            exchange.notes = Notes(drawn=True)

    def held(
        self, exchange: Exchange, decision: Decision, route: Route, ranked: Ranked, hearing: Hearing, *, escalates: bool
    ) -> None:
        """A cascade has judged a near answer. Escalated ones only count where a shadow also samples those that stay."""
        notes = exchange.notes
        if notes is None and escalates and _share(route) and self._wants(exchange.request, decision):
            notes = exchange.notes = Notes(drawn=False)
        if notes is not None:
            notes.held(ranked.candidate.deployment, hearing)

    def settle(self, exchange: Exchange, decision: Decision, route: Route | None, other: Heard | None = None) -> None:
        """The reply is complete, and ``other`` what a shadow answered: make a pair of both, beside everything else."""
        notes = exchange.notes
        if notes is None or notes.taken or route is None or (both := notes.both(other)) is None:
            return
        notes.taken = True
        if len(self._tasks) >= AT_ONCE:
            self._metrics.label("busy")
            return
        task = asyncio.create_task(self._take(exchange, decision, route, both, notes), name="learning")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Remove pairs whose time is over from now on."""
        self._labels.start()

    async def close(self) -> None:
        """Finish what is being kept, and leave what waits for a judge."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if self.judging is not None:
                await self.judging.close()
        except NearfarError as error:
            log.warning("a pair that was being judged waits for a while: %s", error.text)
        await asyncio.to_thread(self._labels.close)

    def scored(self, kept: store.Pair | store.Kept, scores: Scores) -> None:
        """Tell everybody who learns."""
        outcome = kept.outcome(scores)
        for hear in self._outcomes:
            try:
                hear(outcome)
            except Exception:
                log.exception("an outcome was not taken")

    def _wants(self, request: Request, decision: Decision) -> bool:
        return (
            decision.class_ in self._keep
            and not decision.guard
            and request.operation == "chat"
            and request.choices == 1
            and not request.elsewhere
            and request.needs.isdisjoint(_UNFIT)
        )

    async def _take(self, exchange: Exchange, decision: Decision, route: Route, both: Both, notes: Notes) -> None:
        try:
            told = await self._kept(exchange, decision, route, both, notes)
        except NearfarError as error:
            told = "store"
            log.warning("a pair was not kept: %s", error.text)
        except Exception:
            told = "failed"
            log.exception("a pair was not kept")
        self._metrics.label(told)

    async def _kept(self, exchange: Exchange, decision: Decision, route: Route, both: Both, notes: Notes) -> str:
        """What became of the pair, in a word."""
        request = exchange.request
        conversation = transcript(request, exchange.wire)
        prompt = asked(request)
        if not conversation or not prompt.strip() or len(conversation.encode("utf-8", "replace")) > MOST:
            return "unfit"
        if not await self._may(request, decision, route, conversation, both):
            return "class"
        kind, schema = expected(request, exchange.wire, route.cascade or _DEFAULT)
        worth = compared(both.near.answer, both.far.answer, kind, schema)
        propensity = _share(route)
        if worth is not None and both.served == "far" and notes.near is not None:
            propensity = 1.0  # every escalated answer that comparing decides makes a pair
        elif worth is None:
            if self.judging is None or not notes.drawn:
                return "open"
            if not self._drawn(request.id):
                return "undrawn"
            propensity *= self._share_judged
        elif not notes.drawn:
            return "open"
        pair = store.Pair(
            id=self._label_id(),
            route=route.name,
            class_=decision.class_,
            propensity=propensity,
            expected=decision.learned,
            served=both.served,
            caller=request.caller,
            content=store.Content(
                request=request.id,
                parent=exchange.attempt_id,
                attempts=exchange.attempts + exchange.serial + 1,
                prompt=prompt,
                conversation=conversation,
                near=store.Side(deployment=both.near.deployment.name, text=both.near.answer.text),
                far=store.Side(deployment=both.far.deployment.name, text=both.far.answer.text),
                kind=kind,
            ),
        )
        scores = None if worth is None else Scores(near=worth[0], far=worth[1], judge=CHECKS)
        if not await asyncio.to_thread(self._labels.put, pair, scores):
            return "class"
        if scores is not None:
            self.scored(pair, scores)
            return "compared"
        assert self.judging is not None
        self.judging.wake()
        return "waiting"

    async def _may(self, request: Request, decision: Decision, route: Route, conversation: str, both: Both) -> bool:
        """Whether its class may be kept with what the answers hold, too."""
        if self._guard is None:
            return True
        whole = question(shipped(), route.name, request.id, conversation, both.near.answer.text, both.far.answer.text)
        look = await self._guard.look(whole, route.name)
        if look.guard:
            return False
        said = Said(header=decision.class_, seen=look.seen)
        named = msgspec.structs.replace(route, name=f"{route.name} {PURPOSE}", strategy="local-first")
        found, _ = self._decider.decide(whole, named, said)
        return found.class_ in self._keep

    def _drawn(self, request: str) -> bool:
        """Whether the judge is asked: another draw than that of the shadow."""
        digest = blake2b(request.encode(), digest_size=4, key=PURPOSE.encode()).digest()
        return int.from_bytes(digest, "big") / 0x1_0000_0000 < self._share_judged


def _share(route: Route) -> float:
    """How likely a request of the route is asked twice."""
    return 0.0 if route.branch is None else route.branch.share
