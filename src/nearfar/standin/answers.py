"""What the stand-in says and how it counts: fixed words, tokens by a stated rule, vectors from a hash. No wire here.

The counting rule, so that a reader can check an invoice by hand:

* input: four tokens for each message and one for each started four bytes (UTF-8) of its text;
  for embeddings, one for each started four bytes of each input;
* output: one token for each piece, and a piece is one word with the space before it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable

import msgspec

from nearfar.core.money import NANO, Price

MODELS = ("stand-in-large", "stand-in-small", "stand-in-embed")
FINGERPRINT = "stand-in"
PRICE = Price(id="stand-in", input=NANO * 5 // 2, output=NANO * 10)
"""2.50 USD per million input tokens, 10.00 USD per million output tokens. Nobody is charged."""

DIMENSIONS = 16
"""Length of a vector when the request names none."""

_INTRODUCTION = "This is the stand-in for a cloud model, not a real one."
_FILLER = ("and", "so", "it", "goes", "on,", "word", "by", "word,", "as", "asked,")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply before any dialect has shaped it. ``created`` is in seconds since the epoch."""

    id: str
    model: str
    created: int
    pieces: tuple[str, ...]
    input: int
    output: int
    """Tokens: what the pieces count, unless the reply is made longer than its pieces."""
    finish: str = "stop"
    """``stop``, or ``length`` when the request's limit cut it."""
    include_usage: bool = False
    """OpenAI's stream option: a last chunk with the counts."""
    logprob: float | None = None
    """Of each piece, in OpenAI's dialect; None where the request did not ask."""

    @property
    def text(self) -> str:
        """All pieces together."""
        return "".join(self.pieces)


def pieces_for(question: str, *, count: int | None = None, limit: int | None = None) -> tuple[tuple[str, ...], str]:
    """The words that answer ``question``, and the finish reason.

    ``count`` asks for exactly so many pieces; ``limit`` is the request's own output limit.
    """
    quoted = " ".join(question.split())
    quoted = quoted if len(quoted) <= 80 else quoted[:79] + "…"
    words = f"{_INTRODUCTION} You asked: “{quoted}”".split()
    if count is not None:
        words = list(itertools.islice(itertools.chain(words, itertools.cycle(_FILLER)), count))
    finish = "stop"
    if limit is not None and len(words) > limit:
        words, finish = words[:limit], "length"
    return tuple(word if i == 0 else f" {word}" for i, word in enumerate(words)), finish


def count_text(text: str) -> int:
    """Tokens of a text: one for each started four bytes."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def count_messages(texts: Iterable[str]) -> int:
    """Input tokens of a conversation, given the text of each message."""
    return sum(4 + count_text(text) for text in texts)


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A unit vector made of the text's hash: equal texts have equal vectors, and nothing else is meant by them."""
    stream = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    raw = [int.from_bytes(stream[i : i + 2]) / 32767.5 - 1 for i in range(0, len(stream), 2)]
    length = sum(x * x for x in raw) ** 0.5 or 1.0
    return [round(x / length, 7) for x in raw]
