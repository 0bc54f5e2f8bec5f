"""Finds the fenced blocks of a page, and the shell commands in them. It runs nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(
    r"(?:^ *<!-- tested: (?P<mark>[a-z]+) -->\n)?^(?P<indent> *)```(?P<kind>[a-z]*)\n(?P<body>.*?)^(?P=indent)``` *$",
    re.DOTALL | re.MULTILINE,
)


class Snippet(NamedTuple):
    """A fenced block; ``mark`` is the name in a `tested` comment before it."""

    kind: str
    mark: str
    body: str


def snippets(text: str) -> list[Snippet]:
    """All fenced blocks of ``text``."""
    found = []
    for match in _FENCE.finditer(text):
        indent = match["indent"]
        body = "\n".join(line.removeprefix(indent) for line in match["body"].splitlines())
        found.append(Snippet(match["kind"], match["mark"] or "", f"{body}\n"))
    return found


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of the shell blocks in ``text``, in words, without variables in front."""
    for snippet in snippets(text):
        if snippet.kind not in {"sh", "console"}:
            continue
        body = snippet.body.replace("\\\n", " ")
        for line in body.splitlines():
            if snippet.kind == "console":
                if not line.startswith("$ "):
                    continue
                line = line[2:]  # noqa: PLW2901
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield words
