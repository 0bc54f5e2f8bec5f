"""What the day's earlier processes spent, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.attempts import begin, end
from tests.running import eventually

from nearfar.core.errors import StoreUnavailable
from nearfar.gateway.purse import Purse
from nearfar.ledger.ledger import Ledger
from nearfar.parts.spending import Spending

DAY = 86_400 * 10**9


class Told(Purse):
    """What a purse hears."""

    def __init__(self) -> None:
        super().__init__(10**9)
        self.heard: list[tuple[int, int]] = []

    def resume(self, day: int, spent: int) -> None:
        self.heard.append((day, spent))


def test_todays_shadows_and_judges_count_and_nothing_else(database_url: str, tmp_path: Path) -> None:
    now = time.time_ns()
    dead = Ledger(database_url, tmp_path / "journal", flush_seconds=60)
    for name, purpose, at, cost in (
        ("a", "shadow", now, 100),
        ("b", "judge", now, 20),
        ("c", "serve", now, 4000),
        ("d", "shadow", now - 2 * DAY, 30_000),
        ("e", "shadow", now, None),
    ):
        dead.begin(begin(name, purpose=purpose, at=at, bound=7))
        dead.end(end(name, cost=cost, at=at))
    dead.begin(begin("f", purpose="shadow", at=now, bound=1000))
    dead._journal.release()  # as a death does
    purse = Told()
    Spending(database_url, tmp_path / "journal", purse, workers=1).read()
    Spending(database_url, tmp_path / "journal", purse, workers=4).read()
    gone = 100 + 20 + 7 + 1000
    assert [spent for _, spent in purse.heard] == [gone, -(-gone // 4)]
    assert {day for day, _ in purse.heard} <= {now // DAY, time.time_ns() // DAY}


def test_without_the_database_nothing_is_spent(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    purse = Told()
    spending = Spending(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "journal", purse, workers=1)
    with pytest.raises(StoreUnavailable):
        spending.read()
    spending.start()
    spending.close()
    assert purse.heard == []


def test_it_tries_again_until_the_database_answers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.mkdir()
    purse = Told()
    spending = Spending(f"sqlite:///{path}", tmp_path / "journal", purse, workers=1)
    spending.start()
    assert purse.heard == []
    path.rmdir()
    eventually(lambda: purse.heard)
    spending.close()
    assert [spent for _, spent in purse.heard] == [0]
