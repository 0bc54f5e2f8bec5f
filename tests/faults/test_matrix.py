"""Every fault of the catalogue × dialect × strategy × {plain, stream}: a right answer or an honest error, in time.

The quick part plays all faults in two dialects; the slow one all of it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvloop
from tests.faults.rig import OTHERS, STALLS, STRATEGIES, Rig, judge, pairs, played, rig, stand_ins, words
from tests.faults.speakers import SPEAKERS, Got, Speaker
from tests.load import compare, descriptors
from tests.stand_in import read_invoices

from nearfar.ledger.query import Entry
from nearfar.standin.faults import PREFIX, Fault

BOUND = 20.0
"""Seconds in which every request must have ended."""
ONCE = 8
"""Descriptors that the loop and libraries open once for themselves; hundreds of requests would leave hundreds."""
TOGETHER = 12
"""Faults that are played at once."""
GROUPS = ("transport", "protocol", "status", "local")
QUICK = ("openai.chat", "anthropic.messages")
OWN = {"gemini": "gemini.generate", "bedrock": "bedrock.converse"}
"""Upstream dialect → the client's that is like it, whose bytes pass through as they came."""
SAMPLE = frozenset({"cut", "cut-event", "in-pieces", "broken-event", "error-event", "error-in-200", "limit-silent"})
"""Faults that the quick part plays in Gemini's and Bedrock's dialect too."""


class Case(NamedTuple):
    """One request."""

    speaker: Speaker
    strategy: str
    """``alone``: nobody else could answer."""
    stream: bool
    upstream: str = "openai"


def cases(fault: str, upstream: str, *, full: bool) -> Iterator[Case]:
    """What is asked of one fault."""
    speakers = [SPEAKERS[name] for name in (SPEAKERS if full else QUICK)]
    strategies = [*STRATEGIES, "alone"] if full else ["local-first", "alone"]
    for stream in (False, True):
        for speaker in speakers:
            for strategy in strategies:
                # What ends with a deadline takes long: all dialects with one strategy, and all strategies in one.
                if fault not in STALLS or (full and (speaker.name == "openai.chat" or strategy == "local-first")):
                    yield Case(speaker, strategy, stream, upstream)
        if fault in STALLS and not full:
            yield Case(SPEAKERS["openai.chat"], "local-first", stream, upstream)


def others(fault: Fault) -> Iterator[Case]:
    """The same from upstreams of other dialects, and with strategies that may ask either one first."""
    for upstream in fault.dialects[1:]:
        for stream in (False, True):
            for name in dict.fromkeys((*QUICK, OWN.get(upstream, QUICK[0]))):
                yield Case(SPEAKERS[name], "local-first", stream, upstream)
            if upstream in OWN:
                yield Case(SPEAKERS[OWN[upstream]], "alone", stream, upstream)
    for strategy, stream in itertools.product(OTHERS if "openai" in fault.dialects else (), (False, True)):
        yield Case(SPEAKERS["openai.chat"], strategy, stream)


def sample(name: str, fault: Fault) -> Iterator[Case]:
    """A few of those: through another dialect and alone, and through the same one with somebody behind."""
    for upstream, own in OWN.items():
        for stream in (False, True):
            if name in SAMPLE and upstream in fault.dialects[1:]:
                yield Case(SPEAKERS["openai.chat"], "alone", stream, upstream)
                yield Case(SPEAKERS[own], "local-first", stream, upstream)


def expected(fault: Fault, case: Case) -> set[str]:
    """What may come of it."""
    outcome = fault.stream if case.stream else fault.plain
    if outcome == "answer":
        return {"answer"}
    if outcome == "told":
        return {"error", "answer"} if case.strategy in OTHERS else {"error"}
    if outcome == "late":
        # An upstream that says all of its words in one go may be found out before any of them has left.
        return {"late"} if case.strategy == "alone" else {"late", "answer"}
    return {"error"} if case.strategy == "alone" else {"answer"}


