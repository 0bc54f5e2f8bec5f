from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.attempts import begin, end
from tests.examples import examples

from nearfar.core.errors import LedgerUnavailable, StoreUnavailable
from nearfar.ledger.filler import Filler
from nearfar.ledger.journal import Journal
from nearfar.ledger.ledger import Ledger, drain
from nearfar.ledger.query import entries, open_ledger, usage
from nearfar.ledger.records import to_line
from nearfar.store.connection import Connection, Value
from nearfar.store.ids import Ids

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
Outcomes = dict[str, tuple[str, int | None]]


def outcomes(url: str) -> Outcomes:
    connection = open_ledger(url)
    found = {entry.attempt: (entry.outcome, entry.cost) for entry in entries(connection, limit=1_000_000)}
    connection.close()
    return found


def eventually(holds: Callable[[], bool]) -> bool:
    tick = threading.Event()
    give_up = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            return False
        tick.wait(0.01)
    return True


def test_a_running_ledger_fills_the_database(database_url: str, tmp_path: Path) -> None:
    ledger = Ledger(database_url, tmp_path / "journal", flush_seconds=0.01)
    ledger.start()
    ledger.begin(begin("a"))
    ledger.end(end("a", cost=3))
    assert eventually(lambda: ledger.health().backlog == 0)
    assert outcomes(database_url) == {"a": ("ok", 3)}
    health = ledger.health()
    assert (health.healthy, health.reason, health.accepting, health.waiting, health.damaged) == (True, "", True, 0, 0)
    assert ledger.close()
    assert list((tmp_path / "journal").iterdir()) == []


def test_flush_brings_everything_in_at_once(database_url: str, tmp_path: Path) -> None:
    ledger = Ledger(database_url, tmp_path / "journal", flush_seconds=PATIENCE)
    ledger.begin(begin("a"))
    ledger.flush()
    assert outcomes(database_url) == {"a": ("open", None)}
    assert ledger.close()
    assert outcomes(database_url) == {"a": ("unknown", 1000)}


