"""What a command is started with becomes settings, and only what was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.cli.errors import UsageError
from nearfar.cli.state import State


def test_flags_that_were_not_given_change_nothing(tmp_path: Path) -> None:
    state = State({"HOME": str(tmp_path)})
    loaded = state.load(None, None, {"server.port": None, "offline": None})
    assert set(loaded.origins.values()) == {"default"}


def test_given_flags_and_sets(tmp_path: Path) -> None:
    state = State({"HOME": str(tmp_path)})
    loaded = state.load(None, ["log.level=debug", " engine.slots = 2"], {"server.port": 0, "offline": False})
    assert (loaded.settings.server.port, loaded.settings.engine.slots) == (0, 2)
    assert loaded.origins["offline"] == "flag --offline"
    assert loaded.settings.log.level == "debug"


@pytest.mark.parametrize("item", ["offline", "=1", " =1"])
def test_what_is_no_setting(tmp_path: Path, item: str) -> None:
    with pytest.raises(UsageError):
        State({"HOME": str(tmp_path)}).load(None, [item])
