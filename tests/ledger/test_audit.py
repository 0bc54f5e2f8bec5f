"""The writer: on the disk before anybody is told so; a failing disk is told, and the chain goes on afterwards."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.ledger.audits import OPENED, attempt, audit, chain, entries, file

from nearfar.core.errors import AuditUnavailable
from nearfar.ledger.audit import Audit
from nearfar.ledger.audit_read import heads, verify
from nearfar.ledger.audit_records import Attempted, Closed, Opened, Resumed
from nearfar.ledger.segments import listing

ROOT = Path(__file__).parents[2]


class Disk:
    """Stands for fsync of a disk that fails as long as it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.synced: list[int] = []

    def __call__(self, fd: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)
        self.synced.append(os.fstat(fd).st_size)


def test_a_record_is_synced_before_its_future_is_done(tmp_path: Path) -> None:
    disk = Disk()
    made = audit(tmp_path, sync=disk)
    head = made.submit(attempt()).result(10)
    assert disk.synced[-1] == file(tmp_path, made.writer).stat().st_size
    assert head.n == 1
    assert heads(tmp_path) == {made.writer: head}
    made.close()


def test_a_chain_opens_and_closes_in_order(tmp_path: Path) -> None:
    writer = chain(tmp_path, attempt(), attempt(request="req-2"))
    kinds = [type(entry.body) for entry in entries(tmp_path, writer)]
    assert kinds == [Opened, Attempted, Attempted, Closed]
    assert verify(tmp_path).sound
    assert file(tmp_path, writer).stat().st_mode & 0o777 == 0o600


def test_started_it_speaks_also_of_a_time_without_requests(tmp_path: Path) -> None:
    writer = chain(tmp_path)
    assert [type(entry.body) for entry in entries(tmp_path, writer)] == [Opened, Closed]


def test_a_new_chain_notes_the_heads_of_the_others(tmp_path: Path) -> None:
    first = chain(tmp_path, attempt())
    seen = heads(tmp_path)
    second = chain(tmp_path)
    body = entries(tmp_path, second)[0].body
    assert isinstance(body, Opened)
    assert body.heads == seen
    assert set(seen) == {first}


def test_many_threads_share_writes_and_each_is_told_its_own_place(tmp_path: Path) -> None:
    made = audit(tmp_path)
    found: dict[str, int] = {}

    def ask(name: str) -> None:
        found[name] = made.submit(attempt(request=name)).result(10).n

    threads = [threading.Thread(target=ask, args=(f"req-{number}",)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.close()
    written = {entry.n: entry.body for entry in entries(tmp_path, made.writer)}
    for name, n in found.items():
        body = written[n]
        assert isinstance(body, Attempted)
        assert body.request == name
    assert verify(tmp_path).sound


def test_a_failing_sync_is_told_and_the_chain_goes_on(tmp_path: Path) -> None:
    disk = Disk()
    made = audit(tmp_path, sync=disk)
    made.submit(attempt()).result(10)
    disk.fails = True
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match=r"cannot be written: Input/output error\. Nothing left"):
            made.submit(attempt(request="lost")).result(10)
    assert not made.accepting
    disk.fails = False
    made.submit(attempt(request="later")).result(10)
    assert made.accepting
    made.close()
    report = verify(tmp_path)
    assert report.sound
    (read,) = report.chains
    assert (read.missed, read.closed) == (2, True)
    bodies = [entry.body for entry in entries(tmp_path, made.writer)]
    assert [type(body) for body in bodies] == [Opened, Attempted, Resumed, Attempted, Closed]
    assert "Input/output error" in str(bodies[2])


def test_it_tries_again_without_a_record(tmp_path: Path) -> None:
    disk = Disk()
    made = audit(tmp_path, sync=disk)
    made.submit(attempt()).result(10)
    made.retry()
    disk.fails = True
    with pytest.raises(AuditUnavailable):
        made.submit(attempt(request="lost")).result(10)
    assert "cannot be written" in made.trouble
    made.retry()
    disk.fails = False
    # One that was asked for while the disk failed may have been the last.
    for _ in range(2):
        made.retry()
        made.submit(attempt(request="later")).result(10)
    assert made.trouble == ""
    made.close()
    assert "closed" in made.trouble
    assert verify(tmp_path).sound


def test_a_disk_that_hangs_is_trouble_before_anybody_gave_up(tmp_path: Path) -> None:
    go_on = threading.Event()
    reached = threading.Event()

    def hang(fd: int) -> None:
        del fd
        reached.set()
        go_on.wait(30)

    made = audit(tmp_path, sync=hang, wait=0.0)
    done = made.submit(attempt())
    assert reached.wait(30)
    assert "not answered" in made.trouble
    assert not made.accepting
    go_on.set()
    done.result(10)
    made.close()


def test_a_record_that_could_not_be_cut_off_again_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    made = audit(tmp_path, sync=disk)
    made.submit(attempt()).result(10)

    def refuse(fd: int, size: int) -> None:
        del fd, size
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "ftruncate", refuse)
    disk.fails = True
    with pytest.raises(AuditUnavailable):
        made.submit(attempt(request="lost")).result(10)
    disk.fails = False
    made.submit(attempt(request="later")).result(10)
    made.close()
    report = verify(tmp_path)
    assert report.problems == []
    assert (report.chains[0].unacknowledged, report.chains[0].records) == (1, 5)


