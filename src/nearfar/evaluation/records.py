"""What was asked and answered, one JSON line each, kept as it comes so that a run can go on. It asks nobody."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec

from nearfar.core.errors import (
    BudgetExceeded,
    EgressDenied,
    GuardError,
    MaskingFailed,
    PiiBlocked,
    UnprocessableEntityError,
)

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
Role = Literal["answer", "opinion", "judge"]


UNSENT: Final = frozenset(
    kind.default_code for kind in (EgressDenied, PiiBlocked, MaskingFailed, BudgetExceeded, GuardError)
)
"""Codes of refusals of our own: nothing has left, so nothing was spent."""


class BadResults(UnprocessableEntityError):
    """A file of results cannot be used."""

    default_code = "bad_results"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One question to one deployment."""

    id: str
    """The prompt's."""
    on: str
    """The deployment or route, as it was named."""
    role: Role = "answer"
    repeat: int = 0
    pair: tuple[str, str] = ("", "")
    """For a judge: whose answers stand as A and as B."""
    body: dict[str, Any]
    """A chat request in OpenAI's dialect."""
    class_: str = ""
    """At least this class; empty for what the gateway makes of it."""
    bound: int | None = None
    """The most it can cost, in nano-USD; None where no price is known."""
    weigh: bool = False
    """Whether log-probabilities are asked for, where they can be had."""

    @property
    def key(self) -> str:
        """Stands for everything that was asked: the same question to the same name, the same time around."""
        said = msgspec.json.encode(
            (self.id, self.on, self.body, self.class_, self.role, self.repeat, self.pair, self.weigh), order="sorted"
        )
        return hashlib.blake2b(said, digest_size=16).hexdigest()


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that ended as it should. Times are in milliseconds."""

    text: str
    deployment: str = ""
    """Who answered: of a route, one behind it."""
    place: str = ""
    class_: str = ""
    finish: str = ""
    cost: int | None = None
    """Nano-USD, as the ledger has it; None where it is not known."""
    input: int | None = None
    output: int | None = None
    first_ms: float | None = None
    total_ms: float = 0.0
    logprobs: list[float] = []
    margin: float | None = None
    deviations: list[str] = []
    request: str = ""
    attempts: int = 1
    """How many it took; ``cost`` is the last one's."""

    @property
    def spoken(self) -> str:
        """What it says, without the thinking aloud before it."""
        return _THOUGHT.sub("", self.text).strip()


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job and what came of it."""

    key: str
    id: str
    on: str
    role: Role = "answer"
    repeat: int = 0
    pair: tuple[str, str] = ("", "")
    heard: Heard | None = None
    error: str = ""
    """The error's code where there is no answer."""
    message: str = ""
    spent: int = 0
    """Nano-USD that it counts against a ceiling: its cost, or where that is not known the most it can have been."""


class Book:
    """The records of one evaluation; in a file where ``path`` is given, a line as soon as it is there."""

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        """``resume``: go on with the file if it is there; else it must not be. Raises BadResults."""
        self.records: dict[str, Record] = {}
        self.spent = 0
        """Nano-USD of all that it holds, failed attempts too."""
        self.known = 0
        """Answers that it held when it was opened."""
        self._path = path
        self._file: int | None = None
        if path is not None:
            self._open(path, resume=resume)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def get(self, job: Job) -> Record | None:
        """The answer to ``job`` that is there already; what failed counts as not asked."""
        found = self.records.get(job.key)
        return found if found is not None and found.heard is not None else None

    def add(self, record: Record) -> None:
        """Keep a record; it is in the file when this returns."""
        self.records[record.key] = record
        self.spent += record.spent
        if self._file is not None:
            _write(self._file, msgspec.json.encode(record) + b"\n", self._path)

    def _open(self, path: Path, *, resume: bool) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (0 if resume else os.O_EXCL)
        try:
            self._file = os.open(path, flags, 0o600)  # it holds prompts' answers
        except FileExistsError as error:
            raise BadResults(
                f"{path} holds the results of an earlier run.",
                hint="Go on with it: --resume. Or name another file: --results FILE.",
            ) from error
        except OSError as error:
            raise BadResults(f"{path} cannot be written: {error.strerror or error}.") from error
        self._read(path)

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        decoder = msgspec.json.Decoder(Record)
        for number, line in enumerate(data.splitlines(), 1):
            try:
                record = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if number == data.count(b"\n") + 1:
                    break  # the process died while it wrote this line: it is asked again
                raise BadResults(
                    f"{path}, line {number}: {error}.", hint="Name another file: --results FILE."
                ) from error
            self.records[record.key] = record
            self.spent += record.spent
        self.known = sum(record.heard is not None for record in self.records.values())
        if data and not data.endswith(b"\n"):
            assert self._file is not None
            os.ftruncate(self._file, data.rfind(b"\n") + 1)


def _write(file: int, data: bytes, path: Path | None) -> None:
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError as error:
        raise BadResults(f"{path} cannot be written: {error.strerror or error}.", hint="Is the disk full?") from error
