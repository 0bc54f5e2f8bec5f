"""Numbers that describe how a prompt is built: lengths, digits, punctuation, options. It reads no meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearfar.tuning.words import shortened

Floats = NDArray[np.float32]
_OPTION = re.compile(r"\s*\(?(?:[A-Ja-j]|\d{1,2})[.):、]\s")
_NUMERIC = re.compile(r"[-+$€%\d.,/() :^*=]+")
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_MARK = re.compile(r"[^\w\s]")
_IDEOGRAPH = re.compile(r"[\u2e80-\U0003ffff]")
_STEPS = 65
"""Quantiles that a number's scale is remembered by."""
SPREAD: Final = 3.46
"""Makes ranks, which are spread evenly, vary as much as a unit normal."""


def _spread(values: Sequence[int]) -> tuple[float, float, float, float]:
    """(mean, most, least, deviation); zeros of nothing."""
    if not values:
        return 0.0, 0.0, 0.0, 0.0
    mean = sum(values) / len(values)
    return mean, max(values), min(values), (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5


def described(text: str) -> list[float]:
    """The numbers of one prompt."""
    text = shortened(text)
    size = len(text) or 1
    words = text.split()
    count = len(words) or 1
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    options = [line for line in lines if _OPTION.match(line)]
    bodies = [_OPTION.sub("", line, count=1).strip() for line in options]
    first = next((at for at, line in enumerate(lines) if _OPTION.match(line)), len(lines))
    question = "\n".join(lines[:first] or lines[:1])
    lowered = question.lower()
    tokens = _WORD.findall(text.lower())
    digits = len(_DIGIT.findall(text))
    marks = len(_MARK.findall(text))
    lengths = [len(word) for word in words]
    return [
        len(text),
        len(words),
        len(lines),
        len(lines[0]),
        len(question),
        len(question.split()),
        *_spread([len(line) for line in lines]),
        *_spread([len(body) for body in bodies]),
        len(options),
        digits,
        digits / size,
        sum(map(str.isupper, text)) / size,
        marks / size,
        *_spread(lengths)[:2],
        _spread(lengths)[3],
        sum(length > 8 for length in lengths) / count,
        len(set(tokens)) / max(1, len(tokens)),
        *(text.count(mark) for mark in "?,.;:_=('-%"),
        text.count('"') + text.count("\u201c"),
        sum(map(text.count, "+*/^<>|")),
        text.count("$") + text.count("\\"),
        text.count("```"),
        question.count("."),
        sum(bool(_DIGIT.search(word)) for word in words) / count,
        sum(word[:1].isupper() for word in words) / count,
        sum(body.endswith(".") for body in bodies),
        sum(bool(_NUMERIC.fullmatch(body)) for body in bodies),
        sum(body[:1].isupper() for body in bodies),
        " not " in lowered or "except" in lowered,
        any("above" in body for body in bodies),
        question.rstrip().endswith("?"),
        question.rstrip().endswith(":"),
        question.rstrip().endswith("."),
        '"' in question,
        len(_IDEOGRAPH.findall(text)) / size,
        1 - len(text.encode("ascii", "ignore")) / size if text else 0.0,
    ]


class Scale(msgspec.Struct, frozen=True):
    """Turns numbers into ranks among remembered ones, so that one huge prompt moves nothing."""

    quantiles: NDArray[np.float64]
    """A row for each quantile, a column for each number."""

    def ranks(self, rows: Sequence[Sequence[float]]) -> Floats:
        """As many rows and columns, each value from about -1.7 to 1.7."""
        given = np.asarray(rows, float)
        out = np.empty(given.shape, np.float32)
        for row, values in enumerate(given):
            # Halfway between both sides: ties, such as many zeros, land in the middle of their run.
            below, upto = (self.quantiles < values).sum(0), (self.quantiles <= values).sum(0)
            out[row] = (below + upto) / (2 * _STEPS) - 0.5
        return out * np.float32(SPREAD)


def scale(rows: Sequence[Sequence[float]]) -> Scale:
    """The scale of these rows."""
    return Scale(np.quantile(np.asarray(rows, float), np.linspace(0, 1, _STEPS), axis=0))
