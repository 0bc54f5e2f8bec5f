"""Reads prompts: one JSON object for each line, or rows of a table under other names. It asks and scores nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from nearfar.core.errors import UnprocessableEntityError
from nearfar.policy.cascade_answers import Kind

LONGEST_LINE: Final = 8 * 1024 * 1024
"""Bytes."""
MOST: Final = 100_000
"""Prompts of one run."""
FIELDS: Final = ("id", "prompt", "messages", "answer", "answer_type", "task", "tests", "system")
_HINT = 'One line for each: {"id": "1", "prompt": "…", "answer": "…"}; see the how-to.'


class BadPrompts(UnprocessableEntityError):
    """Prompts are not what they must be; ``line`` counts from 1, 0 stands for the whole."""

    default_code = "bad_prompts"

    def __init__(self, message: str, *, line: int = 0, hint: str = _HINT) -> None:
        super().__init__(message, hint=hint)
        self.line = line


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation; text alone."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class Prompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked, and what is known of the right answer."""

    id: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...] = ()
    """Right answers, any of which will do; empty where nobody knows."""
    answer_type: Kind | None = None
    """How answers are compared; None where the prompt does not say."""
    task: str = ""
    tests: str = ""
    """Python that fails where code is wrong."""

    @property
    def text(self) -> str:
        """What was asked, without instructions: what a router would look at."""
        return "\n\n".join(item.content for item in self.messages if item.role == "user")


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    id: str | int | None = None
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    answer: str | bool | int | float | list[str] | None = None
    answer_type: Kind | None = None
    task: str | int | None = None
    tests: str | list[str] | None = None
    system: str = ""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """The prompts of a source, and the names in it that nothing here uses."""

    prompts: list[Prompt]
    unused: list[str]


def read(path: Path, columns: Mapping[str, str] | None = None, *, limit: int | None = None) -> Read:
    """The first ``limit`` prompts of a file. ``columns``: our name → the file's. Raises BadPrompts with the line."""
    return gathered(_lines(path), columns or {}, where=str(path), limit=limit)


def gathered(
    rows: Iterable[tuple[int, Mapping[str, Any]]], columns: Mapping[str, str], *, where: str, limit: int | None = None
) -> Read:
    """Prompts from numbered rows, the first ``limit`` of them."""
    found: list[Prompt] = []
    ids: dict[str, int] = {}
    unused: set[str] = set()
    known = {columns.get(name, name) for name in FIELDS}
    for number, row in rows:
        if len(found) >= MOST:
            raise BadPrompts(f"More than {MOST:,} prompts.", line=number, hint="Use --limit, or a sample.")
        prompt = _prompt(row, number, columns)
        if prompt.id in ids:
            raise BadPrompts(f"Line {number}: id {prompt.id!r} was used in line {ids[prompt.id]}.", line=number)
        ids[prompt.id] = number
        unused |= row.keys() - known
        found.append(prompt)
        if len(found) == limit:
            break
    if not found:
        raise BadPrompts(f"{where} holds no prompts.")
    return Read(prompts=found, unused=sorted(unused))


def mapping(text: str) -> dict[str, str]:
    """``prompt=question,answer=answer`` as a table. Raises ValueError with what is wrong."""
    table: dict[str, str] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        ours, separator, theirs = (piece.strip() for piece in part.partition("="))
        if not separator or not theirs:
            raise ValueError(f"{part!r} is not OURS=THEIRS")
        if ours not in FIELDS:
            raise ValueError(f"{ours!r} is none of {', '.join(FIELDS)}")
        table[ours] = theirs
    return table


def _lines(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise BadPrompts(f"Line {number} is longer than {LONGEST_LINE} bytes.", line=number)
                if line.strip():
                    try:
                        yield number, decoder.decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                        raise BadPrompts(f"Line {number}: {error}.", line=number) from error
    except OSError as error:
        raise BadPrompts(f"{path} cannot be read: {error.strerror or error}.") from error


def _prompt(row: Mapping[str, Any], number: int, columns: Mapping[str, str]) -> Prompt:
    picked = {}
    for name in FIELDS:
        theirs = columns.get(name, name)
        if name in columns and theirs not in row:
            raise BadPrompts(
                f"Line {number}: there is no {theirs!r}.", line=number, hint=f"There are: {', '.join(sorted(row))}."
            )
        if theirs in row and row[theirs] is not None:
            picked[name] = row[theirs]
    try:
        line = msgspec.convert(picked, _Line)
    except msgspec.ValidationError as error:
        raise BadPrompts(f"Line {number}: {error}.", line=number) from error
    if (line.prompt is None) == (line.messages is None):
        raise BadPrompts(f"Line {number}: either prompt or messages must be there.", line=number)
    messages = line.messages if line.prompt is None else (Message(role="user", content=line.prompt),)
    assert messages is not None
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise BadPrompts(f"Line {number}: the last message must be a user's, and not empty.", line=number)
    if line.system:
        messages = (Message(role="system", content=line.system), *messages)
    tests = line.tests or ""
    return Prompt(
        id=str(number if line.id is None else line.id),
        messages=messages,
        answers=_answers(line.answer, number),
        answer_type=line.answer_type,
        task="" if line.task is None else str(line.task),
        tests=tests if isinstance(tests, str) else "\n".join(tests),
    )


def _answers(value: str | float | bool | list[str] | None, number: int) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = tuple(value) if isinstance(value, list) else (_plain(value),)
    if not all(text.strip() for text in texts):
        raise BadPrompts(f"Line {number}: an answer is empty.", line=number, hint="Leave it out where none is known.")
    return texts


def _plain(value: str | float | bool) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
