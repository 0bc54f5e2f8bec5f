from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.attempts import begin, end

from nearfar.core.errors import LedgerUnavailable
from nearfar.ledger import segments
from nearfar.ledger.journal import Journal
from nearfar.ledger.records import Record, from_lines
from nearfar.store.ids import Ids

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def journal(folder: Path, now: list[float]) -> Iterator[Journal]:
    made = Journal(folder, Ids(), limit=5, clock=lambda: now[0])
    yield made
    made.release()


def written(journal: Journal) -> list[Record]:
    """What the journal's files hold now, in order, torn lines included as far as they were cut."""
    data = b"".join(path.read_bytes() for path in segments.listing(journal._folder).get(journal.writer, []))
    records, damaged = from_lines(data)
    assert damaged == 0
    return records


class FullDisk:
    """Puts the kernel's own full device behind the journal's descriptor: every write fails with ENOSPC."""

    def __init__(self, journal: Journal) -> None:
        assert journal._current is not None
        self.fd = journal._current.fd
        self.saved = os.dup(self.fd)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, self.fd, inheritable=False)
        os.close(full)

    def heal(self) -> None:
        os.dup2(self.saved, self.fd, inheritable=False)
        os.close(self.saved)


def test_each_record_is_in_the_file_when_the_call_returns(journal: Journal) -> None:
    journal.begin(begin("a"))
    assert written(journal) == [begin("a")]
    journal.end(end("a"))
    assert written(journal) == [begin("a"), end("a")]
    assert journal.reason == ""
    assert journal.accepting
    assert journal.waiting == 0


def test_segments_rotate_and_stay_locked_until_dropped(folder: Path) -> None:
    journal = Journal(folder, Ids(), segment_bytes=1000)
    for number in range(20):
        journal.begin(begin(f"a{number}"))
    kept = journal.segments()
    assert len(kept) > 3
    assert [segment.ended for segment in kept] == [True] * (len(kept) - 1) + [False]
    assert len(written(journal)) == 20
    assert segments.claim_writer(folder, journal.writer) == []
    journal.drop(kept[0])
    assert not kept[0].path.exists()
    assert journal.segments() == kept[1:]
    journal.release()
    claimed = segments.claim_writer(folder, journal.writer)
    assert len(claimed) == len(kept) - 1
    for segment in claimed:
        segment.remove()


def test_a_full_disk_raises_nothing_and_loses_nothing(journal: Journal, now: list[float]) -> None:
    journal.begin(begin("a"))
    disk = FullDisk(journal)
    journal.end(end("a"))
    journal.begin(begin("b"))
    assert journal.waiting == 2
    assert "No space left on device" in journal.reason
    assert journal.accepting
    disk.heal()
    now[0] += 1
    journal.end(end("b"))
    assert written(journal) == [begin("a"), end("a"), begin("b"), end("b")]
    assert journal.waiting == 0
    assert journal.reason == ""


def test_a_full_disk_is_not_asked_again_for_every_record(journal: Journal, now: list[float]) -> None:
    journal.begin(begin("a"))
    disk = FullDisk(journal)
    journal.end(end("a"))
    disk.heal()
    journal.begin(begin("b"))
    assert journal.waiting == 2, "tried again at once"
    now[0] += 1
    journal.begin(begin("c"))
    assert journal.waiting == 0
    assert written(journal) == [begin("a"), end("a"), begin("b"), begin("c")]


def test_only_when_memory_is_full_too_are_new_attempts_refused_and_never_their_ends(
    journal: Journal, now: list[float]
) -> None:
    journal.begin(begin("a"))
    disk = FullDisk(journal)
    for number in range(5):
        journal.begin(begin(f"b{number}"))
    assert not journal.accepting
    with pytest.raises(LedgerUnavailable, match=r"No space left on device.*5 records wait") as caught:
        journal.begin(begin("refused"))
    assert "Make room" in caught.value.hint
    journal.end(end("a"))
    assert journal.waiting == 6
    disk.heal()
    now[0] += 1
    journal.begin(begin("c"))
    assert written(journal) == [begin("a"), *(begin(f"b{number}") for number in range(5)), end("a"), begin("c")]


def test_tending_writes_what_waits_and_clears_the_reason(journal: Journal) -> None:
    journal.begin(begin("a"))
    disk = FullDisk(journal)
    journal.end(end("a"))
    journal.tend()
    assert journal.waiting == 1
    disk.heal()
    journal.tend()
    assert journal.waiting == 0
    assert journal.reason == ""
    assert written(journal) == [begin("a"), end("a")]


