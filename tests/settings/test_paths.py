"""Folders follow the platform's rules and are the owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nearfar.settings.environ import Environ
from nearfar.settings.errors import SettingsError
from nearfar.settings.model import Settings
from nearfar.settings.paths import folders, private


def test_xdg_variables_and_their_defaults() -> None:
    plain = folders(Environ({"HOME": "/h"}))
    assert plain.user_config == Path("/h/.config/nearfar/config.toml")
    assert plain.state == Path("/h/.local/state/nearfar")
    assert plain.models == Path("/h/.local/share/nearfar/models")
    assert plain.runtime == plain.state.parent / "run/nearfar" or plain.runtime == plain.state / "run"
    moved = folders(Environ({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "relative"}))
    assert moved.state == Path("/s/nearfar")
    assert moved.config == Path("/h/.config/nearfar")
    assert folders(Environ({"HOME": "/h", "XDG_RUNTIME_DIR": "/r"})).runtime == Path("/r/nearfar")


def test_settings_move_state_and_models() -> None:
    environ = Environ({"HOME": "/h", "XDG_RUNTIME_DIR": "/r"})
    chosen = folders(environ, Settings(state_dir="~/x/../nf", models_dir="/m"))
    assert chosen.state == Path("/h/nf")
    assert chosen.runtime == Path("/h/nf/run")
    assert chosen.models == Path("/m")
    assert chosen.ledger_url == "sqlite:////h/nf/ledger.db"
    assert folders(environ, Settings()) == folders(environ)


def test_private_creates_parents_for_the_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = private(tmp_path / "a/b")
    finally:
        os.umask(old)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert private(made) == made


def test_a_file_in_the_way_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    for path in (tmp_path / "a", tmp_path / "a/b"):
        with pytest.raises(SettingsError) as caught:
            private(path)
        assert caught.value.hint


def test_sockets_of_a_deep_state_folder_lie_elsewhere() -> None:
    environ = Environ({"HOME": "/h"})
    deep, other = Settings(state_dir="/d" * 60), Settings(state_dir="/d" * 61)
    found = folders(environ, deep)
    assert len(str(found.runtime)) < 60
    assert found.runtime.parent == Path("/tmp")
    assert found.runtime == folders(environ, deep).runtime != folders(environ, other).runtime
    assert folders(Environ({"HOME": "/h", "TMPDIR": "/t"}), deep).runtime.parent == Path("/t")


def test_a_folder_that_somebody_else_made_in_a_shared_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    private(tmp_path / "run")
    tmp_path.chmod(0o777)
    private(tmp_path / "run")
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(SettingsError, match="somebody else"):
        private(tmp_path / "run")
