"""Whoever keeps nothing has no part of it; whoever does has a judge, anchors, and the purse of shadows."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from tests import running
from tests.parts.built import FAR, gateway, loaded

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.gateway.judge_anchors import BadAnchors
from nearfar.parts.learning import anchors, labels
from nearfar.store.labels_schema import Selection

BOTH = FAR + running.far("other", "http://127.0.0.1:1")
ROUTE = BOTH + "[routes.r]\ndeployments = ['far', 'other']\nstrategy = 'shadow'\n"
SHADOW = ROUTE + "shadow = { deployment = 'far', share = 0.5 }\n"


@pytest.mark.parametrize(
    "config",
    [
        SHADOW,
        SHADOW + "[learning]\njudge = 'other'\n",
        BOTH + "[routes.r]\ndeployments = ['far', 'other']\n[learning]\nkeep = ['public']\n",
    ],
    ids=["nothing said", "no class named", "nobody is asked twice"],
)
def test_nothing_is_kept_for_nobody(tmp_path: Path, config: str) -> None:
    settings = loaded(tmp_path, config)
    with gateway(settings) as made:
        assert made._learner is None
        if made._shadows is not None:
            assert made._shadows._learner is None
    assert not list(tmp_path.rglob("learning.key"))


def test_a_judge_shares_the_purse_of_shadows(tmp_path: Path) -> None:
    more = "[learning]\nkeep = ['public', 'internal']\njudge = 'other'\nagreement = 0.7\n"
    with gateway(loaded(tmp_path, SHADOW + more)) as made:
        learner, shadows = made._learner, made._shadows
        assert learner is not None
        assert shadows is not None
        assert shadows._learner is learner
        assert learner._keep == {Class.PUBLIC, Class.INTERNAL}
        judging = learner.judging
        assert judging is not None
        assert judging._judge._purse is shadows._purse
        assert (judging._floor, len(judging._anchors), judging._anchors_class) == (0.7, 12, Class.PUBLIC)
    (key,) = tmp_path.rglob("learning.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.parametrize(("detect", "looks"), [("", True), ("detect = true", True), ("detect = false", False)])
def test_what_would_be_kept_is_looked_at_whatever_the_policy_wants(tmp_path: Path, detect: str, looks: bool) -> None:
    config = f"{SHADOW}[policy]\n{detect}\n[learning]\nkeep = ['public']\njudge = 'other'\n"
    with gateway(loaded(tmp_path, config)) as made:
        learner = made._learner
        assert learner is not None
        assert learner.judging is not None
        assert (learner._guard is not None) is looks
        assert learner.judging._judge._guard is learner._guard
        assert (made.pipeline._guard is not None) is (detect == "detect = true")


def test_without_a_judge_comparing_goes_on(tmp_path: Path) -> None:
    for more in ("", "judge = 'other'\nshare_judged = 0.0\n"):
        with gateway(loaded(tmp_path, SHADOW + f"[learning]\nkeep = ['public']\n{more}")) as made:
            assert made._learner is not None
            assert made._learner.judging is None


def test_a_cascade_is_learned_from_too(tmp_path: Path) -> None:
    config = SHADOW.replace("'shadow'\n", "'cascade'\n") + "[learning]\nkeep = ['public']\n"
    with gateway(loaded(tmp_path, config)) as made:
        assert made._learner is not None
        assert made.pipeline._attempts._learner is made._learner  # type: ignore[attr-defined]  # it is a Cascades


def test_the_owners_anchors_count_as_internal(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": str(n), "better": "b", "worse": "w"}) for n in range(6)))
    found, class_ = anchors(str(path))
    assert (len(found), class_) == (6, Class.INTERNAL)
    path.write_text("x")
    with pytest.raises(BadAnchors):
        anchors(str(path))


def test_a_key_may_come_from_elsewhere(tmp_path: Path) -> None:
    key = os.urandom(32).hex()
    settings = loaded(tmp_path, '[learning]\nkey = "env:LEARNING"\n', environ={"LEARNING": key})
    settings.folders.state.mkdir(parents=True, exist_ok=True)
    first, second = labels(settings, settings.ledger_url), labels(settings, settings.ledger_url)
    assert first.hashed("caller", "a") == second.hashed("caller", "a")
    assert list(first.selected(Selection())) == []
    first.close()
    second.close()
    with pytest.raises(StoreUnavailable, match=r"learning\.key"):
        labels(loaded(tmp_path, '[learning]\nkey = "env:LEARNING"\n', environ={"LEARNING": "short"}), "sqlite:///x")
