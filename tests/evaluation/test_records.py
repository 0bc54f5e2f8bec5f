"""The book of records: nothing that was answered is lost, or asked twice."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nearfar.evaluation.records import BadResults, Book, Heard, Job, Record


def job(**more: object) -> Job:
    return msgspec.structs.replace(Job(id="1", on="near", body={"model": "near", "messages": []}), **more)


def record(done: Job, text: str = "yes", *, spent: int = 5) -> Record:
    return Record(key=done.key, id=done.id, on=done.on, heard=Heard(text=text), spent=spent)


def test_a_key_stands_for_everything_that_was_asked() -> None:
    same = job(body={"messages": [], "model": "near"}, bound=7)
    assert same.key == job().key
    others = [
        job(id="2"),
        job(on="far"),
        job(role="judge"),
        job(repeat=1),
        job(pair=("a", "b")),
        job(body={"model": "near", "messages": [], "max_tokens": 1}),
        job(class_="internal"),
        job(weigh=True),
    ]
    assert len({item.key for item in others} | {same.key}) == len(others) + 1


def test_what_is_added_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    failed = Record(key=job(id="2").key, id="2", on="near", error="timeout", spent=3)
    with Book(path) as book:
        book.add(record(job()))
        book.add(failed)
    assert path.stat().st_mode & 0o777 == 0o600
    with Book(path, resume=True) as again:
        assert (again.known, again.spent) == (1, 8)
        assert again.get(job()) == record(job())
        assert again.get(job(id="2")) is None
        again.add(record(job(id="2"), spent=1))
        assert again.get(job(id="2")) is not None
    assert Book(path, resume=True).spent == 9


def test_a_line_that_was_torn_off_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with Book(path) as book:
        book.add(record(job()))
        book.add(record(job(id="2")))
    path.write_bytes(path.read_bytes()[:-9])
    with Book(path, resume=True) as again:
        assert again.known == 1
        again.add(record(job(id="2"), "no"))
    with Book(path, resume=True) as whole:
        assert whole.known == 2


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    Book(path).__exit__(None, None, None)
    with pytest.raises(BadResults, match="earlier run") as caught:
        Book(path)
    assert "--resume" in caught.value.hint


def test_files_that_are_no_results(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b"}\n')
    with pytest.raises(BadResults, match="line 1"):
        Book(path, resume=True)
    with pytest.raises(BadResults, match="cannot be written"):
        Book(tmp_path / "none" / "r.jsonl")


def test_without_a_file() -> None:
    with Book(None) as book:
        book.add(record(job()))
        assert book.get(job()) is not None
