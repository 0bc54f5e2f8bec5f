"""Model folders in the models folder: taken in file by file, checked as a whole. It knows no names and no engine.

A folder of ours holds links to exactly the files that were checked to be data. What else lay beside them, Python code
and pickles above all, never comes near an engine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from nearfar.engine import hf_folder, onnx_folder
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.folder_files import present
from nearfar.engine.hf_folder import Folder


def read_folder(folder: Path) -> Folder:
    """What lies in ``folder``. Raises ModelFileError and nothing else."""
    try:
        if present(folder / onnx_folder.CONFIG):
            return onnx_folder.read_folder(folder)
        if present(folder / hf_folder.CONFIG):
            return hf_folder.read_folder(folder)
    except OSError as exc:
        raise ModelFileError(f"{folder} cannot be read: {exc.strerror}.", code="model_file_unreadable") from exc
    raise ModelFileError(
        f"{folder} is no model folder: it has neither {hf_folder.CONFIG} nor {onnx_folder.CONFIG}.",
        code="not_a_model_folder",
        hint="Name a GGUF file, a folder with safetensors, or one made for ONNX Runtime GenAI.",
    )


def link(source: Path, files: tuple[str, ...], target: Path) -> None:
    """Make ``target``, a folder with links to ``files`` of ``source``, in one step.

    Hard links where the file system allows them, else symbolic ones. Raises FileExistsError, OSError.
    """
    if os.path.lexists(target):
        raise FileExistsError(target)
    making = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        for name in files:
            place = making / name
            place.parent.mkdir(parents=True, exist_ok=True)
            link_file(Path(os.path.realpath(source / name)), place)
        making.rename(target)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(making)
        raise


def link_file(source: Path, target: Path) -> None:
    """A hard link where the file system allows one, else a symbolic link. Raises FileExistsError, OSError."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        target.symlink_to(source)


def same(ours: Path, source: Path, files: tuple[str, ...]) -> bool:
    """Whether our folder holds ``files`` of ``source`` already."""
    try:
        return all((ours / name).samefile(source / name) for name in files)
    except OSError:
        return False


def remove(folder: Path) -> bool:
    """Remove a folder of ours; True if data went with it, because no other link to them was left."""
    if folder.is_symlink():
        folder.unlink()
        return False
    found = [Path(place, name).lstat() for place, _, names in os.walk(folder) for name in names]
    shutil.rmtree(folder)
    return any(stat.S_ISREG(status.st_mode) and status.st_nlink == 1 for status in found)
