"""``nearfar router labels``: what was scored, in the form that fit reads, for its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from tests.cli.conftest import Cli
from tests.cli.pairs import JUDGED, pair, stored

from nearfar.store.labels_judges import Judge
from nearfar.store.labels_scores import Scores
from nearfar.tuning import labels as tuning


def test_what_was_scored_is_what_fit_reads(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
        labels.put(pair(2))
        labels.put(pair(3, route="other"), Scores(near=1.0, far=1.0, judge="checks"))
    out = cli.home / "labels.jsonl"
    told = cli("router", "labels", "--out", str(out), "--json")
    assert told.json == {
        "file": str(out),
        "labels": 2,
        "left_out": {"waiting": 1, "untrusted": 0, "uneven": 0},
    }
    assert "IN THE CLEAR" in told.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    found = tuning.read(out)
    assert found.unused == []
    first, second = found.labels
    assert (first.prompt, first.local.score, first.cloud.score, first.task) == ("prompt 1", 0.4, 0.9, "main")
    assert (first.local.answer, first.cloud.answer, first.answer_type) == ("near", "far", "text")
    assert second.task == "other"
    with stored(cli) as labels:
        assert labels.files() == [str(out)]


def test_what_somebody_else_laid_there_is_not_written_to(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
    out, theirs = cli.home / "labels.jsonl", cli.home / "theirs"
    (cli.home / f".labels.jsonl.{os.getpid()}.new").symlink_to(theirs)
    told = cli("router", "labels", "--out", str(out))
    assert told.code == 2
    assert "is in the way" in told.err
    assert not theirs.exists()
    assert not out.exists()


def test_one_route(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
        labels.put(pair(2, route="other"), JUDGED)
    out = cli.home / "labels.jsonl"
    assert cli("router", "labels", "--out", str(out), "--route", "other", "-q").out == "1\n"
    assert [label.prompt for label in tuning.read(out).labels] == ["prompt 2"]


def test_what_a_judge_said_that_is_not_trusted_is_left_out(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
        labels.tried(Judge(judge="third", at=1, agreement=0.2, pairs=12, trusted=False, anchors="x"))
    out = cli.home / "labels.jsonl"
    told = cli("router", "labels", "--out", str(out))
    assert "no labels" in told.out
    assert "1 are by a judge that is not trusted" in told.err
    assert not out.exists()


def test_all_had_the_same_chance_unless_told_otherwise(cli: Cli) -> None:
    with stored(cli) as labels:
        for number in range(300):
            labels.put(pair(number, propensity=0.1 if number % 3 == 0 else 1.0), JUDGED)
    out = cli.home / "labels.jsonl"
    told = cli("router", "labels", "--out", str(out))
    kept = [int(label.id[4:]) for label in tuning.read(out).labels]
    assert sum(number % 3 == 0 for number in kept) == 100, "the rarest stay"
    assert 5 <= sum(number % 3 != 0 for number in kept) <= 40
    assert "same chance" in told.err
    again = out.read_bytes()
    cli("router", "labels", "--out", str(out))
    assert out.read_bytes() == again
    assert cli("router", "labels", "--out", str(out), "--every", "-q").out == "300\n"


def test_nothing_was_ever_kept(cli: Cli) -> None:
    told = cli("router", "labels", "--out", str(cli.home / "labels.jsonl"))
    assert (told.code, told.out) == (0, "There are no labels to write.\n")
    assert not list(cli.home.rglob("*.db")), "looking makes no database"


def test_a_place_that_cannot_be_written_is_said(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
    told = cli("router", "labels", "--out", str(cli.home / "none" / "labels.jsonl"))
    assert told.code == 2
    assert "cannot be written" in told.err


@pytest.mark.slow
def test_a_router_can_be_fitted_from_them(cli: Cli, tmp_path: Path) -> None:
    with stored(cli) as labels:
        for number in range(40):
            scores = Scores(near=float(number % 2), far=1.0, judge="checks")
            content = msgspec.structs.replace(
                pair(number).content, prompt=f"{'sum' if number % 2 else 'poem'} {number}"
            )
            labels.put(pair(number, content=content), scores)
    out = tmp_path / "labels.jsonl"
    cli("router", "labels", "--out", str(out))
    assert cli("router", "fit", "--labels", str(out), "--out", str(tmp_path / "r"), "--json").json["labels"] == 40
