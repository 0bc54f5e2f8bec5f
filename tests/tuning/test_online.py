"""A router in use: it scores, and its promise is one for all processes and outlasts them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.tuning import made
from tests.tuning.test_promise import GOOD, outcome

from nearfar.core.errors import StoreUnavailable
from nearfar.core.learned import Learned
from nearfar.store import promises
from nearfar.store.connection import Connection
from nearfar.store.database import connect
from nearfar.tuning import router
from nearfar.tuning.certified import Certified
from nearfar.tuning.online import Online, Use
from nearfar.tuning.promise import ENOUGH

CERTIFIED = Certified(
    router="d",
    date="2026-11-22",
    threshold=0.1,
    loss=0.05,
    confidence=0.9,
    pairs=300,
    bound=0.049,
    observed=0.02,
    local_share=0.3,
)
USE = Use(route="r", mode="canary", share=0.05, threshold=0.1, certified=CERTIFIED, digest="d")
EASY, HARD = "What about the cat dog bird fish, number 3 of 4?", "What about the matrix lemma proof tensor, number 3?"


@pytest.fixture(scope="module")
def fitted() -> router.Router:
    labels = made.labels(240)
    return router.fit([item.prompt for item in labels], [item.cloud.score - item.local.score for item in labels])


@pytest.fixture
def opening(tmp_path: Path) -> Callable[[], Connection]:
    return lambda: connect(f"sqlite:///{tmp_path / 'state.db'}")


def test_it_scores_prompts(fitted: router.Router) -> None:
    used: Learned = Online(fitted, USE, lambda: None)
    easy, hard = used.expect(EASY), used.expect(HARD)
    assert easy.gap < used.expect(HARD).gap
    assert hard.trusted
    assert used.expect("völlig anderes Zeug über Suppenküchen").novel
    assert used.embeds == 0
    assert used.threshold == 0.1


def test_what_one_process_hears_all_know_and_remember(fitted: router.Router, opening: Callable[[], Connection]) -> None:
    one, other = (Online(fitted, USE, opening, clock=lambda: 1_000_000.0) for _ in range(2))
    alarms = [one.hear(outcome(near=0.0, score=0.05)) for _ in range(40)]
    assert alarms.count(True) == 1
    assert one.threshold is None, "all that stayed near lost"
    assert other.threshold == 0.1, "not looked yet"
    other.refresh()
    assert other.threshold is None
    assert other.standing() == one.standing()
    again = Online(fitted, USE, opening)
    again.refresh()
    standing = again.standing()
    assert (standing.alarms, standing.alarmed, standing.recommended) == (1, "1970-01-12T13:46:40+00:00", "observe")
    assert (standing.begun, standing.threshold, standing.loss, standing.share) == (0.1, None, 0.05, 0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "e"},
        {"certified": msgspec.structs.replace(CERTIFIED, loss=0.1)},
        {"threshold": 0.2, "certified": None},
        {"route": "q"},
    ],
)
def test_another_promise_begins_anew(
    fitted: router.Router, opening: Callable[[], Connection], change: dict[str, object]
) -> None:
    one = Online(fitted, USE, opening)
    assert not one.hear(GOOD)
    other = Online(fitted, msgspec.structs.replace(USE, **change), opening)
    other.refresh()
    assert other.standing().seen == 0
    one.refresh()
    assert one.standing().seen == 1


def test_evidence_goes_with_the_promise_and_not_with_the_mode(
    fitted: router.Router, opening: Callable[[], Connection]
) -> None:
    watching = Online(fitted, msgspec.structs.replace(USE, mode="observe"), opening)
    for _ in range(ENOUGH):
        watching.hear(GOOD)
    assert watching.standing().recommended == "canary"
    canary = Online(fitted, USE, opening)
    canary.refresh()
    assert canary.standing().recommended == "on"


def test_where_nothing_is_promised_it_only_counts(fitted: router.Router, opening: Callable[[], Connection]) -> None:
    used = Online(fitted, msgspec.structs.replace(USE, certified=None), opening)
    assert not any(used.hear(outcome(near=0.0)) for _ in range(30))
    standing = used.standing()
    assert (standing.loss, standing.alarm_at, standing.lost, standing.threshold) == (None, 0.0, 1.0, 0.1)


def test_outcomes_that_say_nothing_are_not_written(fitted: router.Router) -> None:
    def never() -> Connection:
        raise AssertionError("nobody asked the database")

    assert not Online(fitted, USE, never).hear(outcome(score=None))


def test_without_a_database_it_stands_as_certified(fitted: router.Router) -> None:
    used = Online(fitted, USE, lambda: None)
    used.refresh()
    assert not used.hear(GOOD)
    assert used.standing().seen == 0


def test_what_cannot_be_read_is_an_error_with_a_next_step(
    fitted: router.Router, opening: Callable[[], Connection]
) -> None:
    used = Online(fitted, USE, opening)
    used.hear(GOOD)
    with closing(opening()) as connection:
        subject = connection.rows("SELECT subject FROM nearfar_promises")[0][0]
        promises.change(connection, "r", subject, lambda _: '{"newer": 1}')
    with pytest.raises(StoreUnavailable, match="cannot be read") as caught:
        used.refresh()
    assert (caught.value.code, "upgrade" in caught.value.hint) == ("promise_unreadable", True)
