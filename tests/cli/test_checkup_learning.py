"""What the doctor says of what is kept to learn from, and of its judge."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.pairs import JUDGED, pair, stored

from nearfar.cli.checkup import Check
from nearfar.cli.checkup_learning import learning
from nearfar.gateway.judge_anchors import BadAnchors
from nearfar.settings.load import load
from nearfar.store.labels_judges import Judge

DEPLOYMENTS = "".join(
    f"""
[deployments.{name}]
provider = "openai-compatible"
model = "m"
base_url = "http://127.0.0.1:{port}/v1"
"""
    for port, name in enumerate(("near", "far", "third"), 1)
)
SHADOW = """
[routes.main]
deployments = ["near", "far"]
strategy = "shadow"
shadow = { deployment = "far", share = 0.02 }
"""


def checked(cli: Cli, text: str) -> list[Check]:
    path = cli.write(DEPLOYMENTS + text)
    return list(learning(load(config=Path(path), environ=cli.environ)))


def test_who_keeps_nothing_hears_nothing(cli: Cli) -> None:
    assert checked(cli, SHADOW) == []
    assert not list(cli.home.rglob("*.db"))


def test_what_was_kept_once_is_told(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1))
    (check,) = checked(cli, SHADOW)
    assert check.state == "warn"
    assert "1 pairs, 1 wait for a judge, and learning.keep is empty" in check.detail
    assert "nearfar router forget --all" in check.next


def test_without_a_judge(cli: Cli) -> None:
    first, second = checked(cli, f'{SHADOW}\n[learning]\nkeep = ["public", "internal"]\nretention_days = 7')
    assert (first.state, first.detail) == ("ok", "public and internal kept for 7 days; 0 pairs")
    assert (second.name, second.state) == ("judge", "ok")
    assert "comparing" in second.detail


def test_nobody_asks_twice(cli: Cli) -> None:
    checks = checked(cli, '\n[learning]\nkeep = ["public"]')
    assert [check.state for check in checks] == ["ok", "warn", "ok"]
    assert "shadow = " in checks[1].next


@pytest.mark.parametrize("trusted", [True, False])
def test_a_judge_and_how_it_did(cli: Cli, trusted: bool) -> None:
    text = f'{SHADOW}\n[learning]\nkeep = ["public"]\njudge = "third"'
    assert "not tried" in checked(cli, text)[1].detail
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
        labels.tried(
            Judge(judge="third", at=1_790_000_000, agreement=0.5, pairs=12, trusted=trusted, anchors="x"),
        )
    first, second = checked(cli, text)
    assert second.detail.startswith("third agreed with 50% of 12 anchors on 2026-09-21")
    assert second.state == ("ok" if trusted else "warn")
    assert ("NOT USED" in second.detail) is not trusted
    assert ("1 scored by one that is not trusted" in first.detail) is not trusted


@pytest.mark.parametrize("judge", ["near", "main"])
def test_a_judge_in_its_own_cause(cli: Cli, judge: str) -> None:
    checks = checked(cli, f'{SHADOW}\n[learning]\nkeep = ["public"]\njudge = "{judge}"')
    assert checks[-1].state == "warn"
    assert "its own answers" in checks[-1].detail


def test_anchors_that_are_none(cli: Cli) -> None:
    path = cli.home / "anchors.jsonl"
    path.write_text("{}")
    with pytest.raises(BadAnchors, match="line 1"):
        checked(cli, f'{SHADOW}\n[learning]\nkeep = ["public"]\njudge = "third"\nanchors = "{path}"')


def test_content_that_nobody_looks_at(cli: Cli) -> None:
    checks = checked(cli, f'{SHADOW}\n[policy]\ndetect = false\n[learning]\nkeep = ["public"]')
    assert [check.state for check in checks] == ["ok", "warn", "ok"]
    assert "policy.detect" in checks[1].detail
