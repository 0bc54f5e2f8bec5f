"""Labels: one JSON line for each prompt, with how well the near and the far answer did. Strict; it scores nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from nearfar.core.errors import UnprocessableEntityError
from nearfar.policy.cascade_answers import Kind

LONGEST_LINE: Final = 8 * 1024 * 1024
"""Bytes."""
MOST_LINES: Final = 200_000
T = TypeVar("T")


class BadLabels(UnprocessableEntityError):
    """A file of labels or prompts is not what it must be; ``line`` counts from 1, 0 stands for the file."""

    default_code = "bad_labels"

    def __init__(self, message: str, *, line: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One side's answer to a prompt."""

    score: float | bool
    """From 0 (worthless) to 1 (right); false and true stand for both."""
    answer: str | None = None
    """Its words; only the cascade reads them."""
    length: int | None = None
    """Characters of the whole answer, where ``answer`` holds only its result."""
    cost: float | None = None
    """Any one unit of money, the same in the whole file."""
    logprobs: list[float] | None = None
    """Natural log-probabilities of its tokens."""
    margin: float | None = None
    """Log-probability of the first token less that of the runner-up."""
    finish: str | None = None


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What another model answered."""

    model: str
    answer: str | None = None
    """None where it gave none."""
    cost: float | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt, and how near and far did on it."""

    id: str
    prompt: str
    local: Outcome
    cloud: Outcome
    opinions: list[Opinion] = []
    answer_type: Kind = "text"
    task: str | None = None
    group: str = ""
    """Policy group for certificates; all prompts are one group where nobody says otherwise."""
    embedding: list[float] = []
    """The prompt's embedding, where the owner has one."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt to be scored."""

    id: str
    prompt: str
    embedding: list[float] = []


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of a file, and the keys in it that nothing here uses."""

    labels: list[Label]
    unused: list[str]


def read(path: Path) -> Read:
    """All labels of a file; raises ``BadLabels`` with the line that is at fault."""
    labels: list[Label] = []
    known = set(Label.__struct_fields__)
    unused: set[str] = set()
    ids: dict[str, int] = {}
    decoder = msgspec.json.Decoder(Label)
    for number, line in _lines(path):
        label = _decoded(decoder, line, number)
        _check(label, number)
        if label.id in ids:
            raise BadLabels(f"Line {number}: id {label.id!r} was used in line {ids[label.id]}.", line=number)
        ids[label.id] = number
        unused |= set(msgspec.json.decode(line, type=dict[str, msgspec.Raw])) - known
        labels.append(label)
    if not labels:
        raise BadLabels(f"{path} holds no labels.", hint="One JSON object for each line; see the how-to.")
    _one_size([len(label.embedding) for label in labels])
    return Read(labels=labels, unused=sorted(unused))


def prompts(path: Path) -> list[Prompt]:
    """The prompts of a file; lines of labels will do as well."""
    decoder = msgspec.json.Decoder(Prompt)
    found = [_decoded(decoder, line, number) for number, line in _lines(path)]
    if not found:
        raise BadLabels(f"{path} holds no prompts.", hint='One line for each: {"id": "1", "prompt": "…"}')
    _one_size([len(item.embedding) for item in found])
    return found


def _lines(path: Path) -> Iterable[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise BadLabels(f"Line {number} is longer than {LONGEST_LINE} bytes.", line=number)
                if number > MOST_LINES:
                    raise BadLabels(
                        f"More than {MOST_LINES} lines.", line=number, hint="Use a sample: more labels add little."
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadLabels(f"{path} cannot be read: {error.strerror or error}.") from error


def _decoded(decoder: msgspec.json.Decoder[T], line: bytes, number: int) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLabels(
            f"Line {number}: {error}.", line=number, hint="Every line is one JSON object; see the how-to."
        ) from error


def _check(label: Label, number: int) -> None:
    if not label.id or not label.prompt:
        raise BadLabels(f"Line {number}: id and prompt must not be empty.", line=number)
    for name, side in (("local", label.local), ("cloud", label.cloud)):
        if not 0 <= side.score <= 1:
            raise BadLabels(f"Line {number}: {name}.score is {side.score}, not between 0 and 1.", line=number)
        if side.length is not None and side.length < 0:
            raise BadLabels(f"Line {number}: {name}.length is {side.length}.", line=number)
        if any(value > 0 or not math.isfinite(value) for value in side.logprobs or ()):
            raise BadLabels(f"Line {number}: {name}.logprobs holds a value that is no log-probability.", line=number)
    for cost in (label.local.cost, label.cloud.cost, *(item.cost for item in label.opinions)):
        if cost is not None and not (cost >= 0 and math.isfinite(cost)):
            raise BadLabels(f"Line {number}: a cost is negative or infinite.", line=number)
    if len({item.model for item in label.opinions}) < len(label.opinions):
        raise BadLabels(f"Line {number}: a model gives two opinions.", line=number)
    if not all(map(math.isfinite, label.embedding)):
        raise BadLabels(f"Line {number}: embedding holds a value that is not finite.", line=number)


def _one_size(sizes: list[int]) -> None:
    if len(set(sizes)) > 1:
        raise BadLabels(
            f"Embeddings have different sizes: {sorted(set(sizes))}.",
            hint="Use one embedding model for the whole file, or leave embeddings out.",
        )
