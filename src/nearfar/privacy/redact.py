"""Finds private values that a reply brings up by itself, and takes them out, in text that comes in pieces of any size.

What the caller sent is the caller's own, and so is what a restorer put back: neither is touched. What is decided, and
from which stretch of the text, depends on the text alone, so every split of it gives the same result. It knows no
policy and no event.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from nearfar.core.errors import GuardError
from nearfar.privacy import mask_form
from nearfar.privacy.findings import Finding
from nearfar.privacy.redact_json import Syntax
from nearfar.privacy.restore import Segment
from nearfar.privacy.scan import bare
from nearfar.privacy.unwrap import readings

STEP = 96
"""Characters that are decided together, at least."""
AHEAD = 128
"""Characters behind them that are read before: more than all but tokens and keys have, which are waited for."""
BEHIND = 160
"""Characters before them that are read again, for the words that explain a value."""
MOST = 16_384
"""Characters that are held back at most, whatever a reply holds."""
_BREAK = re.compile("[\\s\u3000-\u9fff\uff00-\uffef]")
"""Where a token ends: keys, addresses of mail and of the web are decided as a whole."""
_KEY, _KEY_END = "-----BEGIN ", re.compile("-----END [A-Z0-9 ]{1,60}-----")

Scan = Callable[[str], Sequence[Finding]]


class Report(msgspec.Struct):
    """What was found in one reply, by kind, and how often nobody could look."""

    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    unread: int = 0
    dropped: set[str] = msgspec.field(default_factory=set)
    """What was left out because it repeats the text (``logprobs``)."""

    @property
    def count(self) -> int:
        """Values, of all kinds."""
        return sum(self.kinds.values())


class Own:
    """What the caller sent: a value that stands in it, with or without its punctuation, is nobody else's news."""

    def __init__(self, texts: Callable[[], Iterable[str]]) -> None:
        """``texts`` is asked once, when the first finding needs it."""
        self._texts = texts
        self._said: str | None = None

    def __call__(self, value: str) -> bool:
        """Whether ``value`` stands there."""
        if self._said is None:
            self._said = "\0".join(bare(way.normal.text) for text in self._texts() for way in readings(text)[0])
        return all(bare(way.normal.text) in self._said for way in readings(value)[0][:1])


class Redaction(msgspec.Struct, kw_only=True):
    """How one reply is looked at."""

    scan: Scan
    """Text → findings, those of the kinds that matter alone, in order and without overlaps. GuardError if it fails."""
    own: Callable[[str], bool]
    """Whether the caller has said this value."""
    redact: bool
    """False: values are only counted, and every text passes at once."""
    report: Report = msgspec.field(default_factory=Report)

    def deviations(self) -> list[str]:
        """What the client is told: ``redacted:3``, ``unredacted:3`` where values stay, and what was left out."""
        told = [f"dropped:{name}" for name in sorted(self.report.dropped)]
        if self.report.count:
            told.append(f"{'redacted' if self.redact else 'unredacted'}:{self.report.count}")
        if self.report.unread:
            told.append(f"unscanned:{self.report.unread}")
        return told


def placeholder(kind: str) -> str:
    """What stands where a value stood; harmless within JSON, HTML and Markdown."""
    return f"[redacted:{kind}]"


