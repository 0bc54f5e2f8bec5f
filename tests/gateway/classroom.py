"""A house whose route asks ``far`` besides ``near``, keeps both answers, and has them judged: all parts are real."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.house import RULES, House, house, plain, snapshot, target
from tests.gateway.scripted import read_request

from nearfar.core.money import NANO
from nearfar.core.outcome import Outcome
from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Cascade, Route
from nearfar.gateway.cascade import Cascades
from nearfar.gateway.decider import Decider
from nearfar.gateway.judge import Judge
from nearfar.gateway.judge_anchors import Anchor
from nearfar.gateway.judge_prompts import shipped
from nearfar.gateway.learning import Learner
from nearfar.gateway.learning_judging import Judging
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.purse import Purse
from nearfar.gateway.shadow import Shadows
from nearfar.policy.rules import Rules
from nearfar.privacy.scan import Scanner
from nearfar.store.cipher import Cipher
from nearfar.store.labels import Kept, Labels
from nearfar.store.labels_schema import Selection

ANCHORS = [Anchor(prompt=f"question {number}", better="good", worse="bad") for number in range(5)]
Says = Callable[[list[dict[str, str]]], str]
"""The messages of a request → the answer to them."""


def parts(messages: list[dict[str, str]]) -> tuple[str, str, str]:
    """Conversation, answer a and answer b of what a judge is asked."""
    lines = messages[-1]["content"].splitlines()
    mark = lines[0].split()[0]
    assert mark in messages[0]["content"]
    found: list[list[str]] = []
    for line in lines:
        if line.startswith(mark):
            found.append([])
        else:
            found[-1].append(line)
    return tuple("\n".join(part) for part in found[:3])  # type: ignore[return-value]  # there are always three


def prefers(*words: str) -> Says:
    """A judge that gives 9 to an answer with one of ``words`` in it, and else 2."""

    def says(messages: list[dict[str, str]]) -> str:
        _, first, second = parts(messages)
        a, b = (9 if any(word in answer for word in words) else 2 for answer in (first, second))
        return json.dumps({"a": a, "b": b})

    return says


class Speaker:
    """A small server in OpenAI's dialect that answers what ``says`` returns."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.port = 0
        self.heard: list[list[dict[str, str]]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                body = json.loads(request.partition(b"\r\n\r\n")[2])
                self.heard.append(body["messages"])
                writer.write(self._reply(self.says(body["messages"]), stream=bool(body.get("stream"))))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _reply(self, text: str, *, stream: bool) -> bytes:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        head: dict[str, Any] = {"id": "c", "created": 1, "model": "m"}
        if not stream:
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return plain(
                json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
            )
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in text.split(" ")
        ]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        lines = [f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', **event})}\n\n" for event in events]
        body = "".join([*lines, "data: [DONE]\n\n"]).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@asynccontextmanager
async def speaking(says: Says) -> AsyncIterator[Speaker]:
    """A speaker on loopback."""
    speaker = Speaker(says)
    server = await asyncio.start_server(speaker.serve, "127.0.0.1", 0)
    speaker.port = server.sockets[0].getsockname()[1]
    async with server:
        yield speaker


@functools.cache
def scanner() -> Scanner:
    """One for all: its rules take a while to load."""
    return Scanner()


class Clock:
    """Time that stands until it is moved."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Quiet(Judging):
    """Judges when it is told to, and not in a task of its own."""

    def wake(self) -> None:
        """``done`` comes."""


class Room:
    """What the tests hold."""

    def __init__(self, made: House, speakers: Sequence[Speaker], clock: Clock, url: str) -> None:
        self.made = made
        self.near, self.far, self.judge = speakers
        self.clock = clock
        self.url = url
        self.outcomes: list[Outcome] = []
        self.shadows: Shadows
        self.learner: Learner
        self.judging: Judging | None = None
        self.labels: Labels
        self.purse: Purse

    async def done(self) -> None:
        """Whatever follows a reply is done."""
        await asyncio.gather(*self.shadows._tasks)
        await asyncio.gather(*self.learner._tasks)
        if self.judging is not None:
            await self.judging.judge_waiting()

    def kept(self) -> list[Kept]:
        """All pairs."""
        return list(self.labels.selected(Selection()))

    def counted(self) -> dict[str, int]:
        """Outcome → how many pairs."""
        lines = self.made.counted("nearfar_labels_total{")
        return {line.split('"')[1]: int(line.split()[-1]) for line in lines}

    def purposes(self) -> list[tuple[str, str]]:
        """Deployment and purpose of every attempt, but those of the anchors."""
        return [(e.deployment, e.purpose) for e in self.made.entries() if e.request.startswith("req-") and e.route]


@asynccontextmanager
async def room(
    folder: Path,
    *,
    near: Says = lambda _: "a near answer",
    far: Says = lambda _: "a far answer",
    judge: Says | None = None,
    keep: Sequence[Class] = (Class.PUBLIC, Class.INTERNAL),
    strategy: str = "shadow",
    share: float = 1.0,
    share_judged: float = 1.0,
    answers: str = "text",
    rules: Rules = RULES,
    judge_place: Place = Place.CLOUD,
    daily: int = NANO,
    anchors: Sequence[Anchor] = ANCHORS,
    url: str = "",
) -> AsyncIterator[Room]:
    """A room in which one learns."""
    says = judge or prefers("far", "good")
    async with speaking(near) as one, speaking(far) as two, speaking(says) as three:
        route = Route(
            name="main",
            strategy=strategy,
            deployments=("near", "far"),
            branch=Branch(deployment="far", share=share),
            cascade=Cascade(answers=answers) if strategy == "cascade" or answers != "text" else None,
        )
        known = snapshot(
            target("near", one.port, Place.DEVICE),
            target("far", two.port),
            target("third", three.port, judge_place),
            routes={"main": route},
        )
        async with house(folder, known, rules=rules) as made:
            clock = Clock()
            url = url or f"sqlite:///{folder / 'ledger.db'}"
            found = Room(made, (one, two, three), clock, url)
            decider = Decider(made.fleet, made.health, rules)
            key = os.urandom(32)
            found.labels = Labels(url, Cipher(key), key, keep_seconds=30 * 24 * 3600, clock=clock)
            numbers = itertools.count()
            learner = found.learner = Learner(
                labels=found.labels,
                keep=keep,
                decider=decider,
                metrics=made.metrics,
                label_id=lambda: f"lbl-{next(numbers):04}",
                outcomes=[found.outcomes.append],
                share_judged=share_judged,
            )
            purse = found.purse = Purse(daily, clock)
            if judge is not None:
                asked = Judge(
                    "third",
                    decider=decider,
                    fleet=made.fleet,
                    attempts=made.attempts,
                    purse=purse,
                    prompts=shipped(),
                )
                found.judging = learner.judging = Quiet(
                    asked,
                    found.labels,
                    made.metrics,
                    scored=learner.scored,
                    anchors=anchors,
                    anchors_class=Class.PUBLIC,
                    agreement=0.8,
                    request_id=lambda: f"req-anchor-{next(numbers)}",
                    clock=clock,
                )
            found.shadows = Shadows(made.attempts, made.metrics, most=8, purse=purse, learner=learner)
            running: Any = made.attempts
            if strategy == "cascade":
                running = Cascades(
                    made.attempts,
                    straight=made.attempts,
                    decider=decider,
                    fleet=made.fleet,
                    metrics=made.metrics,
                    learner=learner,
                )
            made.pipeline = Pipeline(
                fleet=made.fleet, decider=decider, attempts=running, metrics=made.metrics, shadows=found.shadows
            )
            yield found
            await found.shadows.close()
            await learner.close()
