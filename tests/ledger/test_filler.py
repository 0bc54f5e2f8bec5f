from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from tests import postgres
from tests.attempts import begin, end

from nearfar.core.errors import StoreUnavailable
from nearfar.ledger import segments
from nearfar.ledger.filler import Filled, Filler
from nearfar.ledger.journal import Journal
from nearfar.ledger.query import entries, open_ledger
from nearfar.ledger.records import to_line
from nearfar.store.connection import Connection
from nearfar.store.ids import Ids

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    made = Journal(folder, Ids(), segment_bytes=2000)
    yield made
    made.release()


@pytest.fixture
def filler(database_url: str, folder: Path, journal: Journal) -> Iterator[Filler]:
    made = Filler(database_url, folder, journal, flush_seconds=0.01, orphan_seconds=0.0, lock_seconds=0.05)
    yield made
    assert made.stop(PATIENCE)
    made.close()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = open_ledger(database_url)
    yield opened
    opened.close()


def outcomes(connection: Connection) -> dict[str, tuple[str, int | None]]:
    return {entry.attempt: (entry.outcome, entry.cost) for entry in entries(connection, limit=10_000)}


def eventually(holds: Callable[[], bool]) -> bool:
    tick = threading.Event()
    give_up = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            return False
        tick.wait(0.005)
    return True


def die(folder: Path, *, torn: bytes = b"") -> Journal:
    """A journal of a writer that is about to die; ``torn`` is what it was writing when it did."""
    journal = Journal(folder, Ids(), segment_bytes=2000)
    journal.begin(begin("lost", bound=70))
    journal.begin(begin("done"))
    journal.end(end("done", cost=4))
    if torn:
        os.write(journal.segments()[-1].fd, torn)
    return journal


def test_own_records_reach_the_database_as_they_come(journal: Journal, filler: Filler, connection: Connection) -> None:
    journal.begin(begin("a"))
    filler.fill()
    assert outcomes(connection) == {"a": ("open", None)}
    journal.end(end("a", cost=3))
    assert filler.backlog > 0
    filler.fill()
    assert outcomes(connection) == {"a": ("ok", 3)}
    assert filler.backlog == 0


def test_an_idle_pass_asks_the_database_nothing(journal: Journal, filler: Filler) -> None:
    journal.begin(begin("a"))
    filler.fill()
    assert filler._connection is not None
    filler._connection.close()
    filler.fill()  # would fail on a closed connection


def test_drained_segments_are_removed_but_for_the_newest(journal: Journal, filler: Filler, folder: Path) -> None:
    for number in range(30):
        journal.begin(begin(f"a{number}"))
    assert len(list(folder.iterdir())) > 3
    filler.fill()
    (last,) = journal.segments()
    assert list(folder.iterdir()) == [last.path]


def test_a_dead_writer_is_finished_once_by_one(filler: Filler, folder: Path, connection: Connection) -> None:
    dead = die(folder)
    assert filler.fill() == Filled()
    dead.release()
    assert filler.fill() == Filled(orphans=1, unknown=1)
    assert outcomes(connection) == {"lost": ("unknown", 70), "done": ("ok", 4)}
    assert filler.fill() == Filled()
    assert segments.listing(folder).keys() <= {filler._journal.writer if filler._journal else ""}
    assert connection.rows("SELECT COUNT(*) FROM nearfar_segments WHERE segment LIKE ?", (f"{dead.writer}%",)) == [(0,)]


def test_a_line_torn_by_death_is_no_attempt(filler: Filler, folder: Path, connection: Connection) -> None:
    die(folder, torn=to_line(begin("torn"))[:-40]).release()
    filler.fill()
    assert outcomes(connection) == {"lost": ("unknown", 70), "done": ("ok", 4)}
    assert filler.damaged == 0


def test_a_writer_that_dies_after_its_rotated_segments_were_drained_is_settled_too(
    database_url: str, folder: Path, connection: Connection
) -> None:
    journal = Journal(folder, Ids(), segment_bytes=500)
    own = Filler(database_url, folder, journal)
    for number in range(5):
        journal.begin(begin(f"a{number}", bound=number))
    journal.end(end("a3", cost=1))
    own.fill()
    assert set(outcomes(connection).values()) == {("open", None), ("ok", 1)}
    journal.release()
    own.close()
    other = Filler(database_url, folder)
    assert other.fill() == Filled(orphans=1, unknown=4)
    other.close()
    assert outcomes(connection) == {"a0": ("unknown", 0), "a1": ("unknown", 1), "a2": ("unknown", 2)} | {
        "a3": ("ok", 1),
        "a4": ("unknown", 4),
    }


def test_a_filler_that_died_half_way_is_carried_on_from_its_checkpoint(
    database_url: str, folder: Path, connection: Connection
) -> None:
    journal = Journal(folder, Ids())
    first = Filler(database_url, folder, journal)
    journal.begin(begin("a"))
    first.fill()
    connection.execute("DELETE FROM nearfar_entries WHERE attempt = 'a'")  # would come back if it were read again
    journal.end(end("b"))
    journal.release()
    first.close()
    second = Filler(database_url, folder)
    second.fill()
    second.close()
    assert outcomes(connection) == {"b": ("ok", 10)}


