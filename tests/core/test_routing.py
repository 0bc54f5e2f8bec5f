"""Values of a decision: what they say in one line."""

from __future__ import annotations

from nearfar.core.places import Class
from nearfar.core.routing import Reason


def test_a_reason_is_one_line() -> None:
    assert Reason(class_=Class.PUBLIC, source="route").text == "route"
    assert Reason(class_=Class.RESTRICTED, source="found", detail="email × 2").text == "found: email × 2"
