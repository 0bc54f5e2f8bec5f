"""Questions: what follows from what was said."""

from __future__ import annotations

from typing import Any

import pytest
from tests.advisor.cases import case


@pytest.mark.parametrize(
    ("said", "near_only"),
    [
        ({}, False),
        ({"stay": True}, True),
        ({"offline": True}, True),
        ({"work": {"private_share": 1.0}}, True),
        ({"work": {"private_share": 0.99}}, False),
    ],
)
def test_when_no_cloud_may_be_asked(said: dict[str, Any], near_only: bool) -> None:
    assert case(**said).question.near_only is near_only


def test_context_has_room_for_calls_twice_as_long_as_the_mean() -> None:
    assert case(work={"input": 100, "output": 10}).question.context == 4096
    assert case(work={"input": 30_000, "output": 1000, "reasoning": 500}).question.context == 63_000