def test_a_locked_database_loses_nothing_and_says_so(journal: Journal, filler: Filler, connection: Connection) -> None:
    journal.begin(begin("a"))
    filler.fill()
    with connection.transaction():
        if connection.dialect == "postgresql":
            connection.execute("LOCK TABLE nearfar_entries IN ACCESS EXCLUSIVE MODE")
        journal.end(end("a", cost=2))
        with pytest.raises(StoreUnavailable, match="lock"):
            filler.fill()
        assert "lock" in filler.reason
        journal.begin(begin("b"))
    filler.fill()
    assert filler.reason == ""
    assert outcomes(connection) == {"a": ("ok", 2), "b": ("open", None)}


def test_the_thread_survives_a_lock_and_catches_up(journal: Journal, filler: Filler, connection: Connection) -> None:
    filler.start()
    with connection.transaction():
        if connection.dialect == "postgresql":
            connection.execute("LOCK TABLE nearfar_entries IN ACCESS EXCLUSIVE MODE")
        journal.begin(begin("a"))
        assert eventually(lambda: "lock" in filler.reason)
    assert eventually(lambda: filler.reason == "" and filler.backlog == 0)
    assert outcomes(connection) == {"a": ("open", None)}


def test_a_database_that_comes_up_later_is_filled_then(folder: Path, journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way of the folder")
    filler = Filler(f"sqlite:///{tmp_path}/state/ledger.db", folder, journal, flush_seconds=0.01)
    filler.start()
    journal.begin(begin("a"))
    assert eventually(lambda: "cannot be used" in filler.reason)
    (tmp_path / "state").unlink()
    assert eventually(lambda: filler.reason == "" and filler.backlog == 0)
    assert filler.stop(PATIENCE)
    filler.close()


class CutAfterCommit:
    """A connection that breaks right after a commit went in: this side never hears that it did."""

    def __init__(self, inner: Connection) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._inner.transaction():
            yield
        raise StoreUnavailable("the connection was cut")


def test_a_lost_answer_to_a_commit_counts_nothing_twice(
    journal: Journal, filler: Filler, connection: Connection
) -> None:
    journal.begin(begin("a"))
    filler.fill()
    journal.end(end("a", cost=2))
    assert filler._connection is not None
    filler._connection = cast("Connection", CutAfterCommit(filler._connection))
    with pytest.raises(StoreUnavailable):
        filler.fill()
    assert outcomes(connection) == {"a": ("ok", 2)}
    connection.execute("UPDATE nearfar_entries SET outcome = 'open'")  # a second reading would end it again
    filler.fill()
    assert outcomes(connection) == {"a": ("open", 2)}


def test_a_session_killed_by_the_server_is_replaced(postgres_url: str, folder: Path, journal: Journal) -> None:
    url = postgres.schema(postgres_url, "killed")
    filler = Filler(url, folder, journal)
    journal.begin(begin("a"))
    filler.fill()
    assert filler._connection is not None
    ((pid,),) = filler._connection.rows("SELECT pg_backend_pid()")
    connection = open_ledger(url)
    connection.rows("SELECT pg_terminate_backend(?)", (pid,))
    journal.end(end("a"))
    with pytest.raises(StoreUnavailable):
        filler.fill()
    filler.fill()
    assert outcomes(connection) == {"a": ("ok", 10)}
    filler.close()
    connection.close()
    postgres.drop_schema(postgres_url, "killed")


def test_what_the_journals_disk_refuses_goes_straight_to_the_database(
    journal: Journal, filler: Filler, connection: Connection
) -> None:
    journal.begin(begin("a"))
    fd = journal.segments()[0].fd
    saved, full = os.dup(fd), os.open("/dev/full", os.O_WRONLY)
    filler.fill()
    os.dup2(full, fd, inheritable=False)
    os.close(full)
    journal.end(end("a", cost=2))
    journal.begin(begin("b"))
    filler.fill()
    assert journal.waiting == 0
    assert "No space left" in journal.reason
    assert outcomes(connection) == {"a": ("ok", 2), "b": ("open", None)}
    os.dup2(saved, fd, inheritable=False)
    os.close(saved)
    journal.end(end("b", cost=3))
    filler.fill()
    assert journal.reason == ""
    assert outcomes(connection) == {"a": ("ok", 2), "b": ("ok", 3)}


def test_the_journal_gets_well_while_the_database_is_not(folder: Path, journal: Journal) -> None:
    filler = Filler("postgresql://test@127.0.0.1:1/gone", folder, journal)
    journal.begin(begin("a"))
    fd = journal.segments()[0].fd
    saved, full = os.dup(fd), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, fd, inheritable=False)
    journal.end(end("a"))
    assert journal.waiting == 1
    os.dup2(saved, fd, inheritable=False)
    os.close(full)
    os.close(saved)
    with pytest.raises(StoreUnavailable):
        filler.fill()
    assert journal.waiting == 0
    assert journal.reason == ""


