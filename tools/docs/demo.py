"""What `nearfar demo` printed in a real run, kept in `demo.txt` beside this file; trimmed for the pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

RECORDED = Path(__file__).with_name("demo.txt")
SHOWN = ("", "SCENE", "RAN", "COST", "MS", "WHY")
"""The columns that the pages show, in this order; ASKED and TOKENS are left out."""


def run() -> str:
    """The output of one real run with the stand-in. Raises CalledProcessError when a scene did not hold."""
    command = [sys.executable, "-m", "nearfar", "demo", "--stand-in"]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout


def rows(text: str) -> list[dict[str, str]]:
    """The scenes of a run: column → cell."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if "SCENE" in line)
    body = lines[start : lines.index("", start)]
    columns = _columns(body)
    names = [body[0][begin:end].strip() for begin, end in columns]
    return [dict(zip(names, (line[begin:end].strip() for begin, end in columns), strict=True)) for line in body[1:]]


def _columns(lines: list[str]) -> list[tuple[int, int]]:
    """(begin, end) of each column: they are parted by two spaces that stand in every line."""
    width = max(map(len, lines))
    padded = [line.ljust(width) for line in lines]
    empty = [all(line[at] == " " for line in padded) for at in range(width)] + [True, True]
    found, begin = [], 0
    for at in range(width + 1):
        if empty[at] and empty[at + 1] and at > begin:
            found.append((begin, at))
            begin = at + 2
        elif begin == at and empty[at]:
            begin = at + 1
    return found


def trimmed(language: str) -> str:
    """The run as the pages show it."""
    del language
    if not RECORDED.exists():
        return "```text\n```"
    text = RECORDED.read_text("utf-8")
    cells = [SHOWN, *(tuple(row[name] for name in SHOWN) for row in rows(text))]
    widths = [max(len(line[number]) for line in cells) for number in range(len(SHOWN))]
    lines = []
    for line in cells:
        padded = (
            cell.rjust(width) if name in {"COST", "MS"} else cell.ljust(width)
            for name, cell, width in zip(SHOWN, line, widths, strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    head, last = text.splitlines()[:2], text.splitlines()[-1]
    return "\n".join(["```text", "$ make demo", *head, "", *lines, "", last, "```"])


BLOCKS: MappingProxyType[str, Callable[[str], str]] = MappingProxyType({"demo": trimmed})
