"""Lines are read strictly, and a bad one is named by its number."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.tuning import made

from nearfar.tuning import labels
from nearfar.tuning.labels import BadLabels

GOOD = '{"id": "1", "prompt": "p", "local": {"score": 1}, "cloud": {"score": 0.5, "cost": 2}, "answer_type": "text"}'


def write(path: Path, *lines: str) -> Path:
    file = path / "labels.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    wanted = made.labels(5, answers=True)
    file = write(tmp_path, *(msgspec.json.encode(item).decode() for item in wanted), "")
    found = labels.read(file)
    assert found.labels == wanted
    assert found.unused == []
    assert [item.id for item in labels.prompts(file)] == [item.id for item in wanted]


def test_unknown_keys_are_named_and_nulls_taken(tmp_path: Path) -> None:
    line = GOOD.replace('"id"', '"subject": "x", "task": null, "id"').replace('"score": 1', '"score": true')
    found = labels.read(write(tmp_path, line))
    assert found.unused == ["subject"]
    assert found.labels[0].local.score == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "Line 2"),
        ("[]", "Line 2: Expected `object`"),
        (GOOD.replace('"id": "1", ', ""), "missing required field `id`"),
        (GOOD.replace('"score": 0.5', '"score": 1.5'), "cloud.score is 1.5"),
        (GOOD.replace('"score": 0.5', '"score": "x"'), r"\$.cloud.score"),
        (GOOD.replace('"cost": 2', '"cost": -2'), "cost is negative"),
        (GOOD.replace('"text"', '"essay"'), "answer_type"),
        (GOOD.replace('"p"', '""'), "must not be empty"),
        (GOOD.replace('{"score": 1}', '{"score": 1, "logprobs": [0.5]}'), "no log-probability"),
        (GOOD.replace('{"score": 1}', '{"score": 1, "length": -1}'), "local.length is -1"),
        (GOOD.replace('"p"', '"p", "opinions": [{"model": "m"}, {"model": "m"}]'), "two opinions"),
        (GOOD, "was used in line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(BadLabels, match=told) as caught:
        labels.read(write(tmp_path, GOOD, line))
    assert caught.value.line == 2


def test_files_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadLabels, match="holds no labels"):
        labels.read(write(tmp_path, ""))
    with pytest.raises(BadLabels, match="holds no prompts"):
        labels.prompts(write(tmp_path, ""))
    with pytest.raises(BadLabels, match="cannot be read"):
        labels.read(tmp_path / "absent")


def test_embeddings_have_one_size(tmp_path: Path) -> None:
    one, other = (GOOD.replace('"1"', f'"{at}", "embedding": {[0.5] * at}') for at in (1, 2))
    with pytest.raises(BadLabels, match="different sizes"):
        labels.read(write(tmp_path, one, other))
