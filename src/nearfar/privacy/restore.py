"""Puts values back in place of masks, in text that comes in pieces of any size. It knows no JSON and no event.

Only masks of this request's vault are restored, and none inside a URL. What is held back is the beginning of a mask and
what follows one as far as it may make it a host name: at most ``HELD`` characters.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from nearfar.privacy import mask_form, urls
from nearfar.privacy.vault import Vault

Segment = tuple[str, str | None]
"""A stretch of the text as it came, and what stands for it now; None when it stays."""
HELD = mask_form.SPAN + urls.HELD
"""Characters held back at most."""


class Report(msgspec.Struct):
    """How many masks were restored, and how many were not, by reason.

    Reasons: ``url``; ``key`` (a key of a JSON object); ``tool`` (arguments of a tool that is not trusted); ``unknown``
    (it has a label of this request's and is none of its masks: somebody made it up, or the model misspelt it).
    """

    restored: int = 0
    kept: dict[str, int] = msgspec.field(default_factory=dict)

    def keep(self, why: str) -> None:
        """One more was left as it is."""
        self.kept[why] = self.kept.get(why, 0) + 1


class Engine(Protocol):
    """Reads a text in pieces; the stretches of its segments, one after the other, are the text again."""

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:
        """What is decided now. ``final``: nothing comes after ``text``."""
        ...


class TextEngine:
    """Restores in plain text, which includes Markdown, HTML and code."""

    def __init__(self, vault: Vault, report: Report, outer: urls.Zone | None = None) -> None:
        """``outer`` follows the whole text of which this is a part, where there is one."""
        self._vault = vault
        self._report = report
        self._zone = urls.Zone()
        self._outer = outer
        self._before = ""
        """The last character that was passed: a bare mask begins at the beginning of a word."""
        self._held = ""

    def feed(self, text: str, *, final: bool = False) -> list[Segment]:
        """See Engine."""
        out: list[Segment] = []
        text = self._before + self._held + text
        at = len(self._before)
        hold = len(text) if final else mask_form.begun(text, at, self._vault.labels)
        at, hold = self._restore(text, at, hold, out, final=final)
        if hold > at:
            self._advance(text[at:hold])
            out.append((text[at:hold], None))
        self._held = text[hold:]
        self._before = text[hold - 1 : hold] if hold else ""
        return out

    def _restore(self, text: str, at: int, hold: int, out: list[Segment], *, final: bool) -> tuple[int, int]:
        """Up to where everything is decided and in ``out``, and where what is undecided begins."""
        after = at
        while True:
            found = mask_form.find(text, after)
            if found is None or found.start() >= hold:
                return at, hold
            after = found.end()
            word = mask_form.word(found)
            value = self._vault.value(word)
            if value is None:
                if found[0][0] == "⟦" and word.partition("_")[0] in self._vault.labels:
                    self._report.keep("unknown")
            else:
                host = urls.host_follows(text, after, final=final)
                if host is None:
                    return at, found.start()
                if found.start() > at:
                    self._advance(text[at : found.start()])
                    out.append((text[at : found.start()], None))
                at = after
                if host or self._zone.inside or (self._outer is not None and self._outer.captive):
                    self._report.keep("url")
                    value = None
                else:
                    self._report.restored += 1
                self._advance(found[0] if value is None else value)
                out.append((found[0], value))
            if hold < after:
                hold = len(text) if final else mask_form.begun(text, after, self._vault.labels)

    def _advance(self, text: str) -> None:
        self._zone.advance(text)
        if self._outer is not None:
            self._outer.advance(text)


class TextRestorer:
    """Restores one text in pieces: what ``feed`` and ``flush`` return, joined, is the same for every split."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def feed(self, text: str) -> str:
        """What can be shown now."""
        return joined(self._engine.feed(text))

    def flush(self) -> str:
        """Nothing comes any more: the rest."""
        return joined(self._engine.feed("", final=True))


def joined(segments: list[Segment]) -> str:
    """The text with its values."""
    if len(segments) == 1:
        stretch, value = segments[0]
        return stretch if value is None else value
    return "".join([stretch if value is None else value for stretch, value in segments])
