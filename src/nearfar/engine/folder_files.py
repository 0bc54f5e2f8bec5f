"""Reads the small files of a model folder without trusting them. It knows no engine and no tensor format."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nearfar.engine.cursor import ModelFileError

T = TypeVar("T")
MAX_JSON = 8 * 1024 * 1024
"""Bytes of a configuration; a template with its tools takes kilobytes."""
MAX_TOKENIZER = 256 * 1024 * 1024
"""Bytes of ``tokenizer.json``: a vocabulary of 256,000 tokens with its merges takes about 35 MB."""


def refused(path: Path, what: str, *, code: str = "model_unsupported", hint: str = "") -> ModelFileError:
    """The error for a folder or file that is what nearfar does not run."""
    return ModelFileError(f"{path} {what}.", code=code, hint=hint)


def open_file(path: Path) -> tuple[int, int]:
    """(descriptor, bytes) of a regular file; the caller closes it. Raises ModelFileError."""
    try:
        # Not blocking: opening a named pipe must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ModelFileError(f"{path} cannot be opened: {reason}.", code="model_file_unreadable") from exc
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ModelFileError(f"{path} is not a file.", code="model_file_unreadable")
    return descriptor, status.st_size


def file_bytes(path: Path) -> int:
    """The size of a regular file. Raises ModelFileError."""
    descriptor, size = open_file(path)
    os.close(descriptor)
    return size


def read_json(path: Path, shape: type[T], limit: int = MAX_JSON) -> T:
    """The content of a JSON file as ``shape``. Raises ModelFileError."""
    descriptor, size = open_file(path)
    try:
        if size > limit:
            raise refused(path, f"has {size} bytes, more than a file of its kind can need", code="model_file_invalid")
        data = os.pread(descriptor, limit, 0)
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror}.", code="model_file_unreadable") from exc
    finally:
        os.close(descriptor)
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ModelFileError(f"{path} is damaged: {exc}.", hint="Fetch the folder again.") from exc


def object_or_none(path: Path) -> dict[str, Any] | None:
    """The JSON object in ``path``; None where there is no such file. Raises ModelFileError."""
    return read_json(path, dict[str, Any]) if present(path) else None


def plain_name(name: object) -> bool:
    """Whether a file's name from a configuration stays in its folder."""
    return isinstance(name, str) and 0 < len(name) <= 255 and not set(name) & set("/\\\0") and name not in {".", ".."}


def natural(value: object, limit: int = 1 << 31) -> int:
    """A sensible natural number from a configuration; 0 for everything else."""
    return value if type(value) is int and 0 < value <= limit else 0


def present(path: Path) -> bool:
    """Whether there is something by this name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def tokenizer(folder: Path) -> str:
    """The name of the tokenizer's file, which must be there and sane. Raises ModelFileError."""
    name = "tokenizer.json"
    if not present(folder / name):
        raise refused(
            folder,
            "has no tokenizer.json",
            code="model_incomplete",
            hint="Older formats must be converted: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
        )
    descriptor, size = open_file(folder / name)
    first = os.pread(descriptor, 64, 0).lstrip()[:1]
    os.close(descriptor)
    if size > MAX_TOKENIZER or first != b"{":
        raise ModelFileError(f"{folder / name} is no tokenizer.", hint="Fetch the folder again.")
    return name