def test_a_well_disk_is_noticed_without_traffic(journal: Journal) -> None:
    journal.begin(begin("a"))
    disk = FullDisk(journal)
    journal.end(end("a"))
    mark, lines = journal.queued()
    assert from_lines(lines) == ([end("a")], 0)
    journal.forget(mark)
    journal.tend()
    assert "No space left" in journal.reason
    disk.heal()
    journal.tend()
    assert journal.reason == ""
    assert written(journal) == [begin("a")]


def test_forgetting_takes_only_what_was_read(journal: Journal, now: list[float]) -> None:
    journal.begin(begin("a"))
    disk = FullDisk(journal)
    journal.end(end("a"))
    mark, _ = journal.queued()
    journal.begin(begin("b"))
    disk.heal()
    now[0] += 1
    journal.begin(begin("c"))  # works the queue off
    disk = FullDisk(journal)
    journal.begin(begin("d"))
    journal.forget(mark)
    assert journal.waiting == 1
    disk.heal()
    journal.tend()
    assert written(journal) == [begin("a"), end("a"), begin("b"), begin("c"), begin("d")]


def test_a_torn_line_is_cut_off_and_written_again(folder: Path) -> None:
    """The kernel's own limit on the size of a file lets a write through in part, as a disk that fills up does."""
    program = f"""
import resource
from pathlib import Path
from nearfar.ledger.journal import Journal
from nearfar.store.ids import Ids
from tests.attempts import begin, end
journal = Journal(Path({str(folder)!r}), Ids())
journal.begin(begin("a"))
size = journal.segments()[0].size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, {resource.RLIM_INFINITY}))
journal.begin(begin("b"))
assert journal.waiting == 1
assert journal.reason, "no reason given"
assert journal.segments()[0].path.stat().st_size == size, "the torn line is still there"
assert "File too large" in journal.reason, journal.reason
journal.tend()  # another file may grow, up to the same limit
assert journal.waiting == 0 and len(journal.segments()) == 2
resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
journal.tend()
assert journal.waiting == 0 and journal.reason == ""
journal.begin(begin("c"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
    ((_, paths),) = segments.listing(folder).items()
    data = b"".join(path.read_bytes() for path in paths)
    assert from_lines(data) == ([begin("a"), begin("b"), begin("c")], 0)


def test_where_even_cutting_fails_the_journal_goes_on_elsewhere(journal: Journal, now: list[float]) -> None:
    journal.begin(begin("a"))
    (segment,) = journal.segments()
    os.write(segment.fd, b'{"k":"begin","att')  # torn, and not in its size
    saved = os.dup(segment.fd)
    reader, writer = os.pipe()  # a descriptor that cannot be cut
    os.dup2(writer, segment.fd, inheritable=False)
    journal._heal(segment)
    os.dup2(saved, segment.fd, inheritable=False)
    for fd in (saved, reader, writer):
        os.close(fd)
    journal.end(end("a"))
    assert len(journal.segments()) == 2
    assert [from_lines(one.read(0, 10_000)) for one in journal.segments()] == [([begin("a")], 0), ([end("a")], 0)]


def test_a_bad_descriptor_is_replaced_by_a_new_segment(journal: Journal, now: list[float]) -> None:
    journal.begin(begin("a"))
    (segment,) = journal.segments()
    read_only = os.open(segment.path, os.O_RDONLY)
    os.dup2(read_only, segment.fd, inheritable=False)
    os.close(read_only)
    journal.end(end("a"))
    assert "Bad file descriptor" in journal.reason
    now[0] += 1
    journal.begin(begin("b"))
    assert written(journal) == [begin("a"), end("a"), begin("b")]
    assert len(journal.segments()) == 2


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_removed_segment_is_replaced_and_still_readable(journal: Journal, folder: Path, whole_folder: bool) -> None:
    journal.begin(begin("a"))
    for path in folder.iterdir():
        path.unlink()
    if whole_folder:
        folder.rmdir()
    journal.end(end("a"))
    journal.tend()
    journal.begin(begin("b"))
    first, second = journal.segments()
    assert from_lines(first.read(0, 10_000)) == ([begin("a"), end("a")], 0)
    assert first.ended
    assert written(journal) == [begin("b")]
    assert second.path.exists()


def test_a_folder_that_cannot_be_made_is_a_reason_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    now = [0.0]
    journal = Journal(tmp_path / "file" / "journal", Ids(), clock=lambda: now[0])
    journal.tend()
    assert "cannot be written: Not a directory" in journal.reason
    journal.begin(begin("a"))
    assert journal.waiting == 1
    (tmp_path / "file").unlink()
    now[0] += 1
    journal.end(end("a"))
    assert journal.waiting == 0
    assert written(journal) == [begin("a"), end("a")]
    journal.release()


def test_after_close_attempts_are_refused_and_late_ends_are_kept(journal: Journal, folder: Path) -> None:
    journal.begin(begin("a"))
    journal.close()
    assert not journal.accepting
    with pytest.raises(LedgerUnavailable, match="shutting down"):
        journal.begin(begin("b"))
    for segment in journal.segments():
        journal.drop(segment)
    journal.end(end("a"))
    claimed = segments.claim_writer(folder, journal.writer)
    assert [from_lines(segment.read(0, 10_000)) for segment in claimed] == [([end("a")], 0)]
    for segment in claimed:
        segment.remove()


def test_threads_do_not_mix_their_lines(folder: Path) -> None:
    journal = Journal(folder, Ids(), segment_bytes=20_000)

    def work(name: int) -> None:
        for number in range(200):
            journal.begin(begin(f"{name}-{number}"))
            journal.end(end(f"{name}-{number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = written(journal)
    assert len(records) == 1600
    assert len({(type(record), record.attempt) for record in records}) == 1600
    journal.release()


def test_a_forked_child_writes_to_segments_of_its_own(folder: Path) -> None:
    """Neither the parent's lock nor the records that wait in its memory are the child's."""
    program = f"""