class Redactor:
    """One text of a reply."""

    def __init__(self, how: Redaction, mask: Callable[[str], str | None], *, arguments: bool = False) -> None:
        """``mask``: a word → what stands behind it, None for what is no mask of this request: masks stay.

        ``arguments``: they are JSON as a rule, and whoever waits for their end must get it at once.
        """
        self._how = how
        self._mask = mask
        self._text = ""
        """What is undecided, after some of what came before it."""
        self._at = 0
        """Where in ``_text`` the undecided begins."""
        self._kept: deque[tuple[int, int]] = deque()
        """Where in ``_text`` something was restored, as far as that is undecided."""
        self._arguments = arguments
        self._begun = False
        self._syntax: Syntax | None = None
        self._ahead: Syntax | None = None
        self._whole = 0
        """Where in ``_text`` the JSON of arguments is complete; 0: nowhere in what is undecided."""
        self.redacted = False
        """Whether something was taken out of this text."""

    @property
    def plain(self) -> bool:
        """Whether it has begun and is no JSON, so that nobody can tell its end from itself."""
        return self._begun and self._syntax is None

    def feed(self, segments: Iterable[Segment], *, final: bool = False) -> str:
        """What can be shown now. ``final``: nothing comes after it. Raises GuardError where nobody could look."""
        came: list[str] = []
        end = len(self._text)
        for stretch, value in segments:
            text = stretch if value is None else value
            if value:
                self._kept.append((end, end + len(text)))
            end += len(text)
            came.append(text)
        self._take("".join(came))
        out: list[str] = []
        while (cut := self._cut(final=final)) is not None:
            out.append(self._decided(*cut))
        self._forget()
        return "".join(out if self._how.redact else came)

    def _take(self, came: str) -> None:
        if not self._begun and (start := came.lstrip(" \t\r\n")):
            self._begun = True
            if start[0] in ('{["' if self._arguments else "{["):
                self._syntax = Syntax()
                self._ahead = Syntax() if self._arguments else None
        if self._ahead is not None:
            end = self._ahead.advance(came)
            if end is not None:
                self._whole = len(self._text) + end
                self._ahead = None
        self._text += came

    def _forget(self) -> None:
        """Let go of what is decided, but for what the next look reads again."""
        done = self._at - BEHIND
        if done > 0:
            self._text = self._text[done:]
            self._at -= done
            self._whole = max(0, self._whole - done)
            self._kept = deque((start - done, end - done) for start, end in self._kept)

    def _cut(self, *, final: bool) -> tuple[int, int] | None:
        """Up to where is decided next, and up to where is read for it; None where more has to come first."""
        at, size = self._at, len(self._text)
        decided = _break(self._text, at + STEP, at + MOST)
        read = None if decided is None else self._reach(decided)
        if self._whole and (read is None or read > self._whole):
            decided = read = self._whole
        if decided is None or read is None:
            return (size, size) if final and size > at else None
        return min(decided, read), read

    def _reach(self, decided: int) -> int | None:
        """Up to where has to be read to decide so far."""
        read = _break(self._text, decided + AHEAD, decided + MOST)
        key = self._text.rfind(_KEY, self._at, decided)
        if read is None or key < 0:
            return read
        end = _KEY_END.search(self._text, key, key + MOST)
        if end is not None:
            return max(read, end.end())
        return None if len(self._text) < key + MOST else max(read, key + MOST)

    def _decided(self, decided: int, read: int) -> str:
        """What the client gets up to ``decided``, or further: a value that goes on behind it is done with."""
        text, done = self._text, self._at
        behind = max(0, done - BEHIND)
        out: list[str] = []
        for found in self._look(text[behind:read]):
            start, end = max(behind + found.start, done), behind + found.end
            if end <= done or start >= decided:
                continue
            if self._how.own(text[start:end]):
                out.append(self._pass(text[done:end]))
            else:
                head = self._pass(text[done:start])
                if self._syntax is not None:
                    head, start = self._syntax.number_before(head, start)
                    end = self._syntax.number_after(text, end, read)
                out += (head, self._cover(start, end, found.kind))
            done = end
        if done < decided:
            out.append(self._pass(text[done:decided]))
            done = decided
        self._at = done
        while self._kept and self._kept[0][1] <= done:
            self._kept.popleft()
        if self._whole <= done:
            self._whole = 0
        return "".join(out)

    def _look(self, text: str) -> Sequence[Finding]:
        try:
            return self._how.scan(text)
        except GuardError:
            if self._how.redact:
                raise
        self._how.report.unread += 1
        return ()

    def _pass(self, text: str) -> str:
        if self._syntax is not None:
            self._syntax.advance(text)
        return text

    def _cover(self, start: int, end: int, kind: str) -> str:
        """What stands there instead; what was restored, and masks that were not, stay as they are."""
        text = self._text
        stays: list[tuple[int, int]] = []
        for kept in self._kept:
            if kept[0] >= end:
                break
            if kept[1] > start:
                stays.append((max(kept[0], start), min(kept[1], end)))
        stays += [
            (start + mask.start(), start + mask.end())
            for mask in mask_form.finds(text[start:end])
            if self._mask(mask_form.word(mask)) is not None
        ]
        out: list[str] = []
        told = False
        for a, b in (*sorted(stays), (end, end)):
            piece = text[start : max(a, start)]
            if any(char.isalnum() for char in piece):
                told = True
                said = placeholder(kind)
                out.append(said if self._syntax is None else self._syntax.cover(piece, said))
            else:
                out.append(self._pass(piece))
            out.append(self._pass(text[max(a, start) : max(b, start)]))
            start = max(start, b)
        if told:
            self._how.report.kinds[kind] = self._how.report.kinds.get(kind, 0) + 1
            self.redacted = self._how.redact
        return "".join(out)


def _break(text: str, least: int, most: int) -> int | None:
    """The first place from ``least`` on behind what ends a token, ``most`` at most; None: not known yet."""
    found = _BREAK.search(text, least - 1, most)
    if found is not None:
        return found.end()
    return most if len(text) >= most else None
