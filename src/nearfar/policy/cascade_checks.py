"""Checks an answer without knowing the right one: arithmetic, refusal, schema, code. It runs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

_SUM = re.compile(
    r"([-\d\s,.$€£%x\u00d7\u00f7\u2212+*/()]{3,120})=\s*([-\u2212]?\s?[$€£]?\s?\d[\d,]*(?:\.\d+)?%?)", re.ASCII
)
_MARKED = re.compile(r"<<([^<>=]{1,80})=([^<>=]{1,30})>>")
_TOKEN = re.compile(r"\d+(?:\.\d+)?%?|[-+*/()]|\S")
_CLAUSE = re.compile(r"[.,]\s")
_OPERATORS = frozenset("+-*/")
_SPELT = {ord("x"): "*", 0xD7: "*", 0xF7: "/", 0x2212: "-"} | dict.fromkeys(map(ord, "$€£"), " ")
_LONGEST = 20_000
_SUMS = 200
_DEPTH = 20
_SLACK: Final = 0.01
"""Relative error up to which a result counts as rounded."""
_REFUSALS = re.compile(
    r"^\W*(?:i(?:['\u2019]m| am) (?:sorry|unable|not able)|sorry,|as an? (?:ai|language model)|unfortunately,? i "
    r"|i (?:cannot|can['\u2019]t|won['\u2019]t|do not|don['\u2019]t) "
    r"(?:help|assist|answer|provide|comply|know|have (?:access|enough|the))"
    r"|抱歉|很抱歉|對不起|我無法|我不能|無法(?:回答|提供|協助)|作為(?:一個)?(?:ai|人工智慧|語言模型))",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```(\w*)[^\n]*\n(.*?)(```|\Z)", re.DOTALL)


def slips(text: str) -> tuple[int, int]:
    """(sums that could be checked, sums that are wrong) among ``a op b = c`` in ``text``."""
    text = text[:_LONGEST]
    checked = wrong = 0
    # Each found sum costs a little, and a long answer may hold thousands.
    for left, right in [*_MARKED.findall(text)[:_SUMS], *_SUM.findall(_MARKED.sub("", text))[:_SUMS]]:
        value, said = _evaluate(left), _evaluate(right)
        if value is None or said is None or not _OPERATORS & set(left.translate(_SPELT).strip()[1:]):
            continue
        checked += 1
        wrong += abs(value - said) > _SLACK * max(1.0, abs(value))
    return checked, wrong


def _evaluate(text: str) -> float | None:
    """The value of the arithmetic that ``text`` ends with."""
    plain = _CLAUSE.split(text.translate(_SPELT))[-1].replace(",", "")
    tokens: list[str] = []
    for found in _TOKEN.findall(plain):
        if tokens and found[0].isdigit() and tokens[-1][0].isdigit():
            tokens.clear()  # a number that stands before the sum belongs to the sentence
        tokens.append(found)
    if not tokens:
        return None
    try:
        value, rest = _sum(tokens, 0, 0)
    except (IndexError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if rest == len(tokens) else None


def _sum(tokens: list[str], at: int, depth: int) -> tuple[float, int]:
    value, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "+-":
        term, after = _product(tokens, at + 1, depth)
        value, at = (value + term if tokens[at] == "+" else value - term), after
    return value, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[float, int]:
    value, at = _factor(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "*/":
        term, after = _factor(tokens, at + 1, depth)
        value, at = (value * term if tokens[at] == "*" else value / term), after
    return value, at


def _factor(tokens: list[str], at: int, depth: int) -> tuple[float, int]:
    if depth > _DEPTH:
        raise ValueError
    part = tokens[at]
    if part == "-":
        value, at = _factor(tokens, at + 1, depth + 1)
        return -value, at
    if part == "(":
        value, at = _sum(tokens, at + 1, depth + 1)
        if tokens[at] != ")":
            raise ValueError
        return value, at + 1
    return (float(part[:-1]) / 100 if part.endswith("%") else float(part)), at + 1


def refuses(text: str) -> bool:
    """Whether the answer begins as refusals do, in English or Chinese."""
    return bool(_REFUSALS.match(text[:200].strip()))


def python(text: str) -> bool | None:
    """Whether every Python block of the answer parses; None where there is none. Nothing is run."""
    import ast

    blocks = [body for name, body, _ in _FENCE.findall(text[:_LONGEST]) if name.lower() in {"python", "py", "python3"}]
    if not blocks:
        return None
    try:
        for block in blocks:
            ast.parse(block)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def fits(text: str, schema: Mapping[str, object]) -> bool:
    """Whether the answer is JSON of this schema, as far as types, required members, items and listed values go."""
    body = text.strip()
    fenced = _FENCE.fullmatch(body)
    try:
        value = json.loads(fenced[2] if fenced else body)
    except (ValueError, RecursionError):
        return False
    return _fits(value, schema, 0)


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def _fits(value: object, schema: object, depth: int) -> bool:
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return True  # what cannot be checked is not held against the answer
    wanted = schema.get("type")
    names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    if names and not any(_is(value, name) for name in names):
        return False
    listed = schema.get("enum")
    if isinstance(listed, list) and value not in listed:
        return False
    if isinstance(value, dict):
        required = schema.get("required")
        if isinstance(required, list) and not all(name in value for name in required):
            return False
        members = schema.get("properties")
        if isinstance(members, Mapping):
            return all(_fits(value[name], part, depth + 1) for name, part in members.items() if name in value)
    if isinstance(value, list):
        return all(_fits(item, schema.get("items"), depth + 1) for item in value)
    return True


def _is(value: object, name: object) -> bool:
    if isinstance(value, bool) and name != "boolean":
        return False  # Python counts true as a number
    return isinstance(value, _TYPES.get(str(name), (object,)))
