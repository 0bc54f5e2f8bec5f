"""Puts values back in JSON text that comes in pieces: in the values of its strings, never in keys. It knows no event.

Values go in escaped, so that what was JSON stays JSON; everything else stays byte for byte, escapes included. A string
that is JSON itself (agents nest it) is read as such. URLs are told within the decoded string, so escaping hides none.
"""

from __future__ import annotations

import json
import re
from collections import deque

from nearfar.privacy import mask_form
from nearfar.privacy.restore import Engine, Report, Segment, TextEngine
from nearfar.privacy.urls import Zone
from nearfar.privacy.vault import Vault

DEPTH = 3
"""JSON within JSON that is told from text."""
_STRUCTURE = re.compile(r'["{}\[\],:]|[^\s0-9eE+\-.truefalsn]')
_STRING_END = re.compile(r'["\\]')
_UNIT = re.compile(r"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|[^u])", re.DOTALL)
_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = 12
"""Characters of the longest escape, two halves of one character."""
_BLANK = " \t\r\n"


class AnyEngine:
    """Decides by the first characters whether a text is JSON; an answer that follows a schema is."""

    def __init__(self, vault: Vault, report: Report, *, depth: int = 0, outer: Zone | None = None) -> None:
        """``outer`` follows the whole text of which this is a string: whoever renders it sees one text."""
        self._vault = vault
        self._report = report
        self._depth = depth
        self._outer = outer
        self._begun = ""
        self._engine: Engine | None = None

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:
        """See Engine."""
        if self._engine is not None:
            return self._engine.feed(text, final=final)
        text = self._begun + text
        found = self._kind(text, final=final)
        if found is None:
            self._begun = text
            return []
        self._begun = ""
        if found:
            outer = self._outer if self._depth else Zone()
            self._engine = JsonEngine(self._vault, self._report, depth=self._depth, loose=True, outer=outer)
        else:
            self._engine = TextEngine(self._vault, self._report, self._outer)
        return self._engine.feed(text, final=final)

    def _kind(self, text: str, *, final: bool) -> bool | None:
        """Whether it is JSON; None: not known yet."""
        start = text.lstrip(_BLANK)
        if start[:1] not in {"", "{", "["} or self._depth >= DEPTH:
            return False
        after = start[1:].lstrip(_BLANK)
        if after:
            return after[0] == '"' or (start[0] == "[" and after[0] == "{" and after[:2] != "{{")
        # Who writes a page of white space does not write JSON.
        return False if final or len(text) > 256 else None


