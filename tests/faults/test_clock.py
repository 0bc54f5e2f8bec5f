"""The clock of the day jumps while requests are under way: every answer is right, in time, and in the ledger once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import uvloop
from tests import running
from tests.faults.rig import DEADLINES, judge, rig, stand_ins, words
from tests.faults.speakers import SPEAKERS
from tests.faults.test_matrix import balance

HOUR = 3600 * 10**9


@pytest.mark.parametrize("jump", [-24 * HOUR, -HOUR, HOUR, 400 * 24 * HOUR], ids=["-day", "-hour", "+hour", "+year"])
def test_a_jump_in_the_middle_of_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    real, ahead = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead[0])
    monkeypatch.setattr(time, "time", lambda: (real() + ahead[0]) / 1e9)

    async def scenario() -> None:
        invoices = tmp_path / "invoices.jsonl"
        async with stand_ins(invoices) as (near, far):
            config = DEADLINES + running.far("far", far.url, behaviour={"chunk_ms": 20})
            config += running.far("limited", far.url, behaviour={"mode": "429", "retry_after": 60})
            config += running.route("main", "limited", "far")
            async with rig(tmp_path, config, near=near, far=far) as made:
                for stream in (False, True):
                    speaker = SPEAKERS["openai.chat"]
                    asked = asyncio.create_task(made.ask(speaker, "main", stream=stream))
                    while not far.record.running and not asked.done():
                        await asyncio.sleep(0)
                    ahead[0] = jump
                    after = asyncio.create_task(made.ask(speaker, "main", stream=stream))
                    for task in (asked, after):
                        assert judge(speaker, await task, words(None), stream=stream) == ("answer", "")
                    assert not made.gateway.health.quiet, "who asked for a minute gets it by another clock"
                    ahead[0] = 0
                await made.settled()
                entries = made.entries()
                balance(entries, invoices)
                assert sum(entry.outcome == "ok" for entry in entries) == 4
                assert all(entry.ended is None or entry.ended >= entry.begun for entry in entries)

    uvloop.run(scenario())