import os, sys
from pathlib import Path
from nearfar.ledger import segments
from nearfar.ledger.journal import Journal
from nearfar.store.ids import Ids
from tests.attempts import begin, end
folder = Path({str(folder)!r})
journal = Journal(folder, Ids())
journal.begin(begin("parent"))
writer = journal.writer
full = os.open("/dev/full", os.O_WRONLY)
saved = os.dup(journal.segments()[0].fd)
os.dup2(full, journal.segments()[0].fd)
journal.end(end("parent"))
if os.fork() == 0:
    assert journal.waiting == 0 and journal.writer != writer and journal.segments() == []
    os.close(saved)
    assert segments.claim_writer(folder, writer) == [], "the child's copies must not have carried the lock away"
    journal.begin(begin("child"))
    os._exit(0)
assert os.wait()[1] == 0
os.dup2(saved, journal.segments()[0].fd)
os.close(saved)
assert segments.claim_writer(folder, writer) == [], "the parent lost its lock to its child"
(other,) = [name for name in segments.listing(folder) if name != writer]
(claimed,) = segments.claim_writer(folder, other)
print(claimed.read(0, 10_000).decode(), end="")
journal.tend()
print(journal.segments()[0].read(0, 10_000).decode(), end="")
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=ROOT)
    assert from_lines(done.stdout) == ([begin("child"), begin("parent"), end("parent")], 0)


def test_held_records_are_written_together_and_in_order(journal: Journal) -> None:
    asked: list[str] = []
    journal.hold(lambda: asked.append("soon"))
    journal.begin(begin("a"))
    journal.begin(begin("b"))
    journal.end(end("a"))
    assert (written(journal), asked) == ([], ["soon"]), "one reminder for all of them"
    journal.flush()
    assert written(journal) == [begin("a"), begin("b"), end("a")]
    journal.end(end("b"))
    journal.flush()
    journal.flush()
    assert written(journal)[3:] == [end("b")]
    assert asked == ["soon", "soon"]


def test_held_records_survive_a_full_disk_one_by_one(journal: Journal, now: list[float]) -> None:
    journal.tend()
    journal.hold(lambda: None)
    disk = FullDisk(journal)
    for name in "abcde":
        journal.begin(begin(name))
    journal.flush()
    assert journal.waiting == 5
    with pytest.raises(LedgerUnavailable):
        journal.begin(begin("f"))
    journal.end(end("a"))
    journal.flush()
    disk.heal()
    now[0] += 1
    journal.tend()
    assert written(journal) == [*(begin(name) for name in "abcde"), end("a")]


def test_what_is_held_at_the_end_is_written(journal: Journal) -> None:
    journal.hold(lambda: None)
    journal.begin(begin("a"))
    journal.close()
    journal.end(end("a"))
    assert written(journal) == [begin("a"), end("a")]