def test_a_full_disk_stops_records_and_nothing_else(tmp_path: Path) -> None:
    made = audit(tmp_path)
    made.submit(attempt()).result(10)
    assert made._segment is not None
    saved = os.dup(made._segment.fd)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, made._segment.fd, inheritable=False)
    os.close(full)
    with pytest.raises(AuditUnavailable, match="No space left"):
        made.submit(attempt()).result(10)
    os.close(saved)
    made.submit(attempt()).result(10)
    made.close()
    assert verify(tmp_path).sound


def test_a_file_that_somebody_removed_is_missed_and_not_written_to(tmp_path: Path) -> None:
    made = audit(tmp_path)
    made.submit(attempt()).result(10)
    file(tmp_path, made.writer).unlink()
    head = made.submit(attempt(request="after")).result(10)
    assert heads(tmp_path) == {made.writer: head}
    made.close()
    assert "the chain begins with record 2: what came before is missing" in verify(tmp_path).problems[0]


def test_a_file_that_is_removed_while_it_is_written_to_is_no_record(tmp_path: Path) -> None:
    removed = threading.Event()

    def remove(fd: int) -> None:
        os.fsync(fd)
        if not removed.is_set() and listing(tmp_path):
            paths = next(iter(listing(tmp_path).values()))
            if paths[0].stat().st_size:
                removed.set()
                paths[0].unlink()

    made = audit(tmp_path, sync=remove)
    with pytest.raises(AuditUnavailable, match="somebody removed its file"):
        made.submit(attempt()).result(10)
    made.submit(attempt()).result(10)
    made.close()
    assert verify(tmp_path).sound


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    made = audit(tmp_path / "audit")
    made.start()
    assert "cannot be written" in made.reason
    with pytest.raises(AuditUnavailable):
        made.submit(attempt()).result(10)
    made.close()


def test_a_hanging_disk_is_given_up_and_the_late_record_stands_all_the_same(tmp_path: Path) -> None:
    proceed = threading.Event()

    def hang(fd: int) -> None:
        proceed.wait(10)
        os.fsync(fd)

    made = audit(tmp_path, sync=hang, wait=0.05)

    async def scenario() -> None:
        with pytest.raises(AuditUnavailable, match=r"within 0\.05 s"):
            await made.durable(attempt(request="late"))
        proceed.set()
        made._wait = 10
        await made.durable(attempt(request="next"))

    asyncio.run(scenario())
    made.close()
    names = [entry.body.request for entry in entries(tmp_path, made.writer) if isinstance(entry.body, Attempted)]
    assert names == ["late", "next"]
    assert verify(tmp_path).chains[0].missed == 1


def test_a_disk_that_hangs_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.ledger.audit.WAITING", 3)
    reached, proceed = threading.Event(), threading.Event()

    def hang(fd: int) -> None:
        reached.set()
        proceed.wait(10)
        os.fsync(fd)

    made = audit(tmp_path, sync=hang)
    first = made.submit(attempt())
    assert reached.wait(10)
    waiting = [made.submit(attempt()) for _ in range(3)]
    with pytest.raises(AuditUnavailable, match="3 records wait"):
        made.submit(attempt()).result(10)
    proceed.set()
    places = [done.result(10).n for done in (first, *waiting)]
    assert places == sorted(set(places))
    made.close()
    report = verify(tmp_path)
    assert (report.sound, report.chains[0].missed) == (True, 1)


def test_durable_comes_back_with_its_place(tmp_path: Path) -> None:
    made = audit(tmp_path)

    async def scenario() -> list[int]:
        return [head.n for head in await asyncio.gather(*(made.durable(attempt()) for _ in range(5)))]

    assert sorted(asyncio.run(scenario())) == [1, 2, 3, 4, 5]
    made.close()
    with pytest.raises(AuditUnavailable, match="shutting down"):
        made.submit(attempt()).result(10)
    made.close()


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    writer = chain(tmp_path, *(attempt() for _ in range(6)), segment_bytes=1500)
    assert len(listing(tmp_path)[writer]) > 2
    report = verify(tmp_path)
    assert report.sound
    assert report.chains[0].records == 8


def test_a_killed_process_leaves_a_chain_that_is_whole(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from tests.ledger.audits import attempt, audit
made = audit(Path(sys.argv[1]))
for number in range(20):
    made.submit(attempt(request=f"req-{number}")).result(10)
os.write(made._segment.fd, b'{"hash":"00')
os.kill(os.getpid(), 9)
"""
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, env=environ)
    assert done.returncode == -9
    report = verify(tmp_path)
    assert report.sound
    (read,) = report.chains
    assert (read.records, read.torn, read.closed, read.alive) == (21, True, False, False)


def test_a_forked_child_has_a_chain_of_its_own(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from tests.ledger.audits import attempt, audit
made = audit(Path(sys.argv[1]))
made.submit(attempt(request="parent")).result(10)
child = os.fork()
if child == 0:
    made.submit(attempt(request="child")).result(10)
    made.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
made.submit(attempt(request="parent again")).result(10)
made.close()
"""
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environ)
    report = verify(tmp_path)
    assert report.sound
    assert sorted(chain.records for chain in report.chains) == [3, 4]


def test_what_it_is_told_is_what_it_opens_with(tmp_path: Path) -> None:
    made = Audit(tmp_path, audit(tmp_path)._ids, OPENED)
    made.start()
    made.close()
    assert entries(tmp_path, made.writer)[0].body == OPENED
