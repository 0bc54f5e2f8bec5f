from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearfar.engine.cursor import Cursor, ModelFileError


@contextlib.contextmanager
def over(path: Path, content: bytes, size: int | None = None) -> Iterator[Cursor]:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield Cursor(descriptor, len(content) if size is None else size, path)
    finally:
        os.close(descriptor)


def test_it_reads_numbers_and_texts_across_windows(tmp_path: Path) -> None:
    filler = 1_000_000  # several windows
    content = struct.pack("<IQ", 7, 9) + bytes(filler) + struct.pack("<Q", 3) + "né".encode() + b"!"
    with over(tmp_path / "f", content) as cursor:
        assert (cursor.u32(), cursor.u64()) == (7, 9)
        cursor.skip(filler)
        assert cursor.text(100) == "né"
        assert (cursor.position, cursor.left) == (len(content) - 1, 1)
        assert cursor.take(1) == b"!"
        with pytest.raises(ModelFileError, match="truncated"):
            cursor.take(1)


def test_it_passes_strings_across_windows(tmp_path: Path) -> None:
    words = [b"x" * (n % 97) for n in range(20_000)]
    content = b"".join(struct.pack("<Q", len(word)) + word for word in words)
    with over(tmp_path / "f", content + b"end") as cursor:
        cursor.skip_strings(len(words))
        assert cursor.take(3) == b"end"
    with over(tmp_path / "f", content) as cursor, pytest.raises(ModelFileError):
        cursor.skip_strings(len(words) + 1)


def test_a_text_over_its_limit_is_passed(tmp_path: Path) -> None:
    with over(tmp_path / "f", struct.pack("<Q", 5) + b"12345" + b"z") as cursor:
        assert cursor.text(4) is None
        assert cursor.take(1) == b"z"


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    with over(tmp_path / "f", b"1234", size=100) as cursor, pytest.raises(ModelFileError, match="changed"):
        cursor.take(50)
