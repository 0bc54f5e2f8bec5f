"""What counts as a promise kept: judged on replies that did not keep it."""

from __future__ import annotations

from typing import Any

import pytest

from nearfar.cli import demo_scenes
from nearfar.cli.demo_stage import Reply


def reply(**fields: Any) -> Reply:
    values = {"headers": {"x-nearfar-place": "device"}, "text": "yes", "done": True, "error": "", "milliseconds": 1.0}
    return Reply(**{**values, **fields})


def test_a_whole_answer_from_the_right_place() -> None:
    assert demo_scenes._answered(reply(), "device") == ""


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"headers": {"x-nearfar-place": "cloud"}}, "ran at cloud"),
        ({"headers": {}}, "unknown place"),
        ({"text": ""}, "said nothing"),
        ({"done": False}, "end never came"),
        ({"error": "stream_cut"}, "stream_cut"),
    ],
)
def test_anything_else(fields: dict[str, Any], told: str) -> None:
    assert told in demo_scenes._answered(reply(**fields), "device")


def test_a_deviation_must_be_told() -> None:
    headers = {"x-nearfar-deviations": "dropped:seed, failover:near:engine_error"}
    assert demo_scenes._deviates(reply(headers=headers), "failover:near:") == ""
    assert "was not told" in demo_scenes._deviates(reply(), "failover:near:")


def test_the_long_question_is_long_and_the_easy_one_is_not() -> None:
    assert len(demo_scenes.LONG) > 4 * 1024
    assert len(demo_scenes.EASY) < 50
    assert demo_scenes._beginning("word " * 100).endswith("…")
