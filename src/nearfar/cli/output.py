"""How commands speak: tables and JSON on standard output, everything else on standard error.

Text from outside (model names, error bodies, answers) is shown without control characters, so that it cannot
steer a terminal. It knows no command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

import msgspec

GAP = "  "
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
    data = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(data.decode() + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """A table: drawn for a terminal's width, whole and aligned in a pipe. ``right``: columns aligned right."""
    cells = [[cell(value) for value in row] for row in rows]
    if is_terminal(sys.stdout):
        _rich(columns, cells, right)
    else:
        for text in aligned([columns, *cells], right=right):
            sys.stdout.write(text + "\n")


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(columns):
        drawn.add_column(Text(name), justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(value) for value in row))
    Console(file=sys.stdout, highlight=False).print(drawn)


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """The rows as lines in which each column begins at the same place, wide characters counted as two."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = []
        for index, (text, width) in enumerate(zip(row, widths, strict=True)):
            fill = " " * (width - cell_len(text))
            padded.append(fill + text if index in right else text + fill)
        lines.append(GAP.join(padded).rstrip())
    return lines


def megabytes(count: int | None) -> str:
    """Bytes for people: ``4.1 MB``; ``?`` when unknown."""
    return "?" if count is None else f"{count / 1e6:,.1f} MB"
