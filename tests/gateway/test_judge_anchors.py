"""gateway/judge_anchors.py: what a judge is tried on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearfar.gateway.judge_anchors import MOST, BadAnchors, digest, read, shipped

LINE = {"prompt": "p", "better": "b", "worse": "w"}


def test_those_that_come_along() -> None:
    found = shipped()
    assert len(found) == 12
    assert sum(any("\u3400" <= letter <= "\u9fff" for letter in item.prompt) for item in found) == 6
    assert all(item.prompt and item.better != item.worse for item in found)
    longer = sum(len(item.worse) > len(item.better) for item in found)
    assert max(longer, 12 - longer) / 12 < 0.8, "a judge that goes by length must not pass"


def test_the_owners_own(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    lines = [json.dumps(LINE | {"prompt": str(number)}) for number in range(5)]
    path.write_text("\n\n".join(lines))
    found = read(path)
    assert [item.prompt for item in found] == ["0", "1", "2", "3", "4"]
    assert digest(found) == digest(read(path)) != digest(shipped())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "0 anchors"),
        (json.dumps(LINE), "1 anchors"),
        ("\n".join([json.dumps(LINE)] * (MOST + 1)), "201 anchors"),
        ('{"prompt": "p"}', "line 1"),
        ("x", "line 1"),
        (json.dumps(LINE | {"score": 1}), "unknown field"),
        (json.dumps(LINE | {"worse": "b"}), "two different"),
        (json.dumps(LINE | {"better": ""}), "three texts"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "anchors.jsonl"
    path.write_text(text)
    with pytest.raises(BadAnchors, match=match):
        read(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadAnchors, match="cannot be read"):
        read(tmp_path / "none")