def all_cases(name: str, fault: Fault, *, full: bool) -> Iterator[Case]:
    """What is asked of one fault in any upstream dialect."""
    yield from cases(name, fault.dialects[0], full=full)
    if not full:
        yield from sample(name, fault)
    elif name not in STALLS:
        yield from others(fault)


async def one(made: Rig, name: str, fault: Fault, case: Case) -> str:
    """Play one case; what is wrong with its end, or nothing."""
    for place in ("near", "far"):
        made.gateway.health.forget(f"{place}-{name}-{case.upstream}")
    route = f"{case.strategy}-{name}-{case.upstream}"
    try:
        async with asyncio.timeout(BOUND):
            got = await made.ask(case.speaker, route, stream=case.stream)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
        return f"{route} {case.speaker.name} stream={case.stream}: {error!r}"
    came, why = judge(case.speaker, got, words(fault), stream=case.stream)
    wanted = expected(fault, case)
    if came in wanted and honest(got, came):
        return ""
    told = got.headers.get("x-nearfar-deviations", "")
    return f"{route} {case.speaker.name} stream={case.stream}: {came} ({why}), wanted {wanted}; {got.status} {told}"


def honest(got: Got, came: str) -> bool:
    """Whether the reply says who answered, where somebody did, and how often others were asked."""
    return came == "error" or {"x-nearfar-deployment", "x-nearfar-attempts"} <= got.headers.keys()


async def play(folder: Path, group: str, *, full: bool) -> tuple[list[str], int]:
    """All cases of a group of faults; what was wrong, and how many there were."""
    faults = played(group)
    invoices = folder / "invoices.jsonl"
    wrong: list[str] = []
    count = 0
    open_before = descriptors(os.getpid())
    gate = asyncio.Semaphore(TOGETHER)
    asked = {name: list(all_cases(name, fault, full=full)) for name, fault in faults.items()}
    met = [(name, upstream) for name, found in asked.items() for upstream in {case.upstream: 0 for case in found}]
    async with (
        stand_ins(invoices) as (near, far),
        rig(folder, pairs(met, near.url, far.url), near=near, far=far) as made,
    ):
        before = asyncio.all_tasks()

        async def all_of(name: str, fault: Fault) -> None:
            nonlocal count
            async with gate:
                for case in asked[name]:
                    count += 1
                    if found := await one(made, name, fault, case):
                        wrong.append(found)

        async with asyncio.TaskGroup() as group_:
            for name, fault in faults.items():
                group_.create_task(all_of(name, fault))
        await made.settled()
        await asyncio.sleep(0.2)  # connections that were hung up on say goodbye
        left = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
        # Connections that the stand-ins' side keeps for the next request are theirs.
        assert not [task for task in left if "_answer_all" not in repr(task)], f"tasks are left: {left}"
        assert not made.gateway._transport._active
        balance(made.entries(), invoices)
    await asyncio.sleep(0)
    assert descriptors(os.getpid()) <= open_before + ONCE, "descriptors are left open"
    return wrong, count


def balance(entries: list[Entry], invoices: Path) -> None:
    """Every charge has its attempt, and every attempt its charge, to the last nano-dollar."""
    charged = {invoice.request: invoice for invoice in read_invoices(invoices)} if invoices.exists() else {}
    far = {entry.attempt: entry for entry in entries if entry.place == "cloud"}
    assert not charged.keys() - far.keys(), "charged, but not in the ledger"
    assert not [entry for entry in entries if entry.outcome in {"open", "unknown"}]
    for attempt, entry in far.items():
        if entry.model == f"{PREFIX}usage-never" and entry.outcome == "ok":
            assert entry.cost is None, "nobody said what it cost: unknown is not zero"
            continue
        compare(entry, charged.get(attempt))


@pytest.mark.parametrize("group", GROUPS)
def test_quick(tmp_path: Path, group: str) -> None:
    wrong, count = uvloop.run(play(tmp_path, group, full=False))
    assert count
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_full(tmp_path: Path, group: str) -> None:
    wrong, count = uvloop.run(play(tmp_path, group, full=True))
    print(f"faults: {group}, {len(played(group))} faults, {count} requests, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)
