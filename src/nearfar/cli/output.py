"""How commands speak: tables and JSON on standard output, everything else on standard error.

Text from outside (model names, error bodies, answers) is shown without control characters, so that it cannot
steer a terminal. It knows no command.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

import msgspec

_DROP = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_DROP |= dict.fromkeys((0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))


def clean(text: str) -> str:
    """``text`` without control and direction-changing characters; line breaks and tabs stay."""
    return text.translate(_DROP)


def cell(value: object) -> str:
    """A table cell: one line, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(clean(str(value)).split())


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at ``stream``."""
    return stream.isatty()


def line(text: str = "") -> None:
    """One line of result."""
    sys.stdout.write(clean(text) + "\n")


def note(text: str) -> None:
    """One line beside the result."""
    sys.stderr.write(clean(text) + "\n")


def progress(text: str) -> None:
    """One line about what is going on, for people only."""
    if is_terminal(sys.stderr):
        note(text)


def json(value: object) -> None:
    """``value`` as one JSON object."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # Programs read this: nothing may be replaced in it, and JSON has its own way to write what a stream cannot.
        text = "".join(char if char.isascii() else _escaped(char) for char in text)
    sys.stdout.write(text + "\n")


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[int] = (),
    drop: Sequence[str] = (),
    flow: Sequence[str] = (),
    under: bool = False,
) -> None:
    """A table: fitted to a terminal's width, whole and aligned in a pipe. ``right``: columns aligned right.

    ``drop``, ``flow`` and ``under`` say what gives way on a narrow terminal: see ``cli.table.fitted``.
    """
    from nearfar.cli.table import aligned, fitted

    cells = [list(columns), *([cell(value) for value in row] for row in rows)]
    if not is_terminal(sys.stdout):
        for text in aligned(cells, right=right):
            sys.stdout.write(text + "\n")
        return
    drawn = fitted(cells, shutil.get_terminal_size().columns, right=right, drop=drop, flow=flow, under=under)
    head, *body = drawn.lines
    sys.stdout.write("\n".join([f"\x1b[1m{head}\x1b[0m" if styled(sys.stdout) else head, *body]) + "\n")
    if drawn.left_out:
        note(f"(no room for {', '.join(drawn.left_out)}: see --json)")


def styled(stream: TextIO) -> bool:
    """Whether ``stream`` takes colours and bold type, as NO_COLOR, FORCE_COLOR and the terminal have it."""
    from rich.console import Console

    console = Console(file=stream)
    return console.is_terminal and not console.no_color and console.color_system is not None


def megabytes(count: int | None) -> str:
    """Bytes for people: ``4.1 MB``; ``?`` when unknown."""
    return "?" if count is None else f"{count / 1e6:,.1f} MB"
