"""Follows JSON text in pieces, so that what is put into it leaves it JSON. It knows no value and no event."""

from __future__ import annotations

import re

_SIGN = re.compile(r'["\\{}\[\]]')
_STRUCTURE = frozenset('{}[],: \t\r\n"')
_NUMBER = "0123456789.+-eE"


class Syntax:
    """Knows whether its text is within a string, and when the value that it began with is complete."""

    def __init__(self) -> None:
        self.inside = False
        """Whether what comes next is part of a string."""
        self._escaped = False
        self._depth = 0

    def advance(self, text: str) -> int | None:
        """``text`` comes next. Returns where in it the outermost value ends, if it does for the first time."""
        at = 0
        end: int | None = None
        if self._escaped and text:
            self._escaped, at = False, 1
        while (sign := _SIGN.search(text, at)) is not None:
            at = sign.end()
            if sign[0] == '"':
                self.inside = not self.inside
                closed = not self.inside
            elif self.inside:
                closed = False
                if sign[0] == "\\":
                    at += 1
                    self._escaped = at > len(text)
            else:
                self._depth += (sign[0] in "{[") - (sign[0] in "}]")
                closed = sign[0] in "}]"
            if closed and self._depth <= 0 and end is None:
                end = at
        return end

    def number_before(self, head: str, start: int) -> tuple[str, int]:
        """``head``, which was passed up to ``start``, without a number that it ends with: half of one is no JSON."""
        if self.inside:
            return head, start
        short = head.rstrip(_NUMBER)
        return short, start - (len(head) - len(short))

    def number_after(self, text: str, end: int, limit: int) -> int:
        """Where a number that goes on at ``end`` ends, ``limit`` at most."""
        if not self.inside:
            while end < limit and text[end] in _NUMBER:
                end += 1
        return end

    def cover(self, text: str, said: str) -> str:
        """``text`` with ``said`` for what its strings and its other values hold; its structure stays."""
        out: list[str] = []
        run = False
        for char in text:
            if self._escaped:
                self._escaped = False
            elif char == '"':
                self.inside = not self.inside
                out.append(char)
                run = False
            elif self.inside:
                self._escaped = char == "\\"
                if not run:
                    out.append(said)
                run = True
            elif char in _STRUCTURE:
                self._depth += (char in "{[") - (char in "}]")
                out.append(char)
                run = False
            else:
                if not run:
                    out.append(f'"{said}"')
                run = True
        return "".join(out)
