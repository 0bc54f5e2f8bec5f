"""Plain replies are held within one bound over all requests; streams take no room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import ANSWER, WHOLE_STREAM, house, pauses, plain, run, snapshot, target
from tests.gateway.scripted import upstream

from nearfar.core.errors import ReplyTooLarge
from nearfar.core.routing import Route
from nearfar.gateway.holding import Holding


@given(st.lists(st.integers(0, 40), max_size=30))
def test_never_more_than_the_bound_and_nothing_is_left_over(sizes: list[int]) -> None:
    holding = Holding(100)
    taken = []
    for size in sizes:
        if holding.held + size > 100:
            with pytest.raises(ReplyTooLarge):
                holding.take(size)
        else:
            taken.append(holding.take(size))
        assert holding.held == sum(taken) <= 100
    for size in taken:
        holding.give(size)
    assert holding.held == 0


def test_a_plain_reply_beyond_it_is_a_502_that_blames_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, upstream(plain()) as other:
            known = snapshot(target("far", far.port), target("other", other.port))
            async with house(tmp_path, known) as made:
                holding = made.attempts._holding = Holding(20)
                out = await made.chat()
                assert (out.status, out.headers["x-nearfar-error"]) == (502, "reply_too_large")
                assert holding.held == 0
                assert len(made.entries()) == 1, "another one would say as much"
                assert made.health.quiet, "and this one is well"

    run(scenario())


def test_a_stream_is_passed_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(WHOLE_STREAM) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            holding = made.attempts._holding = Holding(1)
            assert (await made.chat(stream=True)).status == 200
            assert holding.held == 0

    run(scenario())


class Watched(Holding):
    """Says when something is held."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.began = asyncio.Event()

    def take(self, size: int) -> int:
        self.began.set()
        return super().take(size)


def test_what_others_hold_counts_until_they_are_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        whole = plain()
        slow = pauses(whole[:-5], whole[-5:], asyncio.Event())
        async with upstream(slow) as first, upstream(every=whole) as far:
            routes = {name: Route(name=name, strategy="cloud-first", deployments=(name,)) for name in ("slow", "far")}
            known = snapshot(target("slow", first.port), target("far", far.port), routes=routes)
            async with house(tmp_path, known) as made:
                holding = made.attempts._holding = Watched(len(ANSWER) + 10)
                waiting = asyncio.create_task(made.chat("slow"))
                await holding.began.wait()
                assert (await made.chat("far")).headers["x-nearfar-error"] == "reply_too_large"
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert holding.held == 0
                assert (await made.chat("far")).status == 200

    run(scenario())
