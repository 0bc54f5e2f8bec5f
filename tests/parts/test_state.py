"""Where a process keeps what it keeps."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.parts.built import loaded

from nearfar.parts import state


def test_the_state_is_its_owners_alone(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    url, journal = state.ledger_places(settings)
    assert url == f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state", journal)] == [0o700, 0o700]


def test_a_configured_ledger_is_taken_as_it_is(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        environ={"LEDGER": "postgresql://127.0.0.1/x"},
        ledger__url="env:LEDGER",
        ledger__journal=str(tmp_path / "j"),
    )
    assert state.ledger_places(settings) == ("postgresql://127.0.0.1/x", tmp_path / "j")
    assert not (tmp_path / "state").exists()