def test_closing_without_the_database_keeps_the_journal_for_the_next_start(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    ledger = Ledger("postgresql://test@127.0.0.1:1/gone", folder, flush_seconds=0.01)
    ledger.start()
    ledger.begin(begin("a"))
    ledger.begin(begin("b", bound=7))
    ledger.end(end("a"))
    assert eventually(lambda: not ledger.health().healthy)
    health = ledger.health()
    assert "cannot be used" in health.reason
    assert health.accepting, "the journal alone is enough to go on"
    assert health.backlog > 0
    with pytest.raises(StoreUnavailable):
        ledger.flush()
    assert not ledger.close()
    drain(database_url, folder)
    assert outcomes(database_url) == {"a": ("ok", 10), "b": ("unknown", 7)}
    assert list(folder.iterdir()) == []


def test_draining_respects_the_living(database_url: str, tmp_path: Path) -> None:
    ledger = Ledger(database_url, tmp_path / "journal", flush_seconds=PATIENCE)
    ledger.begin(begin("a"))
    drain(database_url, tmp_path / "journal")
    assert outcomes(database_url) == {}
    assert ledger.close()


def test_a_late_end_after_closing_replaces_the_bound(database_url: str, tmp_path: Path) -> None:
    ledger = Ledger(database_url, tmp_path / "journal")
    ledger.begin(begin("a", bound=9))
    assert ledger.close()
    assert outcomes(database_url) == {"a": ("unknown", 9)}
    ledger.end(end("a", cost=2))
    with pytest.raises(LedgerUnavailable):
        ledger.begin(begin("b"))
    drain(database_url, tmp_path / "journal")
    assert outcomes(database_url) == {"a": ("ok", 2)}


def test_starting_never_fails_and_says_what_does_not_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger(f"sqlite:///{tmp_path}/file/ledger.db", tmp_path / "file" / "journal", flush_seconds=0.01)
    ledger.start()
    assert eventually(lambda: "database" in ledger.health().reason and "journal" in ledger.health().reason)
    assert not ledger.health().healthy
    ledger.begin(begin("a"))
    assert ledger.health().waiting == 1
    assert not ledger.close()


class CutBeforeCommit:
    """A connection that breaks when everything was said but the commit."""

    def __init__(self, inner: Connection) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def insert(self, head: str, rows: Sequence[Sequence[Value]], tail: str = "") -> None:
        self._inner.insert(head, rows, tail)
        raise StoreUnavailable("the connection was cut")


class World:
    """A ledger under test beside a model of what it must say, driven by arbitrary steps."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.model: Outcomes = {}
        self.bounds: dict[str, int | None] = {}
        self.open: dict[int, list[str]] = {}
        self.writers: dict[int, tuple[Journal, Filler]] = {}
        self.count = 0

    def writer(self, which: int) -> tuple[Journal, Filler]:
        if which not in self.writers:
            journal = Journal(self.folder, Ids(), segment_bytes=900)
            self.writers[which] = (journal, Filler(self.url, self.folder, journal, orphan_seconds=0.0))
            self.open[which] = []
        return self.writers[which]

    def begin(self, which: int, number: int) -> None:
        attempt = f"a{self.count}"
        self.count += 1
        self.bounds[attempt] = bound = None if number % 5 == 0 else number
        self.writer(which)[0].begin(begin(attempt, bound=bound))
        self.open[which].append(attempt)
        self.model[attempt] = ("open", None)

    def end(self, which: int, number: int) -> None:
        journal, _ = self.writer(which)
        if self.open[which]:
            attempt = self.open[which].pop(number % len(self.open[which]))
            cost = None if number % 7 == 0 else number
            journal.end(end(attempt, cost=cost))
            self.model[attempt] = ("ok", cost)

    def fill(self, which: int, number: int) -> None:
        self.writer(which)[1].fill()

    def fill_as_a_stranger(self, which: int, number: int) -> None:
        drain(self.url, self.folder)

    def kill(self, which: int, number: int) -> None:
        """Death gives back the locks and nothing else; in two of three cases it strikes in the middle of a write."""
        if which in self.writers:
            journal, filler = self.writers.pop(which)
            if number % 3 and journal.segments():
                line = to_line(begin("torn") if number % 3 == 1 else end("torn"))
                os.write(journal.segments()[-1].fd, line[: 1 + number % (len(line) - 1)])
            journal.release()
            filler.close()
            self.settle(which)

    def stop(self, which: int, number: int) -> None:
        if which in self.writers:
            journal, filler = self.writers.pop(which)
            journal.close()
            filler.finish()
            filler.close()
            self.settle(which)

    def settle(self, which: int) -> None:
        for attempt in self.open.pop(which):
            self.model[attempt] = ("unknown", self.bounds[attempt])

    def lose_a_transaction(self, which: int, number: int) -> None:
        """The database goes away after the lines went in, before that was committed."""
        _, filler = self.writer(which)
        filler.fill()
        assert filler._connection is not None
        filler._connection = cast("Connection", CutBeforeCommit(filler._connection))
        self.begin(which, number)
        with pytest.raises(StoreUnavailable):
            filler.fill()


STEPS = [
    World.begin,
    World.begin,
    World.end,
    World.end,
    World.fill,
    World.fill_as_a_stranger,
    World.kill,
    World.stop,
    World.lose_a_transaction,
]
step = st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 100))


@examples(30, suppress=[HealthCheck.function_scoped_fixture])
@given(st.lists(step, max_size=60))
def test_entries_equal_invoices_whatever_happens(
    database_url: str, tmp_path: Path, steps: list[tuple[Callable[[World, int, int], None], int, int]]
) -> None:
    world = World(database_url, tmp_path / "journal")
    connection = open_ledger(database_url)
    connection.execute("DELETE FROM nearfar_entries")
    for act, which, number in steps:
        act(world, which, number)
    for which in list(world.writers):
        world.kill(which, 2)
    drain(database_url, world.folder)
    assert outcomes(database_url) == world.model
    assert list(world.folder.glob("*")) == []
    (totals,) = usage(connection)
    assert totals.cost == sum(cost or 0 for _, cost in world.model.values())
    assert totals.cost_unknown == sum(cost is None for _, cost in world.model.values())
    connection.close()


WRITER = """
import random, sys
from pathlib import Path
from nearfar.ledger.ledger import Ledger
from tests.attempts import begin, end
name, url, folder, seed = sys.argv[1:]
chance = random.Random(int(seed))
ledger = Ledger(url, Path(folder), flush_seconds=0.01)
ledger.start()
running = []
count = 0
while True:
    if len(running) < 20 and chance.random() < 0.6:
        attempt = f"{name}-{count}"
        count += 1
        ledger.begin(begin(attempt, bound=1000 + count))
        running.append(attempt)
        print("sent", attempt, 1000 + count, flush=True)
    elif running:
        attempt = running.pop(chance.randrange(len(running)))
        cost = chance.randrange(1000)
        print("billed", attempt, cost, flush=True)
        ledger.end(end(attempt, cost=cost))
        print("done", attempt, cost, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_in_the_middle_of_load_loses_no_attempt_and_counts_none_twice(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    """Real processes on one folder and one database, killed by surprise; the survivors find what they left."""
    chance = random.Random(seed)
    folder = tmp_path / "journal"
    said: list[bytes] = []
    for generation in range(3):
        writers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    WRITER,
                    f"g{generation}w{number}",
                    database_url,
                    str(folder),
                    str(chance.random())[2:],
                ],
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
            for number in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            enough = chance.randrange(1000, 30_000)
            heard = b""
            while len(heard) < enough:
                heard += os.read(writer.stdout.fileno(), 4096)
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            said.append(heard + writer.stdout.read())
            writer.stdout.close()
    drain(database_url, folder)
    found = outcomes(database_url)
    bounds: dict[str, int] = {}
    billed: dict[str, int] = {}
    done: dict[str, int] = {}
    for text in said:
        for line in text.decode().splitlines():
            parts = line.split()
            if len(parts) == 3 and line.endswith(parts[2]):
                {"sent": bounds, "billed": billed, "done": done}[parts[0]][parts[1]] = int(parts[2])
    assert len(done) > 100
    for attempt, bound in bounds.items():
        if attempt in done:
            assert found[attempt] == ("ok", done[attempt])
        elif attempt in billed:  # killed between the bill and our line: either is true, nothing else is
            assert found[attempt] in {("ok", billed[attempt]), ("unknown", bound)}
        else:
            assert found[attempt] == ("unknown", bound)
    # A begin may be journalled and the process die before it could send, so at most one more per writer.
    assert len(set(found) - set(bounds)) <= 6
    assert all(outcome in {"ok", "unknown"} for outcome, _ in found.values())
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_disk_that_fills_up_and_is_cleared_loses_nothing(database_url: str, tmp_path: Path) -> None:
    """The kernel's limit on file size stands for the full disk: journal and SQLite file cannot grow any more."""
    program = f"""
import resource, threading
from pathlib import Path
from nearfar.core.errors import LedgerUnavailable
from nearfar.ledger.ledger import Ledger
from tests.attempts import begin, end
ledger = Ledger({database_url!r}, Path({str(tmp_path / "journal")!r}), flush_seconds=0.01)
ledger.start()
for number in range(100):
    ledger.begin(begin(f"before-{{number}}"))
    ledger.end(end(f"before-{{number}}", cost=1))
ledger.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {RLIM_INFINITY}))
refused = accepted = 0
for number in range(12_000):
    try:
        ledger.begin(begin(f"during-{{number}}"))
    except LedgerUnavailable:
        refused += 1
    else:
        accepted += 1
        ledger.end(end(f"during-{{number}}", cost=2))
print(accepted, refused, ledger.health().reason, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, ({RLIM_INFINITY}, {RLIM_INFINITY}))
tick = threading.Event()
while not ledger.health().healthy:
    tick.wait(0.01)
ledger.begin(begin("after"))
ledger.end(end("after", cost=3))
assert ledger.close()
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True)
    accepted, refused, reason = done.stdout.split(maxsplit=2)
    assert int(accepted) + int(refused) == 12_000
    assert reason.strip()
    found = outcomes(database_url)
    assert len(found) == 100 + int(accepted) + 1
    assert sum(cost or 0 for _, cost in found.values()) == 100 + 2 * int(accepted) + 3


RLIM_INFINITY = -1
