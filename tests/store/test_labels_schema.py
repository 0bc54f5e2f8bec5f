"""store/labels_schema.py: which rows somebody means."""

from __future__ import annotations

from nearfar.store.labels_schema import Selection, where


def hashed(kind: str, value: str) -> str:
    return f"{kind}:{value}"


def test_nothing_said_means_all() -> None:
    assert where(Selection(), hashed) == ("1 = 1", [])


def test_all_that_is_said_must_hold_and_names_are_hashed() -> None:
    condition, params = where(Selection(route="r", before=7, callers=("a", "b"), request="q"), hashed)
    assert condition == "1 = 1 AND route = ? AND created < ? AND caller IN (?, ?) AND request = ?"
    assert params == ["r", 7, "caller:a", "caller:b", "request:q"]


def test_nobody_is_not_everybody() -> None:
    assert where(Selection(callers=()), hashed) == ("1 = 1 AND 1 = 0", [])
