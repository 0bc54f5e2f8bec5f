"""Kept pairs of answers, on both databases: encrypted, for a while, scored once, and gone when they are forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.store.cipher import Cipher
from nearfar.store.database import connect
from nearfar.store.labels import CLAIM_SECONDS, Content, Labels, Pair, Side
from nearfar.store.labels_judges import Judge, counted
from nearfar.store.labels_schema import MIGRATIONS, Selection
from nearfar.store.labels_scores import Scores

KEY = os.urandom(32)
SECRET = "the harbour opens at dawn"
NOW = 1_790_000_000
DAY = 24 * 60 * 60
ALL = Selection()


class Clock:
    """Time that stands until it is moved."""

    now = float(NOW)

    def __call__(self) -> float:
        return self.now


def opened(url: str, clock: Clock, *, key: bytes = KEY) -> Labels:
    return Labels(url, Cipher(key), key, keep_seconds=30 * DAY, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def labels(database_url: str, clock: Clock) -> Iterator[Labels]:
    made = opened(database_url, clock)
    yield made
    made.close()


def pair(id_: str = "lbl_1", *, text: str = SECRET, **more: Any) -> Pair:
    request = more.pop("request", f"req_{id_}")
    values: dict[str, Any] = {
        "id": id_,
        "route": "main",
        "class_": Class.INTERNAL,
        "propensity": 0.02,
        "expected": 0.1,
        "served": "near",
        "caller": "key_a",
        "content": Content(
            request=request,
            parent="att_1",
            attempts=2,
            prompt=f"When? {text}",
            conversation=f"When, then? {text}",
            near=Side(deployment="small", text=f"near {text}"),
            far=Side(deployment="large", text=f"far {text}"),
            kind="text",
        ),
    }
    return Pair(**(values | more))


JUDGED = Scores(near=0.4, far=0.9, judge="third")


def test_a_pair_waits_is_claimed_once_and_scored(labels: Labels, clock: Clock) -> None:
    assert labels.put(pair())
    found = labels.claim()
    assert found is not None
    assert (found.content, found.class_, found.tries, found.scores) == (pair().content, Class.INTERNAL, 0, None)
    assert (found.propensity, found.expected, found.served) == (0.02, 0.1, "near")
    assert labels.claim() is None, "somebody has it"
    clock.now += CLAIM_SECONDS
    again = labels.claim()
    assert again is not None
    assert again.tries == 1, "whoever had it may be gone"
    assert labels.score("lbl_1", JUDGED)
    assert labels.claim() is None
    (row,) = labels.selected(ALL)
    assert row.scores == JUDGED
    outcome = row.outcome(JUDGED)
    assert (outcome.request, outcome.near, outcome.far, outcome.score) == ("req_lbl_1", 0.4, 0.9, 0.1)
    assert (outcome.privacy, outcome.served, outcome.trusted) == ("internal", "near", True)


def test_one_that_was_given_back_waits_on(labels: Labels) -> None:
    labels.put(pair())
    assert labels.claim() is not None
    labels.release("lbl_1")
    found = labels.claim()
    assert found is not None
    assert found.tries == 0, "nobody was asked: that was no try"


@pytest.mark.parametrize("class_", [Class.CONFIDENTIAL, Class.RESTRICTED])
def test_a_higher_class_is_never_kept(labels: Labels, class_: Class) -> None:
    assert not labels.put(pair(class_=class_))
    assert list(labels.selected(ALL)) == []


def test_what_lies_in_the_database_says_nothing(labels: Labels, database_url: str) -> None:
    labels.put(pair())
    labels.put(pair("lbl_2"), JUDGED)
    with closing(connect(database_url)) as connection:
        everything = str(connection.rows("SELECT * FROM nearfar_labels"))
    for word in (SECRET, "key_a", "req_lbl_1", "att_1", "large"):
        assert word not in everything, word


@pytest.mark.parametrize("change", ["class = 'public'", "route = 'other'", "propensity = 1.0", "expires = expires + 9"])
def test_what_was_exchanged_is_not_believed(labels: Labels, database_url: str, change: str) -> None:
    labels.put(pair())
    with closing(connect(database_url)) as connection:
        connection.execute(f"UPDATE nearfar_labels SET {change}")
    with pytest.raises(StoreUnavailable, match="changed"):
        list(labels.selected(ALL))


CHANGES = [
    "near = far, far = near",
    "near = 1.0",
    "trusted = 1",
    "judge = 'checks'",
    "judged = judged - 1",
    "sealed = ''",
    "sealed = (SELECT sealed FROM nearfar_labels WHERE id = 'lbl_2')",
    "near = 0.9, far = 0.4, sealed = (SELECT sealed FROM nearfar_labels WHERE id = 'lbl_2')",
]


@pytest.mark.parametrize("change", CHANGES)
def test_scores_that_were_exchanged_are_not_believed(labels: Labels, database_url: str, change: str) -> None:
    """Not those of another pair either, whose seal is a good one."""
    labels.put(pair("lbl_1"), Scores(near=0.4, far=0.9, judge="third", trusted=False))
    labels.put(pair("lbl_2"), Scores(near=0.9, far=0.4, judge="third"))
    assert len(list(labels.selected(ALL))) == 2
    with closing(connect(database_url)) as connection:
        connection.execute(f"UPDATE nearfar_labels SET {change} WHERE id = 'lbl_1'")
    with pytest.raises(StoreUnavailable, match="scores of the kept pair lbl_1") as caught:
        list(labels.selected(ALL))
    assert caught.value.code == "cipher_mismatch"
    assert labels.forget(Selection(request="req_lbl_1")) == 1
    assert [row.id for row in labels.selected(ALL)] == ["lbl_2"]


def test_a_judge_that_fails_makes_nobody_elses_scores_ours(labels: Labels, database_url: str) -> None:
    labels.put(pair(), JUDGED)
    with closing(connect(database_url)) as connection:
        connection.execute("UPDATE nearfar_labels SET near = 1.0")
    labels.tried(Judge(judge="third", at=NOW, agreement=0.1, pairs=12, trusted=False, anchors="x"))
    with pytest.raises(StoreUnavailable, match="changed"):
        list(labels.selected(ALL))


def test_scores_from_before_they_were_sealed_are_sealed_once(database_url: str, clock: Clock) -> None:
    with closing(opened(database_url, clock)) as labels:
        labels.put(pair("lbl_1"), JUDGED)
        labels.put(pair("lbl_2"))
    with closing(connect(database_url)) as connection:
        connection.execute("ALTER TABLE nearfar_labels DROP COLUMN sealed")
        connection.execute("DELETE FROM nearfar_migrations WHERE name = ?", (MIGRATIONS[-1].name,))
    with closing(opened(database_url, clock)) as labels:
        assert [row.scores for row in labels.selected(ALL)] == [JUDGED, None]
    with closing(connect(database_url)) as connection:
        connection.execute("UPDATE nearfar_labels SET sealed = ''")
    with closing(opened(database_url, clock)) as labels, pytest.raises(StoreUnavailable, match="lbl_1"):
        list(labels.selected(ALL))


def test_another_key_is_said_and_claims_nothing(labels: Labels, database_url: str, clock: Clock) -> None:
    labels.put(pair())
    with closing(opened(database_url, clock, key=os.urandom(32))) as other:
        assert other.claim() is None
        with pytest.raises(StoreUnavailable) as caught:
            list(other.selected(ALL))
        assert caught.value.code == "cipher_mismatch"


def test_what_is_over_goes(labels: Labels, clock: Clock) -> None:
    labels.put(pair())
    clock.now += 30 * DAY
    assert list(labels.selected(ALL)) == []
    assert labels.claim() is None
    assert labels.purge() == 1
    assert labels.purge() == 0


def test_many_are_read_in_order(labels: Labels, clock: Clock) -> None:
    for number in range(450):
        clock.now += number % 2
        labels.put(pair(f"lbl_{number:03}"), JUDGED)
    assert [row.id for row in labels.selected(ALL)] == [f"lbl_{number:03}" for number in range(450)]


SELECTIONS = [
    (ALL, "abc"),
    (Selection(route="other"), "b"),
    (Selection(before=NOW + 1), "a"),
    (Selection(callers=("key_b", "key_x")), "c"),
    (Selection(callers=()), ""),
    (Selection(request="req_b"), "b"),
    (Selection(route="main", callers=("key_a",)), "a"),
]


@pytest.mark.parametrize(("selection", "names"), SELECTIONS, ids=str)
def test_what_is_meant_is_forgotten(labels: Labels, clock: Clock, selection: Selection, names: str) -> None:
    gone = set(names)
    labels.put(pair("a"))
    clock.now += 10
    labels.put(pair("b", route="other", request="req_b"), JUDGED)
    labels.put(pair("c", caller="key_b"))
    assert {row.id for row in labels.selected(selection)} == gone
    assert labels.forget(selection) == len(gone)
    assert labels.scrub()
    assert {row.id for row in labels.selected(ALL)} == {"a", "b", "c"} - gone
    assert not labels.score("a", JUDGED) or "a" not in gone


def test_nothing_of_it_is_left_in_the_files(tmp_path: Path, clock: Clock) -> None:
    """SQLite: not in its pages, not in free ones, not in the write-ahead log. Not even what was encrypted."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(opened(url, clock)) as labels, closing(connect(url)) as reader:
        for number in range(40):
            labels.put(pair(f"lbl_{number}", text=SECRET + os.urandom(500).hex()))  # zeros would be compressed away
        rows = reader.rows("SELECT content FROM nearfar_labels")
        pieces = [str(content)[at : at + 48].encode() for (content,) in rows for at in (0, 200, 400)]
        assert all(any(piece in held for held in files(tmp_path)) for piece in pieces)
        assert not any(SECRET.encode() in held for held in files(tmp_path))
        labels.score("lbl_3", JUDGED)
        assert labels.forget(ALL) == 40
        assert labels.scrub()
        left = [piece for piece in pieces if any(piece in held for held in files(tmp_path))]
        assert left == []


