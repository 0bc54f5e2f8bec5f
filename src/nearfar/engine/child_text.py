"""Text out of tokens, piece by piece: whole characters only, and nothing that may still become a stop string.

It knows no tokenizer but a function that decodes, and no request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

_BROKEN = "\ufffd"
_PENDING = 3
"""Bytes of an unfinished character at most, each of which some decoders show as one U+FFFD."""
_LONGEST = 64
"""Tokens without one whole character: after so many it is noise, and held no longer."""


class Detokenizer:
    """Tokens → text. A character whose bytes come in several tokens appears when it is whole.

    Some decoders treat the first token apart (they drop its leading space), so the tokens of the piece before are
    always decoded with the new ones.
    """

    def __init__(self, decode: Callable[[list[int]], str], marks: Mapping[int, str]) -> None:
        """``marks``: special tokens that ``decode`` leaves out and that must be seen, with their text."""
        self._decode = decode
        self._marks = marks
        self._known: list[int] = []
        self._new: list[int] = []
        self._told = 0
        """Characters of the new tokens that were given out."""

    def feed(self, token: int) -> str:
        """The text that ``token`` completes."""
        mark = self._marks.get(token)
        if mark is not None:
            return self.flush() + mark
        self._new.append(token)
        text = self._text()
        whole = text.rstrip(_BROKEN)
        pending = len(text) - len(whole)
        if pending == 0 or len(self._new) > _LONGEST:
            return self._give(text)
        told, self._told = self._told, max(self._told, len(text) - min(pending, _PENDING))
        return text[told : self._told]

    def flush(self) -> str:
        """What is left, an unfinished character too; the next token starts anew."""
        rest = self._give(self._text()) if self._new else ""
        self._known = []
        return rest

    def _text(self) -> str:
        return self._decode(self._known + self._new)[len(self._decode(self._known)) if self._known else 0 :]

    def _give(self, text: str) -> str:
        rest = text[self._told :]
        self._known, self._new, self._told = self._new, [], 0
        return rest


class Stops:
    """Ends a text before the first of some strings, and holds back what may be the beginning of one."""

    def __init__(self, stops: Collection[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """What of the text so far is safe to give out; ``hit`` says that a stop string came."""
        if not self._stops or self.hit:
            return "" if self.hit else text
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        held = max((overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """What was held back in vain."""
        rest, self._held = self._held, ""
        return rest


def overlap(text: str, word: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``word``, which is not in it whole."""
    for length in range(min(len(text), len(word) - 1), 0, -1):
        if text.endswith(word[:length]):
            return length
    return 0
