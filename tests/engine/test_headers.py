from __future__ import annotations

import os
from pathlib import Path

import pytest

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.header import Header
from nearfar.engine.headers import Headers


class Reader:
    """Reads really, and counts."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> Header:
        self.read.append(path.name)
        return read_header(path)


@pytest.fixture
def model(tmp_path: Path, tiny_gguf: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_gguf.read_bytes())
    return path


def test_a_header_is_read_once_also_by_the_next_process(tmp_path: Path, model: Path) -> None:
    first, second = Reader(), Reader()
    headers_of = Headers(first, tmp_path / ".headers.json").of
    assert headers_of(model) == headers_of(model) == read_header(model)
    assert Headers(second, tmp_path / ".headers.json").of(model) == read_header(model)
    assert (first.read, second.read) == (["m.gguf"], [])
    assert [file.name for file in tmp_path.iterdir() if "headers" in file.name] == [".headers.json"]


def test_a_changed_file_is_read_again(tmp_path: Path, model: Path) -> None:
    reader = Reader()
    kept = Headers(reader, tmp_path / ".headers.json")
    kept.of(model)
    os.utime(model, ns=(1, 1))
    kept.of(model)
    model.write_bytes(model.read_bytes()[:-3000])
    for _ in range(2):
        with pytest.raises(ModelFileError, match="truncated"):
            kept.of(model)
    assert len(reader.read) == 3
    model.unlink()
    with pytest.raises(ModelFileError, match="cannot be opened"):
        kept.of(model)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"release":1}', b'{"release":"0","headers":{}}'])
def test_a_broken_memory_does_no_harm(tmp_path: Path, model: Path, content: bytes) -> None:
    file = tmp_path / ".headers.json"
    file.write_bytes(content)
    assert Headers(Reader(), file).of(model).layers == 2
    again = Reader()
    Headers(again, file).of(model)
    assert again.read == []


def test_another_release_reads_for_itself(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".headers.json"
    Headers(Reader(), file).of(model)
    monkeypatch.setattr("nearfar.__version__", "99")
    reader = Reader()
    Headers(reader, file).of(model)
    assert reader.read == ["m.gguf"]


def test_nothing_is_written_where_nothing_can_be(tmp_path: Path, model: Path) -> None:
    absent = tmp_path / "absent" / ".headers.json"
    assert Headers(Reader(), absent).of(model).layers == 2
    assert not absent.parent.exists()
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / ".headers.json").mkdir()
    assert Headers(Reader(), blocked / ".headers.json").of(model).layers == 2
    assert [file.name for file in blocked.iterdir()] == [".headers.json"]


def test_what_is_not_kept_is_forgotten(tmp_path: Path, model: Path) -> None:
    file = tmp_path / ".headers.json"
    kept = Headers(Reader(), file)
    kept.of(model)
    kept.keep([model])
    assert b"m.gguf" in file.read_bytes()
    kept.keep([])
    assert b"m.gguf" not in file.read_bytes()
