from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.folder_files import (
    MAX_JSON,
    file_bytes,
    natural,
    object_or_none,
    plain_name,
    present,
    read_json,
    tokenizer,
)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none", Path("a\0b")):
        with pytest.raises(ModelFileError) as caught:
            file_bytes(path)
        assert caught.value.code == "model_file_unreadable"
    (tmp_path / "file").write_bytes(b"abc")
    assert file_bytes(tmp_path / "file") == 3


@pytest.mark.parametrize(
    "data", [b"", b"[1]", b"{", b'{"a": 1} x', b'{"\xff": 1}', b"[" * 100_000, b" " * (MAX_JSON + 1)]
)
def test_what_is_no_object_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ModelFileError):
        read_json(tmp_path / "x.json", dict[str, Any])


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert object_or_none(tmp_path / "x.json") is None
    (tmp_path / "x.json").write_text('{"a": 1}')
    assert object_or_none(tmp_path / "x.json") == {"a": 1}
    assert not present(Path("a\0b"))


def test_names_and_numbers_from_a_configuration() -> None:
    assert plain_name("model.onnx")
    assert not any(plain_name(name) for name in ("", ".", "..", "a/b", "a\\b", "a\0", "x" * 256, None, 7))
    assert [natural(value) for value in (5, 0, -1, True, 2.0, "5", 1 << 40, None)] == [5, 0, 0, 0, 0, 0, 0, 0]


def test_the_tokenizer_must_look_like_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(" {}")
    assert tokenizer(tmp_path) == "tokenizer.json"
    (tmp_path / "tokenizer.json").write_text("x")
    with pytest.raises(ModelFileError, match="no tokenizer"):
        tokenizer(tmp_path)
