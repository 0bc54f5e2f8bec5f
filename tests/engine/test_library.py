from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_gguf import write_chat, write_embedding

from nearfar.core.errors import BadRequestError, ConflictError, EngineError, NotFoundError
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.library import DEMO_NAME, Library, derived_name


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "models", demo=tmp_path / "absent.gguf")


@pytest.fixture
def source(tmp_path: Path, tiny_gguf: Path) -> Path:
    path = tmp_path / "downloads" / "My Model-Q4_K_M.gguf"
    path.parent.mkdir()
    path.write_bytes(tiny_gguf.read_bytes())
    return path


def names(library: Library) -> list[str]:
    return [model.name for model in library.ls()]


def test_an_empty_library(library: Library) -> None:
    assert library.ls() == []
    assert not library.folder.exists()
    with pytest.raises(NotFoundError) as caught:
        library.get("x")
    assert caught.value.code == "model_not_found"


def test_add_get_ls_rm(library: Library, source: Path) -> None:
    added = library.add(source)
    assert added.name == "my-model-q4_k_m"
    assert names(library) == ["my-model-q4_k_m"]
    assert library.get("my-model-q4_k_m") == added
    assert added.operations == {"chat"}
    assert added.path.samefile(source)  # linked, not copied
    assert not library.rm("my-model-q4_k_m")
    assert library.ls() == []
    assert source.exists()


def test_a_model_outlives_the_file_it_was_made_from(library: Library, source: Path) -> None:
    library.add(source, "kept")
    source.unlink()
    assert library.get("kept").header is not None
    assert library.rm("kept")


def test_across_file_systems_it_is_a_symbolic_link(
    library: Library, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    model = library.add(source, "far")
    assert model.path.is_symlink()
    assert library.get("far").header is not None
    assert not library.rm("far")
    assert source.exists()


def test_a_dangling_link_is_listed_with_its_error(library: Library, source: Path) -> None:
    library.folder.mkdir()
    (library.folder / "gone.gguf").symlink_to(source.with_name("nothing"))
    (model,) = library.ls()
    assert (model.name, model.header) == ("gone", None)
    assert "cannot be opened" in model.error
    with pytest.raises(ModelFileError):
        library.get("gone")
    with pytest.raises(ConflictError):
        library.add(source, "gone")
    library.rm("gone")
    assert library.ls() == []


def test_adding_twice_changes_nothing_and_another_file_is_a_conflict(
    library: Library, source: Path, tmp_path: Path
) -> None:
    library.add(source, "m")
    assert library.add(source, "m").name == "m"
    other = write_chat(tmp_path / "other.gguf", seed=1)
    for taken in ("m", "M"):
        with pytest.raises(ConflictError, match=f"a model {taken} already"):
            library.add(other, taken)
    assert names(library) == ["m"]


def test_a_link_is_followed_to_the_data(library: Library, source: Path, tmp_path: Path) -> None:
    link = tmp_path / "snapshot.gguf"
    link.symlink_to(source)
    assert not library.add(link).path.is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "a/b",
        "../x",
        "a\\b",
        "a b",
        "a\0b",
        "é",
        "x" * 97,
        "auto",
        "Local",
        "cloud",
        "Demo-Tiny",
    ],
)
def test_bad_names(library: Library, source: Path, name: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        library.add(source, name)
    assert caught.value.hint
    assert not library.folder.exists()


@given(st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=300))
def test_derived_names_are_safe(stem: str) -> None:
    name = derived_name(Path(f"{stem}.gguf"))
    assert 1 <= len(name) <= 96
    assert name[0].isalnum()
    assert name.isascii()
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789._-")


def test_what_is_not_a_model_is_not_taken_in(library: Library, source: Path, tmp_path: Path) -> None:
    whole = source.read_bytes()
    bad = {
        "not_gguf": b"PK\3\4" + bytes(100),
        "gguf_truncated": whole[:-5000],
        "model_incomplete": whole.replace(b"qwen2.block_count", b"qwen2.block_coun_"),
    }
    for code, content in bad.items():
        source.write_bytes(content)
        with pytest.raises(ModelFileError) as caught:
            library.add(source, "bad")
        assert caught.value.code == code
    with pytest.raises(ModelFileError):
        library.add(tmp_path / "missing.gguf")
    with pytest.raises(ModelFileError):
        library.add(tmp_path)
    assert not library.folder.exists()


def test_files_put_there_by_hand_are_models_with_safe_names(library: Library, tiny_gguf: Path) -> None:
    library.folder.mkdir()
    for file in ("Good-1.gguf", "Bad Name!.gguf", "auto.gguf", "notes.txt"):
        (library.folder / file).write_bytes(tiny_gguf.read_bytes())
    assert names(library) == ["Good-1", "bad-name"]
    assert library.get("bad-name").path.name == "Bad Name!.gguf"


