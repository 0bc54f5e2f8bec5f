"""The files of the journal and who owns them. It knows nothing of what their lines say.

A segment is named ``WRITER-NUMBER.jsonl``: the time-ordered id of the journal that writes it, and its place in that
journal. A writer holds the kernel's lock (``flock``) on each of its files for as long as it lives; the kernel gives
it up with the process, however that ends. So a segment whose lock can be had belongs to nobody, and whoever gets the
lock may finish and remove it. The lock is the open file's, not the process's: a forked child must close its copies.

The folder must be on a disk of this machine: file systems of other machines do not keep such locks reliably.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"([0-9a-z]{8,64})-(\d{6,})\.jsonl")


class Segment:
    """An open segment whose lock this process holds."""

    __slots__ = ("ended", "fd", "path", "size")

    def __init__(self, path: Path, fd: int, size: int) -> None:
        self.path = path
        self.fd = fd
        self.size = size
        """Bytes of whole lines written; what lies beyond is a torn line."""
        self.ended = False
        """Nothing more will be written to it."""

    @property
    def name(self) -> str:
        """Its name without the folder: what checkpoints are kept under."""
        return self.path.name

    def read(self, start: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``start``, never beyond the whole lines; works for a removed file, too."""
        return os.pread(self.fd, min(count, self.size - start), start)

    def vanished(self) -> bool:
        """Whether somebody removed the file: what is written now would die with this process."""
        return os.fstat(self.fd).st_nlink == 0

    def remove(self) -> None:
        """Delete the file, then give up its lock: in this order nobody can take it for an orphan."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Give up the lock and leave the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def create(folder: Path, writer: str, number: int) -> tuple[Segment, int]:
    """A new, locked segment, and the number it got: the first free one from ``number``. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        path = folder / f"{writer}-{number:06d}.jsonl"
        number += 1
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        # Between open and lock somebody may have taken the empty file for an orphan: then make another.
        if _locked(fd) and os.fstat(fd).st_nlink:
            return Segment(path, fd, 0), number - 1
        os.close(fd)


def claim(path: Path) -> Segment | None:
    """The segment at ``path`` if its writer is gone; None while it lives, or when somebody else was quicker."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not _locked(fd):
        os.close(fd)
        return None
    state = os.fstat(fd)
    if not state.st_nlink:
        os.close(fd)
        return None
    segment = Segment(path, fd, state.st_size)
    segment.ended = True
    return segment


def claim_writer(folder: Path, writer: str) -> list[Segment]:
    """All segments of a dead writer, oldest first; empty while it lives or when somebody else finishes it.

    All or none: only who holds all of a writer's segments knows that no line of it is still to come.
    """
    claimed: list[Segment] = []
    paths = listing(folder).get(writer, [])
    for path in paths:
        segment = claim(path)
        if segment is None:
            break
        claimed.append(segment)
    # Listed before its last breath, a writer may have begun one more segment meanwhile.
    if len(claimed) == len(paths) and listing(folder).get(writer, []) == paths:
        return claimed
    for segment in claimed:
        segment.close()
    return []


def listing(folder: Path) -> dict[str, list[Path]]:
    """Writer → its segments, oldest first. Other files in the folder are nobody's business."""
    found: dict[str, list[tuple[int, Path]]] = {}
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.setdefault(match[1], []).append((int(match[2]), path))
    return {writer: [path for _, path in sorted(paths)] for writer, paths in sorted(found.items())}


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