def test_a_log_that_somebody_reads_is_not_emptied_and_that_is_said(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearfar.store.keeping.LOCK_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(opened(url, clock)) as labels, closing(connect(url)) as reader:
        labels.put(pair())
        with reader.transaction():
            reader.rows("SELECT COUNT(*) FROM nearfar_labels")
            assert not labels.scrub()
        assert labels.scrub()


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir() if path.is_file()]


def test_a_judge_that_fails_takes_back_what_it_said_since_it_passed(labels: Labels, clock: Clock) -> None:
    def tried(agreement: float) -> Judge:
        return Judge(
            judge="third", at=int(clock.now), agreement=agreement, pairs=12, trusted=agreement > 0.5, anchors="x"
        )

    labels.put(pair("a"), Scores(near=1, far=1, judge="checks"))
    labels.put(pair("b"), JUDGED)
    clock.now += 10
    labels.tried(tried(0.9))
    clock.now += 10
    labels.put(pair("c"), JUDGED)
    labels.tried(tried(0.4))
    trusted = {row.id: row.scores.trusted for row in labels.selected(ALL) if row.scores}
    assert trusted == {"a": True, "b": True, "c": False}
    state = labels.judge("third")
    assert state is not None
    assert (state.trusted, state.agreement) == (False, 0.4)
    assert labels.judge("another") is None


def test_it_remembers_the_files_it_was_written_to(labels: Labels) -> None:
    labels.exported("/a", 3)
    labels.exported("/b", 4)
    labels.exported("/a", 5)
    assert sorted(labels.files()) == ["/a", "/b"]


def test_it_is_counted(labels: Labels, database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        assert counted(connection).pairs == 0, "there is no table yet"
    labels.put(pair("a"))
    labels.put(pair("b"), JUDGED)
    labels.tried(Judge(judge="third", at=NOW, agreement=0.1, pairs=12, trusted=False, anchors="x"))
    with closing(connect(database_url)) as connection:
        found = counted(connection)
    assert (found.pairs, found.waiting, found.untrusted, found.judges[0].judge) == (2, 1, 1, "third")
