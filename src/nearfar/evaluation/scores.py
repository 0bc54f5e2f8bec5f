"""Scores an answer against the right one: words, numbers, choices, in English and Chinese. It runs nothing."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Final, Literal

import msgspec

from nearfar.evaluation.prompts import Prompt
from nearfar.policy.cascade_answers import Kind, read, same

Score = Literal["exact", "number", "choice", "code", "judge", "auto"]
SCORES: Final[tuple[Score, ...]] = ("exact", "number", "choice", "code", "judge", "auto")
CHOICES: Final = "ABCDEFGHIJ"

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_DIGITS = "零〇一二三四五六七八九"
_VALUES: Final = {char: max(0, at - 1) for at, char in enumerate(_DIGITS)} | {"兩": 2, "两": 2}
_SMALL: Final = {"十": 10, "百": 100, "千": 1000}
_LARGE: Final = {"萬": 10**4, "万": 10**4, "億": 10**8, "亿": 10**8, "兆": 10**12}
_HAN = "".join((*_VALUES, *_SMALL, *_LARGE))
_UNITS = "".join((*_SMALL, *_LARGE))
_PHRASE = re.compile(rf"(?:\d[\d,]*(?:\.\d+)?|[{_HAN}])(?:\s?(?:\d[\d,]*(?:\.\d+)?(?=\s?[{_UNITS}])|[{_HAN}]))*")
_TOKEN = re.compile(rf"\d[\d,]*(?:\.\d+)?|[{_HAN}]")
_SAID = re.compile(
    r"(?:####|final answer\s*(?:is|:)?|the answer is|answer\s*:|答案\s*(?:是|為|:)?)\s*([^\n]*)", re.IGNORECASE
)
_WIDE = re.compile(r"(?<=[\u3400-\u9fff\uf900-\ufaff]) | (?=[\u3400-\u9fff\uf900-\ufaff])")
_A_NUMBER = re.compile(r"[-+\u2212]?\s?(?:NT\$|US\$|[$€£¥])?\s?\d[\d,]*(?:\.\d+)?\s?%?")


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is worth."""

    how: str
    """How it was scored; empty where nothing says how."""
    value: float | None
    """From 0 to 1; None where it could not be scored."""


def plain(text: str) -> str:
    """An answer in one form: compatible characters made equal, and no thinking aloud before it."""
    return unicodedata.normalize("NFKC", _THOUGHT.sub("", text)).strip()


def how(prompt: Prompt, wanted: Score, *, judge: bool) -> Score | None:
    """How answers to ``prompt`` are scored; None where nothing is known to score them by. ``judge``: there is one."""
    if wanted != "auto":
        known = prompt.tests if wanted == "code" else judge if wanted == "judge" else prompt.answers
        return wanted if known else None
    if prompt.tests:
        return "code"
    if not prompt.answers:
        return "judge" if judge else None
    kind = prompt.answer_type or kind_of(prompt)
    return "number" if kind == "number" else "choice" if kind == "choice" else "exact"


def kind_of(prompt: Prompt) -> Kind:
    """The type of answer that the right ones are of, where the prompt does not say."""
    if prompt.answer_type is not None:
        return prompt.answer_type
    if prompt.tests:
        return "code"
    texts = [_final(text) for text in prompt.answers]
    if texts and all(len(text) == 1 and text.upper() in CHOICES for text in texts):
        return "choice"
    if texts and all(_A_NUMBER.fullmatch(text) or _PHRASE.fullmatch(text) for text in texts):
        return "number"
    return "text"


def right(answer: str, prompt: Prompt, score: Score) -> bool:
    """Whether ``answer`` is one of the right ones, by ``exact``, ``number`` or ``choice``."""
    if score == "number":
        said = number(answer)
        return any(same(said, number(wanted), "number") for wanted in prompt.answers)
    if score == "choice":
        letter = choice(answer)
        return letter is not None and any(letter == choice(wanted) for wanted in prompt.answers)
    kind = kind_of(prompt)
    if kind in {"literal", "json"}:
        found = read(plain(answer), kind)
        return found is not None and any(found == read(plain(wanted), kind) for wanted in prompt.answers)
    forms = {_exact(answer), _exact(_said(plain(answer)))} - {None}
    return any(_exact(_final(wanted)) in forms for wanted in prompt.answers)


def number(text: str) -> str | None:
    """The last number, or the one that is said to be the answer; Chinese numerals and units count too."""
    text = plain(text)
    part = _said(text)
    for piece in (part, text) if part else (text,):
        counted = _counted(piece, every=not any(char.isdigit() for char in piece))
        if (found := read(counted, "number")) is not None:
            return found
    return None


def choice(text: str) -> str | None:
    """The letter that was chosen, A to J."""
    letter = read(plain(text), "choice")
    return letter if letter is not None and letter in CHOICES else None


def _final(wanted: str) -> str:
    """A right answer as data sets write it: worked out, with what counts after ``####``."""
    return plain(wanted).rpartition("####")[2].strip()


def _said(text: str) -> str:
    found = _SAID.findall(text)
    return str(found[-1]).strip() if found else ""


def _exact(text: str) -> str | None:
    """Words alone: no punctuation, no case, and no spaces beside Chinese."""
    words = " ".join(re.findall(r"[-+]?\d[\d,]*(?:\.\d+)?%?|[^\W\d_]+|\d+", plain(text).casefold()))
    return _WIDE.sub("", words) or None


def _counted(text: str, *, every: bool) -> str:
    """``text`` with Chinese numerals as digits. ``every``: also single ones; else only those with a unit."""

    def digits(match: re.Match[str]) -> str:
        phrase = match[0]
        tokens = _TOKEN.findall(phrase)
        has_digit = any(token[0].isdigit() or token in _VALUES for token in tokens) or phrase[0] == "十"
        arabic = tokens[0][0].isdigit()
        if not has_digit or (arabic and len(tokens) == 1):
            return phrase
        if not every and not (arabic or (len(tokens) > 1 and any(token in _UNITS for token in tokens))):
            return phrase
        return f" {value(tokens):f} "

    return _PHRASE.sub(digits, text)


def value(tokens: list[str]) -> Decimal:
    """The number that digits and units say: 三萬五千, 3.5 億, 二〇二六, and 三萬五 as people mean it."""
    total = section = Decimal(0)
    current: Decimal | None = None
    unit = 0
    spelt = False
    for token in tokens:
        if token[0].isdigit():
            current, spelt = Decimal(token.replace(",", "")), False
        elif token in _VALUES:
            digit = Decimal(_VALUES[token])
            current = digit if current is None or not spelt else current * 10 + digit
            spelt, unit = True, 0 if not digit else unit
        elif token in _SMALL:
            section += (Decimal(1) if current is None else current) * _SMALL[token]
            current, unit = None, _SMALL[token]
        else:
            section += current or 0
            if section:
                total += section * _LARGE[token]
            else:
                total *= _LARGE[token]
            section, current, unit = Decimal(0), None, _LARGE[token]
    if current is not None:
        # 三萬五 is 35,000, and 兩百五 is 250; 十五 is fifteen, and 三萬零五 says its zero.
        section += current * unit / 10 if spelt and unit > 10 and current < 10 else current
    return total + section