def test_a_removed_journal_is_filled_from_its_open_file(
    journal: Journal, filler: Filler, folder: Path, connection: Connection
) -> None:
    journal.begin(begin("a"))
    for path in folder.iterdir():
        path.unlink()
    journal.end(end("a"))
    filler.fill()
    journal.begin(begin("b"))
    filler.fill()
    assert outcomes(connection) == {"a": ("ok", 10), "b": ("open", None)}
    assert len(list(folder.iterdir())) == 1


def test_finishing_leaves_no_segment_and_nothing_open(
    journal: Journal, filler: Filler, folder: Path, connection: Connection
) -> None:
    journal.begin(begin("a"))
    journal.begin(begin("b", bound=9))
    journal.end(end("a"))
    journal.close()
    filler.finish()
    assert outcomes(connection) == {"a": ("ok", 10), "b": ("unknown", 9)}
    assert list(folder.iterdir()) == []
    assert connection.rows("SELECT COUNT(*) FROM nearfar_segments") == [(0,)]


def test_several_fillers_share_one_folder_and_one_database(
    database_url: str, folder: Path, connection: Connection
) -> None:
    """Four workers write and fill while four dead ones wait to be found."""
    for number in range(4):
        dead = Journal(folder, Ids(), segment_bytes=3000)
        for attempt in range(20):
            dead.begin(begin(f"dead-{number}-{attempt}", bound=1))
        dead.release()

    def work(name: int) -> None:
        journal = Journal(folder, Ids(), segment_bytes=3000)
        filler = Filler(database_url, folder, journal, orphan_seconds=0.0, lock_seconds=PATIENCE)
        for number in range(60):
            journal.begin(begin(f"{name}-{number}", bound=100))
            if number % 3:
                journal.end(end(f"{name}-{number}", cost=number))
            if number % 10 == 9:
                filler.fill()
        journal.close()
        filler.finish()
        filler.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, name) for name in range(4)]:
            done.result()
    expected: dict[str, tuple[str, int | None]] = {}
    expected |= {f"dead-{name}-{attempt}": ("unknown", 1) for name in range(4) for attempt in range(20)}
    for name in range(4):
        for number in range(60):
            expected[f"{name}-{number}"] = ("ok", number) if number % 3 else ("unknown", 100)
    assert outcomes(connection) == expected
    assert list(folder.iterdir()) == []


def test_foreign_files_that_cannot_be_read_are_a_reason(journal: Journal, filler: Filler, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0123456789abcdef-000001.jsonl").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        filler.fill()
    assert "cannot be read" in filler.reason
    (folder / "0123456789abcdef-000001.jsonl").rmdir()
    filler.fill()
    assert filler.reason == ""


def test_a_fault_of_our_own_does_not_end_the_thread(
    journal: Journal, filler: Filler, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler.fill()
    with monkeypatch.context() as patch:
        patch.setattr("nearfar.ledger.filler._SLOWEST", 0.01)
        patch.setattr(journal, "tend", lambda: 1 / 0)
        filler.start()
        assert eventually(lambda: "ZeroDivisionError" in filler.reason)
        patch.undo()
        assert eventually(lambda: filler.reason == "")


def test_a_hung_database_is_noticed(filler: Filler, monkeypatch: pytest.MonkeyPatch) -> None:
    filler.start()
    assert eventually(lambda: filler._connection is not None)
    assert filler.late == 0.0
    with filler._pass:
        monkeypatch.setattr(filler, "_done_at", time.monotonic() - 100)
        assert filler.late >= 100


def test_a_forked_child_leaves_the_parents_connection_alone(database_url: str, folder: Path) -> None:
    program = f"""
import os
from pathlib import Path
from nearfar.ledger.filler import Filler
from nearfar.ledger.journal import Journal
from nearfar.ledger.query import entries, open_ledger
from nearfar.store.ids import Ids
from tests.attempts import begin, end
folder, url = Path({str(folder)!r}), {database_url!r}
journal = Journal(folder, Ids())
filler = Filler(url, folder, journal, orphan_seconds=0)
journal.begin(begin("parent"))
filler.fill()
child = os.fork()
if child == 0:
    assert filler._connection is None and filler._inherited, "the child would speak on the parent's connection"
    journal.begin(begin("child"))
    filler.fill()
    journal.begin(begin("killed", bound=8))
    os.kill(os.getpid(), 9)
os.waitpid(child, 0)
journal.end(end("parent"))
filler.fill()
connection = open_ledger(url)
found = {{entry.attempt: (entry.outcome, entry.cost) for entry in entries(connection)}}
assert found == {{"parent": ("ok", 10), "child": ("unknown", 1000), "killed": ("unknown", 8)}}, found
connection.close()
journal.close()
filler.finish()
filler.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=ROOT)
