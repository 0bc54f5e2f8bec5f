"""Reading chains: every kind of damage is told, and nothing that is sound is called damaged."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.examples import examples
from tests.ledger.audits import attempt, audit, chain, clock, file

from nearfar.ledger.audit_read import anchor, digest, heads, load_anchor, verify
from nearfar.ledger.audit_records import from_line, to_line
from nearfar.ledger.segments import listing

THREE = (attempt(request="req-a"), attempt(request="req-b"), attempt(request="req-c"))


def change(path: Path, at: int, line: bytes | None) -> None:
    """Put another line in the place of one; None takes it out."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[at : at + 1] = [] if line is None else [line]
    path.write_bytes(b"".join(lines))


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    assert verify(tmp_path).chains == []
    assert verify(tmp_path / "none").sound


def test_a_whole_chain_is_sound(tmp_path: Path) -> None:
    writer = chain(tmp_path, *THREE)
    report = verify(tmp_path)
    assert report.sound
    (read,) = report.chains
    assert (read.writer, read.records, read.closed, read.torn, read.alive, read.back) == (
        writer,
        5,
        True,
        False,
        False,
        0,
    )
    assert read.head == heads(tmp_path)[writer]
    assert (read.first, read.last) == (1000, 1004)


def test_a_running_chain_is_alive(tmp_path: Path) -> None:
    made = audit(tmp_path)
    made.submit(attempt()).result(10)
    assert verify(tmp_path).chains[0].alive
    made.close()
    assert not verify(tmp_path).chains[0].alive


def test_a_changed_record(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, *THREE))
    path.write_bytes(path.read_bytes().replace(b"req-b", b"req-x"))
    assert [problem.partition(": ")[2] for problem in verify(tmp_path).problems] == [
        f"{path.name}:3: its hash is not that of its content"
    ]


def test_a_record_taken_out(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, *THREE))
    change(path, 2, None)
    assert "record 3 stands where 2 was to come" in verify(tmp_path).problems[0]


def test_the_beginning_taken_out(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, *THREE))
    change(path, 0, None)
    assert "the chain begins with record 1" in verify(tmp_path).problems[0]


def test_a_record_forged_with_its_hash(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, *THREE))
    entry, _ = from_line(path.read_bytes().splitlines()[2])
    change(path, 2, to_line(msgspec.structs.replace(entry, body=attempt(request="req-x")))[0])
    assert "record 3 does not follow the one before it" in verify(tmp_path).problems[0]


def test_records_after_the_end(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, *THREE))
    last, hash_ = from_line(path.read_bytes().splitlines()[-1])
    more = msgspec.structs.replace(last, n=last.n + 1, prev=hash_, body=attempt())
    path.write_bytes(path.read_bytes() + to_line(more)[0])
    assert "a record follows the end" in verify(tmp_path).problems[0]


def test_an_empty_file_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef-000001.jsonl").touch()
    assert verify(tmp_path).problems == ["0123456789abcdef: holds no record"]


def test_a_file_in_the_middle_that_is_gone(tmp_path: Path) -> None:
    writer = chain(tmp_path, *THREE, *THREE, segment_bytes=1500)
    listing(tmp_path)[writer][1].unlink()
    assert "was to come" in verify(tmp_path).problems[0]


def test_a_chain_that_is_cut_is_missed_by_a_later_one(tmp_path: Path) -> None:
    writer = chain(tmp_path, *THREE)
    later = chain(tmp_path, attempt())
    change(file(tmp_path, writer), 4, None)
    assert verify(tmp_path).problems == [
        f"chain {later}, when it was opened, saw chain {writer} with 5 records: 4 are left"
    ]


def test_a_chain_that_is_gone_or_written_anew_is_missed_by_an_anchor(tmp_path: Path) -> None:
    writer = chain(tmp_path / "a", *THREE)
    kept = anchor(tmp_path / "a")
    assert verify(tmp_path / "a", anchor=kept).anchored
    path = file(tmp_path / "a", writer)
    anew = file(tmp_path / "b", chain(tmp_path / "b", attempt(request="req-x"), *THREE[1:]))
    path.write_bytes(anew.read_bytes())
    report = verify(tmp_path / "a", anchor=kept)
    assert verify(tmp_path / "a").sound
    assert report.problems == [f"the anchor saw another record 4 in chain {writer}: it was written anew"]
    assert not report.anchored
    path.unlink()
    assert verify(tmp_path / "a", anchor=kept).problems == [f"the anchor saw chain {writer} with 5 records: it is gone"]


def test_an_anchor_tells_how_much_came_after_it(tmp_path: Path) -> None:
    made = audit(tmp_path)
    made.submit(attempt()).result(10)
    kept = anchor(tmp_path)
    made.submit(attempt()).result(10)
    made.close()
    chain(tmp_path)
    report = verify(tmp_path, anchor=kept)
    assert (report.anchored, report.after_anchor, report.anchor_at) == (True, 4, kept.at)


def test_an_anchor_is_a_file_that_can_be_kept(tmp_path: Path) -> None:
    chain(tmp_path / "a", *THREE)
    made = anchor(tmp_path / "a")
    path = tmp_path / "anchor.json"
    path.write_bytes(msgspec.json.encode(made))
    assert load_anchor(path) == made
    assert made.digest == digest(made.heads)
    forged = json.loads(path.read_text()) | {"digest": "0" * 64}
    path.write_text(json.dumps(forged))
    assert "digest" in verify(tmp_path / "a", anchor=load_anchor(path)).problems[0]
    path.write_text("{}")
    with pytest.raises(ValueError, match="is no anchor"):
        load_anchor(path)


def test_a_clock_that_went_back_is_told_and_no_damage(tmp_path: Path) -> None:
    times = iter([9, 8, 7, 6, 5])
    chain(tmp_path, *THREE, clock=lambda: next(times))
    report = verify(tmp_path)
    assert (report.sound, report.chains[0].back) == (True, 4)


def test_a_head_is_found_behind_half_a_record_and_a_long_one(tmp_path: Path) -> None:
    made = audit(tmp_path)
    head = made.submit(attempt(reasons=("x" * 300_000,))).result(10)
    assert made._segment is not None
    with made._segment.path.open("ab") as file_:
        file_.write(b'{"hash":"12')
    assert heads(tmp_path) == {made.writer: head}
    made.close()


def test_many_problems_are_counted(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, *THREE))
    path.write_bytes(b"x\n" * 50)
    problems = verify(tmp_path).problems
    assert len(problems) == 21
    assert problems[-1].endswith("and 30 more")


@examples(60, suppress=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_byte_of_a_chain_is_told(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    path = file(folder, chain(folder, *THREE, clock=clock()))
    raw = path.read_bytes()
    at = data.draw(st.integers(0, len(raw) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != raw[at]))
    path.write_bytes(raw[:at] + bytes([byte]) + raw[at + 1 :])
    assert verify(folder).problems
