from __future__ import annotations

import pytest

from nearfar.core.errors import EngineError
from nearfar.engine.entry import Entry


def test_who_uses_it_and_who_waits_for_it_keep_it_busy() -> None:
    entry = Entry("a")
    assert not entry.busy
    entry.waiting = 1
    assert entry.busy
    entry.waiting = 0
    entry.holders = {"w1": 2, "w2": 1}
    assert entry.busy
    assert entry.in_flight == 3


def test_each_failure_after_the_free_ones_makes_it_wait_twice_as_long() -> None:
    entry = Entry("a")
    pauses = []
    for _ in range(9):
        entry.failed("a crashed.", 100.0, free=2)
        pauses.append(max(0.0, entry.retry_at - 100.0))
    assert pauses == [0, 0, 1, 2, 4, 8, 16, 30, 30]
    with pytest.raises(EngineError, match="failed 9 times in a row, the last time so: a crashed") as paused:
        entry.check_pause(110.0)
    assert paused.value.code == "engine_paused"
    assert paused.value.retry_after == 20
    entry.check_pause(130.0)


def test_a_child_that_lived_long_leaves_no_failures_behind() -> None:
    entry = Entry("a")
    entry.failed("a crashed.", 0.0, free=2)
    entry.ready_at = 5.0
    entry.reserved = 10
    entry.detach(8.0)
    assert entry.failures == 1
    assert entry.reserved == 0
    entry.detach(15.0)
    assert entry.failures == 0
