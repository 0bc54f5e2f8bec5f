"""Reads the final answer out of a model's words and says whether two answers are the same, by type of answer.

It knows neither which answer is right nor who gave it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

Kind = Literal["number", "choice", "text", "literal", "json", "code"]
KINDS: Final[tuple[Kind, ...]] = ("number", "choice", "text", "literal", "json", "code")

WRONG_ANSWERS: Final[dict[Kind, int]] = {"number": 12, "choice": 10, "text": 12, "literal": 12, "json": 12, "code": 12}
"""How many answers models spread over in effect. Far fewer than are possible: they fall into the same traps."""

_LONGEST = 200_000
"""Characters that are read; an answer ends where it ends, so the last ones count."""
_NUMBER = re.compile(r"[-+\u2212]?\s?(?:[$€£¥]\s?)?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")
_MARKED = re.compile(
    r"(?:####|final answer\s*(?:is|:)?|the answer is|answer\s*:|答案(?:是|為|:|:)?)\s*([^\n]*)", re.IGNORECASE
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_CHOICE_SAID = re.compile(
    r"(?:answer\s*(?:is|:)|choose|choice\s*(?:is|:)|option|答案(?:是|為|:|:)?|選)\s*[:\uff1a]?\s*\**\(?([A-Za-z])\)?(?![A-Za-z])",
    re.IGNORECASE,
)
_CHOICE_FIRST = re.compile(r"\s*\**\(?([A-Za-z])(?:\)|[.:、]|\*\*|\s*$)")
_CHOICE_LAST = re.compile(r"(?<![A-Za-z'])\(?([A-Z])\)?(?![A-Za-z'])")
_FENCE = re.compile(r"```[\w+-]*\n(.*?)```", re.DOTALL)
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})
_SHORT = 6
"""Words up to which an answer is a name or a value, where one that contains the other says the same."""
_ALIKE = 0.7
"""Overlap of words (F1) from which two longer texts say the same."""


def read(text: str, kind: Kind) -> str | None:
    """The final answer in a form that can be compared, or None where none of this type can be read."""
    text = text[-_LONGEST:].strip()
    if not text:
        return None
    if kind == "number":
        return _number(text)
    if kind == "choice":
        return _choice(text)
    if kind == "literal":
        return _literal(text)
    if kind == "json":
        return _json(text)
    if kind == "code":
        return _code(text)
    return _text(text)


def same(one: str | None, other: str | None, kind: Kind) -> bool:
    """Whether two answers that ``read`` returned agree. What could not be read agrees with nothing."""
    if one is None or other is None:
        return False
    if one == other:
        return True
    if kind == "number":
        return _close(one, other)
    if kind != "text":
        return False
    left, right = one.split(), other.split()
    if min(len(left), len(right)) <= _SHORT:
        short, long = sorted((one, other), key=len)
        return len(left) <= 4 * _SHORT and len(right) <= 4 * _SHORT and f" {short} " in f" {long} "
    common = sum((Counter(left) & Counter(right)).values())
    return 2 * common / (len(left) + len(right)) >= _ALIKE


def _number(text: str) -> str | None:
    for part in (_last(_BOXED, text), _last(_MARKED, text)):
        if part and (found := _NUMBER.findall(part)):
            return _value(found[0])
    found = _NUMBER.findall(text)
    return _value(found[-1]) if found else None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return str(found[-1]) if found else None


def _value(text: str) -> str | None:
    plain = re.sub(r"[\s,$€£¥+]", "", text).replace("\u2212", "-")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > 60:
        return None
    return f"{value.normalize():f}" if value else "0"


def _close(one: str, other: str) -> bool:
    left, right = Decimal(one), Decimal(other)
    # Rounding is no disagreement: 33.33 and 33.3333 are the same answer, 33 and 34 are not.
    return abs(left - right) <= Decimal("0.0005") * max(abs(left), abs(right))


def _choice(text: str) -> str | None:
    boxed = _last(_BOXED, text)
    for part in (boxed, text):
        if part and (letter := _last(_CHOICE_SAID, part) or None):
            return letter.upper()
        if part and (first := _CHOICE_FIRST.match(part)):
            return first[1].upper()
    letters = [letter for letter in _CHOICE_LAST.findall(text) if letter not in "IA"] or _CHOICE_LAST.findall(text)
    return str(letters[-1]) if letters else None


def _literal(text: str) -> str | None:
    import ast

    part = _last(_FENCE, text) or _last(_BOXED, text) or text
    for candidate in (part.strip(), part.strip().splitlines()[-1].strip()):
        try:
            return repr(ast.literal_eval(candidate[:10_000]))
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return _text(part)


def _json(text: str) -> str | None:
    part = _last(_FENCE, text) or text
    try:
        return json.dumps(json.loads(part), sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _code(text: str) -> str | None:
    import ast

    part = _last(_FENCE, text) or text
    try:
        # Names and comments stay as they are: only layout is no difference.
        return ast.dump(ast.parse(part))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return " ".join(part.split()) or None


def _text(text: str) -> str | None:
    part = _last(_BOXED, text) or (_last(_MARKED, text) or "").strip() or text
    words = [word for word in _WORD.findall(part.casefold()) if word not in _ARTICLES]
    return " ".join(words) or None
