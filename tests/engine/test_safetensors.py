from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.folder_models import WEIGHTS, pack, safetensors

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.safetensors import MAX_HEADER, common_type, read_tensors


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    return path


def test_sums(tmp_path: Path) -> None:
    found = read_tensors(written(tmp_path, WEIGHTS))
    assert (found.bytes, found.parameters, found.names) == (32, 10, frozenset({"a", "b"}))
    assert found.by_type == {"F32": 24, "BF16": 8}
    assert found.file_bytes == len(WEIGHTS)
    assert common_type(found.by_type) == "F32"
    assert not common_type({})


def test_types_smaller_than_a_byte(tmp_path: Path) -> None:
    assert read_tensors(written(tmp_path, safetensors({"a": ("F4", [4], 2)}))).parameters == 4


A = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
BAD: list[tuple[object, bytes]] = [
    ([], b""),
    ({"a": A | {"dtype": "F31"}}, bytes(4)),
    ({"a": A | {"shape": [2]}}, bytes(4)),
    ({"a": A | {"shape": [-1]}}, bytes(4)),
    ({"a": A | {"shape": [1] * 9}}, bytes(4)),
    ({"a": A | {"shape": [1 << 62, 1 << 62]}}, bytes(4)),
    ({"a": A | {"data_offsets": [4, 0]}}, bytes(4)),
    ({"a": A | {"data_offsets": [0, 4, 8]}}, bytes(4)),
    ({"a": A | {"data_offsets": [-4, 0]}}, bytes(4)),
    ({"a": A, "b": A}, bytes(4)),
    ({"a": A, "b": A | {"data_offsets": [8, 12]}}, bytes(12)),
    ({"a": A}, bytes(8)),
    ({"a": A}, bytes(2)),
    ({"a": A, "__metadata__": {"x": 1}}, bytes(4)),
    ({"a": 7}, bytes(4)),
]


@pytest.mark.parametrize(("header", "data"), BAD)
def test_what_cannot_be_right_is_refused(tmp_path: Path, header: Any, data: bytes) -> None:
    path = written(tmp_path, pack(header, data))
    with pytest.raises(ModelFileError) as caught:
        read_tensors(path)
    assert "Fetch the file again" in caught.value.hint
    assert caught.value.code in {"safetensors_malformed", "safetensors_truncated"}


def test_an_announced_header_is_not_believed(tmp_path: Path) -> None:
    for length in (MAX_HEADER + 1, 1 << 63, 1 << 20):
        with pytest.raises(ModelFileError, match="announces a header"):
            read_tensors(written(tmp_path, length.to_bytes(8, "little") + b"{}"))


def test_every_cut_is_refused(tmp_path: Path) -> None:
    for end in range(len(WEIGHTS)):
        with pytest.raises(ModelFileError):
            read_tensors(written(tmp_path, WEIGHTS[:end]))


@given(at=st.integers(0, len(WEIGHTS) - 33), byte=st.integers(0, 255))
def test_a_changed_byte_is_never_worse_than_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    path = written(tmp_path_factory.getbasetemp(), WEIGHTS[:at] + bytes([byte]) + WEIGHTS[at + 1 :])
    with contextlib.suppress(ModelFileError):
        assert read_tensors(path).bytes == 32


def test_a_folder_or_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ModelFileError):
            read_tensors(path)
