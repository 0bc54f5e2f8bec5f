"""Models in several files: all parts are found, and they must agree."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from tests.tiny_gguf import write_chat

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.gguf_parts import holds, numbered, read_folder, read_parts, siblings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model in parts, and nothing else."""
    folder = tmp_path_factory.mktemp("parts")
    write_chat(folder / "tiny-F16.gguf", tensors_per_part=10)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-of-*.gguf"))


def refused(folder: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read_folder(folder)
    return caught.value


def test_parts_say_together_what_one_file_says(made: Path, tiny_gguf: Path) -> None:
    header, names = read_folder(made)
    assert len(names) == header.parts > 2
    assert list(names) == [path.name for path in parts(made)]
    assert header.file_bytes == sum(path.stat().st_size for path in parts(made))
    whole = read_header(tiny_gguf)
    same = msgspec.structs.replace(header, parts=1, file_bytes=whole.file_bytes)
    assert same == whole


def test_names() -> None:
    found = numbered("Qwen3-235B-Q4_K_M-00002-of-00003.gguf")
    assert found is not None
    assert (found.prefix, found.number, found.count) == ("Qwen3-235B-Q4_K_M", 2, 3)
    for name in ("model.gguf", "model-1-of-3.gguf", "model-00001-of-00003.safetensors", "-00001-of-00003.gguf", ""):
        assert numbered(name) is None


def test_any_part_finds_the_others(made: Path) -> None:
    for path in parts(made):
        assert siblings(path) == tuple(each.name for each in parts(made))


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_part_is_named(folder: Path, which: int) -> None:
    gone = parts(folder)[which]
    gone.unlink()
    error = refused(folder)
    assert error.code == "model_incomplete"
    assert gone.name in error.message


def test_parts_in_the_wrong_order(folder: Path) -> None:
    first, second = parts(folder)[1:3]
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    assert "it says that it is part" in refused(folder).message


def test_a_part_of_another_model(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "whole.gguf"
    write_chat(alone)
    shutil.copy(alone, parts(folder)[1])
    assert refused(folder).code == "gguf_malformed"


def test_a_truncated_part(folder: Path) -> None:
    last = parts(folder)[-1]
    last.write_bytes(last.read_bytes()[:-200])
    assert refused(folder).code == "gguf_truncated"


def test_tensors_must_be_as_many_as_the_first_part_says(made: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_parts(parts(made)[:1])
    assert caught.value.code == "gguf_malformed"


@pytest.mark.parametrize("name", ["m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-00001-of-99999.gguf"])
def test_impossible_numbers(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"GGUF")
    assert refused(tmp_path).code == "model_split"


def test_two_models_in_one_folder(folder: Path) -> None:
    for path in parts(folder):
        shutil.copy(path, folder / path.name.replace("F16", "Q8_0"))
    error = refused(folder)
    assert "2 models" in error.message
    assert "F16-00001" in error.hint


def test_which_folders_hold_parts(folder: Path, tmp_path: Path) -> None:
    assert holds(folder)
    (folder / "config.json").write_text("{}")
    assert not holds(folder), "a model folder with something else in it"
    assert not holds(tmp_path / "none")
    assert refused(tmp_path / "none").code == "model_file_unreadable"
