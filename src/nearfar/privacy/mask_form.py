"""How masks look, and how they may come back: changed case, spaces inside, escapes, full-width, other brackets.

It knows no vault: whether a mask is one of a request's own is asked elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from nearfar.privacy.vault import CODE, LABEL, LONGEST

_PAIRS = (
    *(
        ("⟦", "⟧"),
        ("〚", "〛"),
        ("【", "】"),
        ("[[", "]]"),
        ("{{", "}}"),
        ("<<", ">>"),
        ("<", ">"),
        ("\uff1c", "\uff1e"),
    ),
    *(("&lt;", "&gt;"), ("&lobrk;", "&robrk;"), ("&#10214;", "&#10215;"), ("&#x27e6;", "&#x27e7;")),
    *(("\\u27e6", "\\u27e7"), ("\\\\u27e6", "\\\\u27e7")),
)
"""Ours first, then what models and encoders make of it."""
_OPEN = [pair[0] for pair in _PAIRS]
_CLOSE = [pair[1] for pair in _PAIRS]
_LETTER = r"[A-Z\uff21-\uff3a]"
_SIGN = r"[B-DF-HJ-NP-TV-XZ2-9\uff22-\uff24\uff26-\uff28\uff2a-\uff2e\uff30-\uff34\uff36-\uff38\uff3a\uff12-\uff19]"
_BLANK = r"[ \t\n\u00a0\u200b\u2060\u3000]{0,2}"
_JOINT = r"(?:\\{0,2}_|[\uff3f\u00b7\u30fb\u2027:\uff1a\-\u2010\u2011\u2013])"
_JOINT_BEGUN = r"(?:\\{1,2}|" + _JOINT[3:]
_WORD = "[A-Za-z0-9_]"


def _any(texts: Iterable[str]) -> str:
    return "(?:" + "|".join(re.escape(text) for text in texts) + ")"


def _begun(texts: Iterable[str]) -> str:
    return _any(sorted({text[:size] for text in texts for size in range(1, len(text) + 1)}, key=lambda t: -len(t)))


FORM = re.compile(
    rf"{_any(_OPEN)}{_BLANK}(?P<la>{_LETTER}{{2,{LABEL}}}){_BLANK}{_JOINT}{_BLANK}"
    rf"(?P<ca>{_SIGN}(?:\s?{_SIGN}){{{CODE - 1},{LONGEST - 1}}}){_BLANK}{_any(_CLOSE)}"
    rf"|(?<!{_WORD})(?P<lb>{_LETTER}{{2,{LABEL}}})\\{{0,2}}_(?P<cb>{_SIGN}{{{CODE},{LONGEST}}})(?!{_WORD})",
    re.IGNORECASE,
)
"""What may be a mask, in brackets or as a bare word."""
BEGUN = re.compile(
    rf"(?:{_any(_OPEN)}{_BLANK}(?:(?P<la>{_LETTER}{{1,{LABEL}}})(?P<ja>{_BLANK}(?:{_JOINT_BEGUN}{_BLANK}"
    rf"(?:{_SIGN}(?:\s?{_SIGN}){{0,{LONGEST - 1}}}{_BLANK}{_begun(_CLOSE)}?)?)?)?)?"
    rf"|(?<!{_WORD})(?P<lb>{_LETTER}{{1,{LABEL}}})(?P<jb>\\{{0,2}}(?:_{_SIGN}{{0,{LONGEST}}})?)"
    rf"|{_begun(_OPEN)})\Z",
    re.IGNORECASE,
)
"""The beginning of what may become a mask, at the end of a text."""
SPAN = 96
"""Characters that ``FORM`` and ``BEGUN`` match at most."""
_BARE = LABEL + 3 + LONGEST
"""Characters of one without brackets."""
_OPENER = re.compile(r"[⟦〚【\[{<&\\\uff1c]")
_MAYBE = re.compile(
    rf"[_\uff3f\u00b7\u30fb\u2027:\uff1a\-\u2010\u2011\u2013]{_BLANK}{_SIGN}(?:\s?{_SIGN}){{{CODE - 1}}}", re.IGNORECASE
)
"""A joint and the beginning of a code: every mask has it, next to no other text does."""
_BEFORE = 40
_AFTER = 64
"""Characters that a mask has before the beginning of its code, and after it, at most."""
_GAP = re.compile(r"[\s\u200b\u2060\\]")


def find(text: str, start: int = 0) -> re.Match[str] | None:
    """The first match of ``FORM`` from ``start`` on; much quicker than to search for it everywhere."""
    joint = _MAYBE.search(text, start)
    while joint is not None:
        stop = joint.end() + _AFTER
        found = FORM.search(text, max(start, joint.start() - _BEFORE), stop)
        if found is not None and (found.end() < stop or stop >= len(text)):
            return found
        joint = _MAYBE.search(text, joint.start() + 1)
    return None


def begun(text: str, start: int, labels: AbstractSet[str]) -> int:
    """Where, from ``start`` on, something begins that may become a mask with one of ``labels``; or the text's end."""
    size = len(text)
    start = max(start, size - SPAN)
    if _OPENER.search(text, start) is None:
        start = max(start, size - _BARE)
    while True:
        found = BEGUN.search(text, start)
        if found is None:
            return size
        if _may_become(found, labels):
            return found.start()
        start = found.start() + 1


def finds(text: str) -> Iterator[re.Match[str]]:
    """All of them, in order."""
    found = find(text)
    while found is not None:
        yield found
        found = find(text, found.end())


def word(found: re.Match[str]) -> str:
    """The mask that ``found``, a match of ``FORM``, stands for, without brackets and as it was made."""
    if found["lb"] is not None:
        return f"{plain(found['lb'])}_{plain(found['cb'])}"
    return f"{plain(found['la'])}_{plain(found['ca'])}"


def plain(text: str) -> str:
    """Upper case, without full-width letters and gaps."""
    upper = text.upper()
    return upper if upper.isascii() and upper.isalnum() else _GAP.sub("", unicodedata.normalize("NFKC", upper))


def _may_become(found: re.Match[str], labels: AbstractSet[str]) -> bool:
    written = found["la"] or found["lb"]
    if written is None:
        return True
    begun = plain(written)
    if found["ja"] or found["jb"]:
        return begun in labels
    return any(own.startswith(begun) for own in labels)
