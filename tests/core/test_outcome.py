"""core/outcome.py."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.core.outcome import Outcome


def test_it_is_a_value_that_travels() -> None:
    outcome = Outcome(
        request="req-1",
        route="ask",
        privacy="internal",
        near=0.25,
        far=1.0,
        propensity=0.02,
        score=None,
        served="near",
        trusted=True,
    )
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome


def test_whose_answer_was_served_is_one_of_two_words() -> None:
    with pytest.raises(msgspec.ValidationError, match="served"):
        msgspec.convert(
            {
                "request": "r",
                "route": "ask",
                "privacy": "public",
                "near": 1.0,
                "far": 1.0,
                "propensity": 1.0,
                "score": None,
                "served": "cloud",
                "trusted": True,
            },
            Outcome,
        )