def test_a_file_that_went_bad_is_noticed(library: Library, source: Path) -> None:
    path = library.add(source, "m").path
    assert library.get("m").header is not None
    with path.open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(ModelFileError, match="truncated"):
        library.get("m")
    assert "truncated" in library.ls()[0].error


def test_near_names_are_offered(library: Library, source: Path) -> None:
    library.add(source, "qwen-small")
    with pytest.raises(NotFoundError, match="qwen-smal") as caught:
        library.get("qwen-smal")
    assert "Did you mean qwen-small?" in caught.value.hint
    with pytest.raises(NotFoundError):
        library.rm("../qwen-small")


def test_the_demo_model_comes_last_and_stays(tmp_path: Path, tiny_gguf: Path, source: Path) -> None:
    library = Library(tmp_path / "models", demo=tiny_gguf)
    library.add(source, "zebra")
    assert names(library) == ["zebra", DEMO_NAME]
    assert library.get(DEMO_NAME).builtin
    with pytest.raises(BadRequestError):
        library.rm(DEMO_NAME)
    (library.folder / f"{DEMO_NAME}.gguf").write_bytes(b"an impostor")
    assert library.get(DEMO_NAME).path == tiny_gguf


def test_embedding_models_only_embed(library: Library, tmp_path: Path) -> None:
    assert library.add(write_embedding(tmp_path / "e.gguf")).operations == {"embeddings"}


def test_a_folder_that_cannot_be_read_is_said_and_the_demo_model_stays(
    tmp_path: Path, tiny_gguf: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tmp_path / "models", demo=tiny_gguf)
    assert library.trouble() is None, "none yet is no trouble"
    library.folder.write_bytes(b"a file where the folder should be")
    assert names(library) == [DEMO_NAME]
    assert library.get(DEMO_NAME).builtin
    for attempt in (lambda: library.get("m"), lambda: library.add(source, "m"), lambda: library.rm("m")):
        with pytest.raises(EngineError, match=r"cannot be read: .*models: Not a directory") as refused:
            attempt()
        assert (refused.value.code, "models_dir" in refused.value.hint) == ("models_folder_unreadable", True)

    def denied(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    library.folder.unlink()
    monkeypatch.setattr(Path, "iterdir", denied)  # for root no folder is closed
    trouble = library.trouble()
    assert trouble is not None
    assert "Permission denied" in trouble.message
    assert names(library) == [DEMO_NAME]


def test_a_folder_that_cannot_be_written_is_said(
    library: Library, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(folder: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(EngineError, match=r"cannot be written: .*models: Permission denied") as refused:
        library.add(source, "m")
    assert refused.value.code == "models_folder_unwritable"


def test_a_model_in_parts_is_one_model(library: Library, tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    write_chat(downloads / "Tiny-F16.gguf", tensors_per_part=10)
    parts = sorted(downloads.iterdir())
    (downloads / "notes.txt").write_text("not ours")
    added = library.add(parts[1])
    assert added.name == "tiny-f16"
    assert added.header is not None
    assert added.header.parts == len(parts)
    assert sorted(path.name for path in added.path.iterdir()) == [path.name for path in parts]
    assert names(library) == ["tiny-f16"]
    assert library.get("tiny-f16") == added
    assert library.add(parts[0]) == added, "the same again changes nothing"
    assert not library.rm("tiny-f16")
    assert names(library) == []
    assert all(path.exists() for path in parts)


def test_a_folder_of_parts_can_be_named_whole(library: Library, tmp_path: Path) -> None:
    downloads = tmp_path / "My-Model"
    downloads.mkdir()
    write_chat(downloads / "Tiny-F16.gguf", tensors_per_part=10)
    assert library.add(downloads).name == "my-model"


def test_parts_that_are_links_are_followed(library: Library, tmp_path: Path) -> None:
    blobs, links = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    links.mkdir()
    write_chat(blobs / "Tiny-F16.gguf", tensors_per_part=10)
    for number, part in enumerate(sorted(blobs.iterdir())):
        blob = part.rename(blobs / f"blob{number}")
        (links / part.name).symlink_to(blob)
    added = library.add(min(links.iterdir()))
    assert added.header is not None
    assert not any(path.is_symlink() for path in added.path.iterdir())
    # A part that goes makes the model unusable, and the list says which.
    max(added.path.iterdir()).unlink()
    (listed,) = library.ls()
    assert "is not beside it" in listed.error
    assert listed.name == "tiny-f16"
