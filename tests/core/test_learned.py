"""What a router says is a value: frozen, and whole."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.core.learned import Gain, Standing


def test_they_are_values() -> None:
    said = Gain(gap=0.1, novel=False, trusted=True)
    with pytest.raises(AttributeError):
        said.gap = 0.2  # type: ignore[misc]  # that it cannot be set is the point
    assert msgspec.convert(msgspec.to_builtins(said), Gain) == said


def test_a_standing_begins_without_evidence() -> None:
    begun = Standing(
        route="r", mode="observe", share=0.0, labels=10, trusted=False, threshold=0.1, begun=0.1, recommended="observe"
    )
    assert (begun.seen, begun.evidence, begun.alarms, begun.loss, begun.lost) == (0, 1.0, 0, None, None)
