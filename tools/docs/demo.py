"""What `nearfar demo` printed in a real run, kept in `demo.txt` beside this file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

RECORDED = Path(__file__).with_name("demo.txt")


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


def shown(language: str) -> str:
    """The run as the pages show it: whole."""
    del language
    return f"```text\n$ make demo\n{RECORDED.read_text('utf-8').strip()}\n```"


BLOCKS: MappingProxyType[str, Callable[[str], str]] = MappingProxyType({"demo": shown})
