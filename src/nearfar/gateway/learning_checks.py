"""What two answers are worth where comparing them is enough: by value, by schema, by whether code parses. Pure.

What it cannot tell is left to a judge. Numbers, choices and values that differ count against the near answer: the far
one is taken as the reference, which never makes near look better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from nearfar.policy.cascade import Answer, Signals, look
from nearfar.policy.cascade_answers import Kind, same

Worth = tuple[float, float]
"""Near, far; 0 to 1."""
EQUAL: Worth = (1.0, 1.0)
_VALUES = frozenset({"number", "choice", "literal"})


def compared(near: Answer, far: Answer, kind: Kind, schema: Mapping[str, object] | None = None) -> Worth | None:
    """What both are worth; None where that takes a judge."""
    one, other = (look(answer, kind, schema=None if schema is None else dict(schema)) for answer in (near, far))
    if kind in _VALUES:
        return _values(one, other, kind)
    if kind == "json":
        return _forms(one.form and not one.cut, other.form and not other.cut, one, other, kind)
    if kind == "code" and one.code is not None and other.code is not None:
        return _forms(one.code, other.code, one, other, kind)
    return EQUAL if one.answer is not None and one.answer == other.answer else None


def _values(one: Signals, other: Signals, kind: Kind) -> Worth | None:
    if other.answer is None or other.cut or other.refused:
        return None  # it can be no reference
    if one.cut or one.refused:
        return (0.0, 1.0)
    return EQUAL if same(one.answer, other.answer, kind) else (0.0, 1.0)


def _forms(near: bool, far: bool, one: Signals, other: Signals, kind: Kind) -> Worth | None:
    if near and far:
        return EQUAL if same(one.answer, other.answer, kind) else None
    return (float(near), float(far))
