from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tests.engine.folder_models import genai, hf

from nearfar.core.errors import ConflictError
from nearfar.engine import folders
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "models", demo=tmp_path / "none")


def test_a_folder_is_known_by_its_configuration(tmp_path: Path) -> None:
    assert folders.read_folder(hf(tmp_path / "a")).header.engine == "transformers"
    assert folders.read_folder(genai(tmp_path / "b")).header.engine == "onnx"
    (tmp_path / "c").mkdir()
    with pytest.raises(ModelFileError, match=r"neither config\.json nor genai_config\.json"):
        folders.read_folder(tmp_path / "c")


def test_the_library_takes_in_data_alone_and_outlives_its_source(tmp_path: Path, library: Library) -> None:
    source = hf(tmp_path / "My Model")
    (source / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    (source / "modeling.py").write_text("raise SystemExit")
    model = library.add(source)
    assert (model.name, model.path.name) == ("my-model", "my-model.transformers")
    assert {file.name for file in model.path.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    }
    assert library.add(source).path == model.path, "adding the same again changes nothing"
    for file in source.iterdir():
        file.unlink()
    assert library.get("my-model").header == model.header
    assert library.rm("my-model") is True
    assert library.ls() == []


def test_links_in_a_cache_are_followed(tmp_path: Path, library: Library) -> None:
    """Hugging Face's cache holds links to blobs."""
    source, blobs = hf(tmp_path / "snapshot"), tmp_path / "blobs"
    blobs.mkdir()
    for file in list(source.iterdir()):
        file.rename(blobs / file.name)
        file.symlink_to(blobs / file.name)
    model = library.add(source, "cached")
    assert not any(file.is_symlink() for file in model.path.iterdir())
    assert library.rm("cached") is False, "the blobs are still there"


def test_both_kinds_beside_each_other(tmp_path: Path, library: Library) -> None:
    library.add(hf(tmp_path / "a"))
    library.add(genai(tmp_path / "b"))
    engines = {model.name: model.header.engine for model in library.ls() if model.header}
    assert engines == {"a": "transformers", "b": "onnx"}
    with pytest.raises(ConflictError):
        library.add(genai(tmp_path / "c"), "A")


def test_a_change_inside_a_folder_is_seen(tmp_path: Path, library: Library) -> None:
    path = library.add(hf(tmp_path / "a")).path
    assert library.ls()[0].error == ""
    (path / "model.safetensors").unlink()
    assert "model.safetensors" in library.ls()[0].error


def test_a_folder_that_lies_about_itself(tmp_path: Path, library: Library) -> None:
    genai(library.folder / "x.transformers")
    assert "a folder for onnx" in library.ls()[0].error


def test_a_link_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "models" / "a.transformers"
    target.parent.mkdir()
    with pytest.raises(OSError, match="too long"):
        folders.link(tmp_path, ("x" * 300,), target)
    assert not list(target.parent.iterdir())
    target.mkdir()
    with pytest.raises(FileExistsError):
        folders.link(hf(tmp_path / "a"), ("config.json",), target)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["a.transformers"]


def test_a_linked_folder_is_only_unlinked(tmp_path: Path, library: Library) -> None:
    source = hf(tmp_path / "a")
    library.folder.mkdir()
    (library.folder / "a.transformers").symlink_to(source)
    assert library.rm("a") is False
    assert (source / "config.json").is_file()
