"""``nearfar privacy``: what is private in a text. It shows places and kinds, never a value, and sends nothing."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError

if TYPE_CHECKING:  # the rules are only read when a command runs
    from nearfar.privacy.findings import Finding

app = typer.Typer(no_args_is_help=True, help="Try out what is found in a text, without sending it anywhere.")

File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A text in UTF-8; standard input without it.")]


class Found(msgspec.Struct, frozen=True):
    """A finding as it is told: ``line`` counts from 1, ``start`` and ``end`` are characters of that line."""

    line: int
    start: int
    end: int
    kind: str
    score: float
    detector: str


@app.command()
def scan(
    file: File = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line and finding.")] = False,
    names: Annotated[bool, typer.Option("--names/--no-names", help="Also look for names of persons.")] = True,
    floor: Annotated[float, typer.Option("--floor", min=0.0, max=1.0, help="The lowest score that counts.")] = 0.4,
) -> None:
    """Find what is private in a text: a line for each finding, with its place, its kind and how sure it is."""
    from nearfar.privacy.names import Names
    from nearfar.privacy.scan import Scanner

    text = read(file, sys.stdin)
    scanned = Scanner(detectors=[Names.shipped()] if names else (), floor=floor).scan(text)
    rows = list(by_line(text, scanned.findings))
    if json:
        for row in rows:
            output.line(msgspec.json.encode(row).decode())
    elif rows:
        columns = ("LINE", "START", "END", "KIND", "SCORE", "DETECTOR")
        output.table(columns, [msgspec.structs.astuple(row) for row in rows], right=(0, 1, 2, 4), drop=("DETECTOR",))
    for unknown in scanned.unknowns:
        line = text.count("\n", 0, unknown.start) + 1
        output.note(f"Line {line}: not read: {unknown.why}.")
    if not rows and not json:
        output.note("Nothing found. That is no proof: names and free text are found in part only.")


def read(file: Path | None, stdin: TextIO) -> str:
    """The text of ``file``, or of standard input for none and for ``-``."""
    try:
        data = stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file or 'Standard input'} is no UTF-8 text: byte {error.start}.") from error


def by_line(text: str, findings: tuple[Finding, ...]) -> Iterator[Found]:
    """Each finding with its line; one that spans several lines is told once for each of them."""
    begins = [0]
    at = text.find("\n")
    while at >= 0:
        begins.append(at + 1)
        at = text.find("\n", at + 1)
    for each in findings:
        line = bisect_right(begins, each.start) - 1
        start = each.start
        while start < each.end:
            stop = min(each.end, begins[line + 1] if line + 1 < len(begins) else len(text))
            shown = text[start:stop].rstrip("\r\n")
            if shown:
                here = start - begins[line]
                yield Found(line + 1, here, here + len(shown), each.kind, each.score, each.detector)
            start, line = stop, line + 1
