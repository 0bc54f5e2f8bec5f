"""Headers of GGUF files, each read once for as long as its file stays the same. It knows no names and no engine.

Walking over a vocabulary of 128,000 tokens and its merges takes 80 ms: too long for the start of a gateway with several
models, and for its event loop. So what was read is also kept in a file, which may be lost, stale or broken at any time
without harm: an entry counts only for the very file state it was made from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

import nearfar
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.header import Header


class _State(msgspec.Struct, frozen=True):
    """What changes when a file is replaced, rewritten or cut."""

    device: int
    inode: int
    bytes: int
    modified: int


class _Kept(msgspec.Struct, frozen=True):
    state: _State
    header: Header


class _Memory(msgspec.Struct):
    """The file's content. Another release may read headers otherwise, so it starts anew."""

    release: str
    headers: dict[str, _Kept]


class Headers:
    """Reads headers with ``read`` and remembers them, also in ``file``."""

    def __init__(self, read: Callable[[Path], Header], file: Path) -> None:
        self._read = read
        self._file = file
        self._known: dict[str, _Kept] | None = None
        self._refused: dict[str, tuple[_State, ModelFileError]] = {}

    def of(self, path: Path) -> Header:
        """The header of ``path``, read again only if the file has changed. Raises ModelFileError."""
        known = self._remembered()
        key = str(path)
        try:
            state = _state(path)
        except OSError as exc:
            raise ModelFileError(f"{path} cannot be opened: {exc.strerror}.", code="model_file_unreadable") from exc
        kept, refused = known.get(key), self._refused.get(key)
        if kept is not None and kept.state == state:
            return kept.header
        if refused is not None and refused[0] == state:
            error = refused[1]
            raise ModelFileError(error.message, code=error.code, hint=error.hint)
        try:
            header = self._read(path)
        except ModelFileError as exc:
            self._refused[key] = (state, exc)
            raise
        known[key] = _Kept(state, header)
        self._save(known)
        return header

    def keep(self, paths: Iterable[Path]) -> None:
        """Forget every file that is not among ``paths``."""
        wanted = {str(path) for path in paths}
        self._refused = {key: value for key, value in self._refused.items() if key in wanted}
        known = self._remembered()
        if known.keys() - wanted:
            self._known = {key: value for key, value in known.items() if key in wanted}
            self._save(self._known)

    def _remembered(self) -> dict[str, _Kept]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                memory = msgspec.json.decode(self._file.read_bytes(), type=_Memory)
                if memory.release == nearfar.__version__:
                    self._known = memory.headers
        return self._known

    def _save(self, known: dict[str, _Kept]) -> None:
        """Replace the file in one step; where that is not possible, the next process reads the headers again."""
        content = msgspec.json.encode(_Memory(nearfar.__version__, known))
        new = self._file.with_name(f"{self._file.name}.{secrets.token_hex(4)}")
        try:
            if not self._file.parent.is_dir():
                return
            new.write_bytes(content)
            new.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()


def _state(path: Path) -> _State:
    """The state of a file; of a folder, the sum of its files' states and their names. Raises OSError."""
    status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        return _State(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    total, digest = 0, hashlib.blake2b(digest_size=7)
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 (a folder may hold thousands of files)
            total += file.st_size
            digest.update(f"{folder}/{name}:{file.st_dev}:{file.st_ino}:{file.st_size}:{file.st_mtime_ns}\0".encode())
    return _State(status.st_dev, status.st_ino, total, int.from_bytes(digest.digest(), "little"))
