"""Has kept pairs judged, one after the other, by a judge that agrees with the anchors. All state is the store's.

The judge is tried on the anchors before its first pair and every day. While it fails, nothing is judged and what it
said since it last passed is not trusted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.gateway.judge import Judge, Matter
from nearfar.gateway.judge_anchors import Anchor, digest
from nearfar.gateway.metrics import Metrics
from nearfar.store import labels as store
from nearfar.store.labels_judges import Judge as Standing
from nearfar.store.labels_scores import Scores

DAY = 24 * 60 * 60
PAUSE = 600.0
"""Seconds after which what waits is looked at again, without a new pair."""
_NUMBERS_PER_TRY = 20
"""Numbers of attempts that one try of a judgement may use up."""

log = logging.getLogger("nearfar.learning")


class Judging:
    """Judges what waits, in a task of its own."""

    def __init__(
        self,
        judge: Judge,
        labels: store.Labels,
        metrics: Metrics,
        *,
        scored: Callable[[store.Kept, Scores], None],
        anchors: Sequence[Anchor],
        anchors_class: Class,
        agreement: float,
        request_id: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``scored`` is told of every judgement. ``anchors_class``: of the anchors' words. ``agreement``: the floor."""
        self._judge = judge
        self._labels = labels
        self._metrics = metrics
        self._scored = scored
        self._anchors = anchors
        self._anchors_class = anchors_class
        self._floor = agreement
        self._request_id = request_id
        self._clock = clock
        self._digest = digest(anchors)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._claimed = ""
        """The pair that is being judged."""

    def wake(self) -> None:
        """Something may wait."""
        self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="judging")

    async def close(self) -> None:
        """Leave what waits for another time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._claimed:
            await asyncio.to_thread(self._labels.release, self._claimed)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.judge_waiting()
            except StoreUnavailable as error:
                log.warning("pairs could not be judged: %s", error.text)
            except Exception:
                log.exception("judging failed")
            try:
                await asyncio.wait_for(self._woken.wait(), PAUSE)
            except TimeoutError:
                continue

    async def judge_waiting(self) -> None:
        """Judge what waits until nothing does, or the judge does not answer. Raises StoreUnavailable."""
        while (kept := await asyncio.to_thread(self._labels.claim)) is not None:
            self._claimed = kept.id
            standing = await self._standing()
            if standing is None or not standing.trusted:
                await asyncio.to_thread(self._labels.release, kept.id)
                goes_on = False
            else:
                goes_on = await self._one(kept)
            self._claimed = ""
            if not goes_on:
                return

    async def _one(self, kept: store.Kept) -> bool:
        """Judge one pair; whether it makes sense to go on."""
        content = kept.content
        verdict = await self._judge.weigh(
            Matter(
                request=content.request,
                parent=content.parent,
                attempts=content.attempts + _NUMBERS_PER_TRY * kept.tries,
                class_=kept.class_,
                route=kept.route,
                conversation=content.conversation,
                near=content.near.text,
                far=content.far.text,
            )
        )
        if verdict.worth is not None:
            near, far = verdict.worth
            scores = Scores(near=near, far=far, judge=self._judge.name)
            if await asyncio.to_thread(self._labels.score, kept.id, scores):
                self._metrics.label("judged")
                self._scored(kept, scores)
            return True
        self._metrics.label(verdict.code)
        if verdict.code == "forbidden" or (verdict.code == "unreadable" and kept.tries + 1 >= store.TRIES):
            await asyncio.to_thread(self._labels.drop, kept.id)
            return True
        if verdict.code == "unreadable":
            return True  # it stays claimed for a while, and is asked about once more
        await asyncio.to_thread(self._labels.release, kept.id)
        log.info("a judge was not asked: %s", verdict.code, extra={"judge": self._judge.name, "why": verdict.detail})
        return False

    async def _standing(self) -> Standing | None:
        """How the judge did on these anchors within a day; it is tried where nobody knows. None: it did not answer."""
        found = await asyncio.to_thread(self._labels.judge, self._judge.name)
        if found is None or found.anchors != self._digest or self._clock() - found.at >= DAY:
            found = await self._try()
        if found is not None:
            self._metrics.judge(found.judge, found.agreement, trusted=found.trusted)
        return found

    async def _try(self) -> Standing | None:
        agreed = 0
        for anchor in self._anchors:
            verdict = await self._judge.weigh(
                Matter(
                    request=self._request_id(),
                    class_=self._anchors_class,
                    conversation=anchor.prompt,
                    near=anchor.better,
                    far=anchor.worse,
                )
            )
            if verdict.code not in {"", "unreadable"}:
                extra = {"judge": self._judge.name, "why": verdict.detail}
                log.warning("a judge could not be tried on the anchors: %s", verdict.code, extra=extra)
                return None
            agreed += verdict.worth is not None and verdict.worth[0] > verdict.worth[1]
        agreement = agreed / len(self._anchors)
        found = Standing(
            judge=self._judge.name,
            at=int(self._clock()),
            agreement=agreement,
            pairs=len(self._anchors),
            trusted=agreement >= self._floor,
            anchors=self._digest,
        )
        await asyncio.to_thread(self._labels.tried, found)
        told: dict[str, object] = {"judge": found.judge, "agreement": round(agreement, 3), "floor": self._floor}
        if found.trusted:
            log.info("a judge agrees with the anchors", extra=told)
        else:
            log.warning("a judge does not agree with the anchors: what it says is NOT USED", extra=told)
        return found