class JsonEngine:
    """Restores in the values of JSON text. ``loose``: what turns out to be no JSON is plain text from there on."""

    def __init__(
        self, vault: Vault, report: Report, *, depth: int = 0, loose: bool = False, outer: Zone | None = None
    ) -> None:
        self._vault = vault
        self._report = report
        self._outer = outer
        self._depth = depth
        self._loose = loose
        self._open: list[str] = []
        self._key_next = False
        self._string = False
        self._child: Engine | None = None
        """Reads the string that is open; None for a key."""
        self._key = ""
        self._units: deque[tuple[int, str]] = deque()
        """What the child has not answered yet: (decoded characters, as they came)."""
        self._escape = ""
        self._rest: TextEngine | None = None

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:
        """See Engine."""
        out: list[Segment] = []
        if self._rest is not None:
            return self._rest.feed(text, final=final)
        text, self._escape = self._escape + text, ""
        at = 0
        while at < len(text):
            if self._string:
                at = self._in_string(text, at, out, final=final)
            elif self._rest is not None:
                out += self._rest.feed(text[at:], final=final)
                return out
            else:
                at = self._outside(text, at, out)
        if final and self._string:
            self._close(out)
        return out

    def _keep(self, raw: str, out: list[Segment]) -> None:
        if self._outer is not None:
            self._outer.advance(raw)
        out.append((raw, None))

    def _outside(self, text: str, at: int, out: list[Segment]) -> int:
        found = _STRUCTURE.search(text, at)
        if found is None:
            self._keep(text[at:], out)
            return len(text)
        sign, end = found[0], found.end()
        if self._loose and (sign not in '"{}[],:' or (not self._open and sign not in "{[")):
            self._keep(text[at : found.start()], out)
            self._rest = TextEngine(self._vault, self._report, self._outer)
            return found.start()
        self._keep(text[at:end], out)
        if sign in "{[":
            self._open.append(sign)
            self._key_next = sign == "{"
        elif sign in "}]":
            if self._open:
                self._open.pop()
            self._key_next = False
        elif sign == ",":
            self._key_next = bool(self._open) and self._open[-1] == "{"
        elif sign == ":":
            self._key_next = False
        elif sign == '"':
            self._string = True
            self._key = ""
            self._child = None if self._key_next else self._reader()
        return end

    def _reader(self) -> Engine:
        return AnyEngine(self._vault, self._report, depth=self._depth + 1, outer=self._outer)

    def _in_string(self, text: str, at: int, out: list[Segment], *, final: bool) -> int:
        """Pieces of the open string, up to its end or the end of ``text``."""
        decoded: list[str] = []
        while at < len(text):
            found = _STRING_END.search(text, at)
            end = len(text) if found is None else found.start()
            if end > at:
                decoded.append(text[at:end])
                self._units.append((end - at, text[at:end]))
            at = end
            if found is None:
                break
            if found[0] == '"':
                self._pass("".join(decoded), out)
                self._close(out)
                self._keep('"', out)
                return at + 1
            unit = self._unit(text, at, final=final)
            if unit is None:
                self._escape = text[at:]
                at = len(text)
                break
            decoded.append(unit[0])
            self._units.append((len(unit[0]), unit[1]))
            at += len(unit[1])
        self._pass("".join(decoded), out)
        return at

    @staticmethod
    def _unit(text: str, at: int, *, final: bool) -> tuple[str, str] | None:
        """The escape at ``at``: what it means and how it is written; None when more of it may come."""
        if not final and len(text) - at < _ESCAPE:
            left = text[at:]
            # A first half waits for what follows it.
            if len(left) < 2 or (left[1] == "u" and len(left) < 6) or _waits(left):
                return None
        found = _UNIT.match(text, at)
        if found is None:
            return text[at], text[at]  # no escape that JSON knows
        first, second = found[1], found[2]
        if first is None:
            return _ESCAPES.get(found[0][1], found[0][1]), found[0]
        if second is not None and _HIGH.match(found[0]) is not None:
            return chr(0x10000 + ((int(first, 16) - 0xD800) << 10) + int(second, 16) - 0xDC00), found[0]
        return chr(int(first, 16)), found[0][:6]

    def _pass(self, decoded: str, out: list[Segment], *, final: bool = False) -> None:
        if self._child is None:
            self._key += decoded
            while self._units:
                self._keep(self._units.popleft()[1], out)
            return
        for stretch, value in self._child.feed(decoded, final=final):
            raw = self._take(len(stretch))
            out.append((raw, None if value is None else json.dumps(value, ensure_ascii=False)[1:-1]))

    def _take(self, size: int) -> str:
        """As they came: the next ``size`` decoded characters."""
        taken: list[str] = []
        while size:
            length, raw = self._units.popleft()
            if length > size:  # only stretches without escapes are longer than one character
                self._units.appendleft((length - size, raw[size:]))
                length, raw = size, raw[:size]
            taken.append(raw)
            size -= length
        return "".join(taken)

    def _close(self, out: list[Segment]) -> None:
        """The open string ends."""
        self._pass("", out, final=True)
        if self._child is None:
            for found in mask_form.finds(self._key):
                if self._vault.value(mask_form.word(found)) is not None:
                    self._report.keep("key")
        self._child = None
        self._string = False
        self._key_next = False


def _waits(left: str) -> bool:
    """Whether ``left``, an escape so far, is the first half of a character that its second half may follow."""
    if _HIGH.match(left) is None:
        return False
    rest = left[6:]
    return rest == "\\u"[: len(rest)] or (rest[:2] == "\\u" and all(c in "0123456789abcdefABCDEF" for c in rest[2:]))


class ArgumentsEngine:
    """The arguments of a tool call: JSON as a rule, plain text for tools that take that."""

    def __init__(self, vault: Vault, report: Report) -> None:
        self._vault = vault
        self._report = report
        self._engine: Engine | None = None

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:
        """See Engine."""
        if self._engine is None:
            start = text.lstrip(_BLANK)
            if not start:
                return [(text, None)] if text else []
            if start[0] in '{["':
                self._engine = JsonEngine(self._vault, self._report)
            else:
                self._engine = TextEngine(self._vault, self._report)
        return self._engine.feed(text, final=final)
