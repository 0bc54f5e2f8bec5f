from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.folder_models import field, onnx

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.onnx_file import read_graph


def written(folder: Path, data: bytes, external: int = 16) -> Path:
    (folder / "model.onnx.data").write_bytes(bytes(external))
    path = folder / "model.onnx"
    path.write_bytes(data)
    return path


def test_where_the_weights_lie(tmp_path: Path) -> None:
    found = read_graph(written(tmp_path, onnx()))
    assert (found.external, found.initializers) == (frozenset({"model.onnx.data"}), 1)
    assert not found.half
    assert read_graph(written(tmp_path, onnx(kind=10))).half
    inside = field(7, field(5, field(1, 4) + field(9, bytes(100_000))) * 2)
    assert read_graph(written(tmp_path, inside)) == type(found)(external=frozenset(), initializers=2)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/b", "", "..", "x\0y"])
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(ModelFileError, match="outside its folder"):
        read_graph(written(tmp_path, onnx(location=location)))


def test_weights_that_are_not_there_are_missed(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="17 bytes are needed"):
        read_graph(written(tmp_path, onnx(offset=1)))
    with pytest.raises(ModelFileError, match="cannot be opened"):
        read_graph(written(tmp_path, onnx(location="other")))


def test_every_cut_is_refused(tmp_path: Path) -> None:
    whole = onnx()
    for end in range(len(whole)):
        with pytest.raises(ModelFileError):
            read_graph(written(tmp_path, whole[:end]))


@given(data=st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), b"\x3b" + data)  # a group, which nobody writes any more
    with pytest.raises(ModelFileError):
        read_graph(path)


def test_bytes_of_every_kind_never_raise_anything_else(tmp_path: Path) -> None:
    whole = onnx()
    for at in range(len(whole)):
        for byte in (0, 1, 0x7F, 0x80, 0xFF):
            try:
                read_graph(written(tmp_path, whole[:at] + bytes([byte]) + whole[at + 1 :]))
            except ModelFileError:
                continue
