"""store/keeping.py: one connection for all calls on both databases, and that nothing of what was removed stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Connection
from nearfar.store.database import Migration, connect
from nearfar.store.keeping import Keeping, beside

MIGRATIONS = (Migration(name="1-notes", statements=("CREATE TABLE notes (id TEXT PRIMARY KEY, content TEXT)",)),)


def purge(connection: Connection) -> int:
    return connection.execute("DELETE FROM notes WHERE content = 'over'")


def made(url: str) -> Keeping:
    return Keeping(url, "notes", MIGRATIONS, purge=purge)


def add(keeping: Keeping, id_: str, content: str = "over") -> None:
    keeping.do(lambda connection: connection.insert("INSERT INTO notes (id, content)", [(id_, content)]))


def ids(keeping: Keeping) -> list[str]:
    return [row[0] for row in keeping.do(lambda connection: connection.rows("SELECT id FROM notes ORDER BY id"))]


@pytest.fixture
def keeping(database_url: str) -> Iterator[Keeping]:
    with closing(made(database_url)) as opened:
        yield opened


def test_a_connection_that_failed_is_replaced(keeping: Keeping) -> None:
    add(keeping, "a")

    def lose(connection: Connection) -> None:
        connection.close()
        connection.rows("SELECT 1")

    with pytest.raises(StoreUnavailable):
        keeping.do(lose)
    assert ids(keeping) == ["a"]
    keeping.close()
    assert ids(keeping) == ["a"], "also one that was given back"


def test_steps_that_were_just_applied_are_told_once(database_url: str) -> None:
    told: list[list[str]] = []
    for _ in range(2):
        with closing(
            Keeping(database_url, "notes", MIGRATIONS, purge=purge, migrated=lambda _, applied: told.append(applied))
        ) as opened:
            assert ids(opened) == []
    assert told == [["1-notes"]]


def test_what_is_over_goes(keeping: Keeping) -> None:
    add(keeping, "a")
    add(keeping, "b", "stays")
    keeping.sweep()
    assert ids(keeping) == ["b"]
    assert keeping.purge() == 0


def test_what_is_over_goes_by_itself(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.store.keeping.FIRST_SWEEP_SECONDS", 0.0)
    add(keeping, "a")
    keeping.start()
    while ids(keeping):
        pass


def test_a_database_that_is_away_does_not_end_the_sweeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.store.keeping.FIRST_SWEEP_SECONDS", 0.0)
    monkeypatch.setattr("nearfar.store.keeping.SWEEP_SECONDS", 0.001)
    (tmp_path / "a").write_text("in the way of a folder")
    with closing(made(f"sqlite:///{tmp_path / 'a' / 'b.db'}")) as keeping:
        keeping.start()
        with pytest.raises(StoreUnavailable):
            keeping.sweep()
        (tmp_path / "a").unlink()
        while not (tmp_path / "a" / "b.db").exists():
            pass


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("how", ["removed", "over"])
def test_nothing_of_it_stays_in_the_files_of_sqlite(tmp_path: Path, how: str) -> None:
    """Not in its pages, not in the log, also where others have the database open and the row was changed before."""
    url, trace = f"sqlite:///{tmp_path / 'ledger.db'}", os.urandom(3000).hex()
    with closing(made(url)) as keeping, closing(connect(url)) as other:
        add(keeping, "a", trace)
        assert other.rows("SELECT COUNT(*) FROM notes") == [(1,)]
        assert trace[:64].encode() in files(tmp_path)
        if how == "removed":
            assert keeping.remove(lambda connection: connection.execute("DELETE FROM notes")) == 1
        else:
            keeping.do(lambda connection: connection.execute("UPDATE notes SET content = 'over'"))
        keeping.sweep()
        left = files(tmp_path)
        assert not any(trace[at : at + 64].encode() in left for at in range(0, len(trace) - 64, 64))


def test_a_log_that_somebody_reads_is_emptied_at_a_later_sweep(tmp_path: Path) -> None:
    url, trace = f"sqlite:///{tmp_path / 'ledger.db'}", os.urandom(100).hex()
    with closing(made(url)) as keeping, closing(connect(url)) as reader:
        add(keeping, "a", trace)
        reader.execute("BEGIN")
        reader.rows("SELECT id FROM notes")
        keeping.sweep()
        reader.execute("COMMIT")
        assert trace.encode() in files(tmp_path)
        keeping.remove(lambda connection: connection.execute("DELETE FROM notes"))
        keeping.sweep()
        assert trace.encode() not in files(tmp_path)


def test_words_that_ciphertext_is_bound_to_are_told_apart() -> None:
    assert beside("a", 1, None, 0.5).split("\0") == ["a", "1", "None", "0.5"]
    assert beside("ab", "c") != beside("a", "bc")
