from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.ledger import segments

WRITER = "0123456789abcdef"


def write(segment: segments.Segment, data: bytes) -> None:
    segment.size += os.write(segment.fd, data)


def test_a_segment_and_its_folder_are_the_owners_alone(tmp_path: Path) -> None:
    segment, number = segments.create(tmp_path / "journal", WRITER, 1)
    assert number == 1
    assert segment.name == f"{WRITER}-000001.jsonl"
    assert stat.S_IMODE(segment.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(segment.path.parent.stat().st_mode) == 0o700
    assert not os.get_inheritable(segment.fd)
    segment.remove()
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_taken_number_is_passed_over(tmp_path: Path) -> None:
    first, _ = segments.create(tmp_path, WRITER, 1)
    second, number = segments.create(tmp_path, WRITER, 1)
    assert number == 2
    assert segments.listing(tmp_path) == {WRITER: [first.path, second.path]}
    first.close()
    second.close()


def test_a_living_writers_segment_cannot_be_claimed_and_a_dead_ones_can(tmp_path: Path) -> None:
    segment, _ = segments.create(tmp_path, WRITER, 1)
    write(segment, b"hello\n")
    assert segments.claim(segment.path) is None
    segment.close()
    claimed = segments.claim(segment.path)
    assert claimed is not None
    assert claimed.ended
    assert claimed.read(0, 100) == b"hello\n"
    assert claimed.read(4, 1) == b"o"
    assert segments.claim(segment.path) is None
    claimed.remove()
    assert segments.claim(segment.path) is None


def test_reading_stops_at_the_last_whole_line(tmp_path: Path) -> None:
    segment, _ = segments.create(tmp_path, WRITER, 1)
    write(segment, b"whole\n")
    os.write(segment.fd, b"torn")
    assert segment.read(0, 100) == b"whole\n"
    segment.close()


def test_a_removed_segment_is_gone_before_its_lock_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round, somebody could claim it in between and store its lines once more."""
    segment, _ = segments.create(tmp_path, WRITER, 1)
    close, there = os.close, []

    def closing(fd: int) -> None:
        there.append(segment.path.exists())
        close(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closing)
        segment.remove()
    assert there == [False]


def test_a_writers_segments_are_claimed_all_or_none(tmp_path: Path) -> None:
    first, _ = segments.create(tmp_path, WRITER, 1)
    second, _ = segments.create(tmp_path, WRITER, 2)
    first.close()
    assert segments.claim_writer(tmp_path, WRITER) == []
    again = segments.claim(first.path)
    assert again is not None, "the half claim was not given back"
    again.close()
    second.close()
    claimed = segments.claim_writer(tmp_path, WRITER)
    assert [segment.path for segment in claimed] == [first.path, second.path]
    assert segments.claim_writer(tmp_path, WRITER) == []
    for segment in claimed:
        segment.close()


def test_a_segment_begun_after_the_listing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = segments.create(tmp_path, WRITER, 1)
    second, _ = segments.create(tmp_path, WRITER, 2)
    first.close()
    second.close()
    full = segments.listing(tmp_path)
    answers = iter([{WRITER: full[WRITER][:1]}, full])
    monkeypatch.setattr(segments, "listing", lambda _: next(answers))
    assert segments.claim_writer(tmp_path, WRITER) == []


def test_the_listing_is_in_order_and_knows_only_segments(tmp_path: Path) -> None:
    names = [f"{WRITER}-{number:06d}.jsonl" for number in (10, 2, 1_000_001, 999_999)]
    for name in [*names, "notes.txt", "x.jsonl", f"{WRITER}-1.jsonl", "ledger.db"]:
        (tmp_path / name).touch()
    order = [f"{WRITER}-{number:06d}.jsonl" for number in (2, 10, 999_999, 1_000_001)]
    assert segments.listing(tmp_path) == {WRITER: [tmp_path / name for name in order]}
    assert segments.listing(tmp_path / "missing") == {}


def test_a_removed_file_is_noticed_and_still_read(tmp_path: Path) -> None:
    segment, _ = segments.create(tmp_path, WRITER, 1)
    write(segment, b"kept\n")
    assert not segment.vanished()
    segment.path.unlink()
    assert segment.vanished()
    assert segment.read(0, 100) == b"kept\n"
    segment.remove()


def test_the_lock_dies_with_its_process_and_not_with_its_children(tmp_path: Path) -> None:
    """A child started by the writer inherits neither the file nor its lock."""
    program = f"""
import os, subprocess, sys
from pathlib import Path
from nearfar.ledger import segments
segment, _ = segments.create(Path({str(tmp_path)!r}), {WRITER!r}, 1)
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print("ready", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        assert segments.claim_writer(tmp_path, WRITER) == []
        writer.kill()
        writer.wait()
        claimed = segments.claim_writer(tmp_path, WRITER)
    assert len(claimed) == 1
    claimed[0].remove()
