"""Reads chains and says what is wrong with them: damage, gaps, forks, missing files. It writes nothing.

What it can say: the lines are those that were written, in that order, and none is missing between the first and the
last. What it cannot say by itself: that whoever owns the files has not written the whole chain anew. Only an anchor
that was kept elsewhere, or another process's chain that has seen its head, speaks against that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from nearfar.ledger.audit_records import GENESIS, Closed, Entry, Head, Opened, Resumed, from_line
from nearfar.ledger.segments import listing

_MOST = 20
"""Problems of one chain that are told; the rest is counted."""
_TAIL = 64 * 1024


class Anchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The heads of all chains at one moment, to be kept where the owner of the chains cannot write."""

    at: int
    """Nanoseconds since the epoch."""
    heads: dict[str, Head]
    digest: str
    """SHA-256 over the heads, sorted: short enough to be read out, mailed or printed."""


class Chain(msgspec.Struct, kw_only=True):
    """What was found in the chain of one writer."""

    writer: str
    segments: int = 0
    records: int = 0
    first: int | None = None
    """When its first record was made, in nanoseconds since the epoch."""
    last: int | None = None
    head: Head | None = None
    opened: Opened | None = None
    closed: bool = False
    """Whether its process ended it in order."""
    alive: bool = False
    """Whether its process still holds it."""
    torn: bool = False
    """Whether it ends in half a record: its process died while it wrote, and relied on nothing of it."""
    unacknowledged: int = 0
    """Records that were written while the disk failed, and that nobody relied on."""
    missed: int = 0
    """Records that the process says it could not write."""
    back: int = 0
    """Times that the clock went back between two records."""
    problems: list[str] = []
    more: int = 0
    """Problems beyond those told."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a folder of chains."""

    folder: str
    chains: list[Chain]
    problems: list[str]
    """Of the chains, and between them."""
    anchored: bool = False
    """Whether an anchor was given, and holds."""
    anchor_at: int | None = None
    after_anchor: int = 0
    """Records that came after the anchor: only their chain speaks for them."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def records(self) -> int:
        """In all chains."""
        return sum(chain.records for chain in self.chains)


Visit = Callable[[str, Entry, str], None]
"""(writer, record, its hash), for every sound record, chain by chain."""


class _Reading:
    """One chain, while it is read."""

    def __init__(self, writer: str, visit: Visit | None) -> None:
        self.chain = Chain(writer=writer, problems=[])
        self.hashes: list[str] = []
        self._visit = visit
        self._next = 0
        self._prev = GENESIS

    def problem(self, text: str) -> None:
        if len(self.chain.problems) < _MOST:
            self.chain.problems.append(text)
        else:
            self.chain.more += 1

    def segment(self, path: Path, *, last: bool) -> None:
        self.chain.segments += 1
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{path.name}:{number}"
                if not line.endswith(b"\n"):
                    # Only a process that died, or a disk that failed, leaves half a line, and only at an end.
                    if last:
                        self.chain.torn = True
                    else:
                        self.chain.unacknowledged += 1
                    return
                try:
                    entry, found = from_line(line[:-1])
                except ValueError as error:
                    self.problem(f"{where}: {error}")
                    self._prev = ""  # what follows cannot be joined to it
                    self._next += 1
                    self.hashes.append("")
                else:
                    self._take(entry, found, where)

    def _take(self, entry: Entry, found: str, where: str) -> None:
        chain = self.chain
        if chain.closed:
            self.problem(f"{where}: a record follows the end of the chain")
        if entry.n < self._next and isinstance(entry.body, Resumed | Opened) and entry.prev == self._at(entry.n - 1):
            # The writer went on from the last record that it could rely on: what stands between was never relied on.
            chain.unacknowledged += self._next - entry.n
            chain.records -= self._next - entry.n
            del self.hashes[entry.n :]
        elif entry.n != self._next:
            if chain.records or self._next:
                self.problem(f"{where}: record {entry.n} stands where {self._next} was to come")
            else:
                self.problem(f"{where}: the chain begins with record {entry.n}: what came before is missing")
            self.hashes.extend([""] * max(0, entry.n - len(self.hashes)))
            del self.hashes[entry.n :]
        elif entry.prev != self._prev and self._prev:
            self.problem(f"{where}: record {entry.n} does not follow the one before it")
        if entry.n == 0 and not isinstance(entry.body, Opened):
            self.problem(f"{where}: the chain does not begin with its opening")
        self._count(entry)
        self._prev, self._next = found, entry.n + 1
        self.hashes.append(found)
        chain.head = Head(n=entry.n, hash=found)
        if self._visit is not None:
            self._visit(chain.writer, entry, found)

    def _at(self, n: int) -> str:
        return self.hashes[n] if n >= 0 else GENESIS

    def _count(self, entry: Entry) -> None:
        chain, body = self.chain, entry.body
        chain.records += 1
        chain.first = entry.at if chain.first is None else chain.first
        if chain.last is not None and entry.at < chain.last:
            chain.back += 1
        chain.last = entry.at
        if isinstance(body, Opened):
            chain.opened = body if chain.opened is None else chain.opened
        elif isinstance(body, Resumed | Closed):
            chain.missed += body.missed
            chain.closed = isinstance(body, Closed)


def verify(folder: Path, *, anchor: Anchor | None = None, visit: Visit | None = None) -> Report:
    """Read every chain in ``folder`` and check each line, each link, and what the chains say of each other."""
    readings: dict[str, _Reading] = {}
    for writer, paths in listing(folder).items():
        reading = readings[writer] = _Reading(writer, visit)
        for path in paths:
            try:
                reading.segment(path, last=path == paths[-1])
            except OSError as error:
                reading.problem(f"{path.name}: cannot be read: {error.strerror or error}")
        reading.chain.alive = bool(paths) and _held(paths[-1])
        reading.chain.torn = reading.chain.torn and not reading.chain.alive
        told = reading.chain.problems or reading.chain.alive or reading.chain.torn
        if not reading.chain.records and not told:
            reading.problem("holds no record")
    problems = [f"{name}: {text}" for name, item in readings.items() for text in item.chain.problems]
    problems += [f"{name}: and {item.chain.more} more" for name, item in readings.items() if item.chain.more]
    for name, item in readings.items():
        if item.chain.opened is not None:
            problems += _against(item.chain.opened.heads, readings, f"chain {name}, when it was opened,")
    after = 0
    if anchor is not None:
        found = _against(anchor.heads, readings, "the anchor")
        if digest(anchor.heads) != anchor.digest:
            found.append("the anchor's digest is not that of its heads")
        problems += found
        covered = {name: head.n for name, head in anchor.heads.items()}
        after = sum(max(0, item.chain.records - 1 - covered.get(name, -1)) for name, item in readings.items())
        anchored = not found
    return Report(
        folder=str(folder),
        chains=[item.chain for item in readings.values()],
        problems=problems,
        anchored=anchor is not None and anchored,
        anchor_at=None if anchor is None else anchor.at,
        after_anchor=after,
    )


def _against(seen: Mapping[str, Head], readings: Mapping[str, _Reading], who: str) -> list[str]:
    """What speaks against heads that somebody has seen."""
    problems = []
    for writer, head in seen.items():
        reading = readings.get(writer)
        if reading is None:
            problems.append(f"{who} saw chain {writer} with {head.n + 1} records: it is gone")
        elif head.n >= len(reading.hashes):
            problems.append(f"{who} saw chain {writer} with {head.n + 1} records: {len(reading.hashes)} are left")
        elif reading.hashes[head.n] != head.hash:
            problems.append(f"{who} saw another record {head.n} in chain {writer}: it was written anew")
    return problems


def heads(folder: Path, *, besides: str = "") -> dict[str, Head]:
    """The last whole record of each chain, read from its end alone. A chain without one is left out."""
    found: dict[str, Head] = {}
    for writer, paths in listing(folder).items():
        if writer == besides:
            continue
        for path in reversed(paths):
            head = _last(path)
            if head is not None:
                found[writer] = head
                break
    return found


def _last(path: Path) -> Head | None:
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        reach = _TAIL
        while True:
            file.seek(max(0, size - reach))
            data = file.read(reach)
            lines = data[: data.rfind(b"\n") + 1].splitlines()
            whole = lines if reach >= size else lines[1:]  # the first one may have been cut
            for line in reversed(whole):
                with suppress(ValueError):
                    entry, hash_ = from_line(line)
                    return Head(n=entry.n, hash=hash_)
            if reach >= size:
                return None
            reach *= 8
    return None


def anchor(folder: Path) -> Anchor:
    """The heads of all chains now."""
    found = heads(folder)
    return Anchor(at=time.time_ns(), heads=found, digest=digest(found))


def digest(found: Mapping[str, Head]) -> str:
    """One hash that stands for all heads: SHA-256 over ``writer n hash`` lines, sorted."""
    text = "".join(f"{writer} {head.n} {head.hash}\n" for writer, head in sorted(found.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def load_anchor(path: Path) -> Anchor:
    """An anchor that was kept in a file; ValueError when it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Anchor)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no anchor: {error}") from error


def _held(path: Path) -> bool:
    """Whether a living process has the file locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
