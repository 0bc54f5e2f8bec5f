from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nearfar.core.errors import EngineError
from nearfar.engine import sockets


def test_stale_sockets_are_cleared_and_living_ones_kept(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale, socket.socket(socket.AF_UNIX) as living:
        stale.bind(str(tmp_path / "engine-stale.sock"))
        living.bind(str(tmp_path / "engine-living.sock"))
        living.listen()
        (tmp_path / "another.sock").touch()
        sockets.prepare(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"engine-living.sock", "another.sock"}


def test_the_folder_is_made_and_ours_alone(tmp_path: Path) -> None:
    sockets.prepare(tmp_path / "deep" / "run")
    assert (tmp_path / "deep" / "run").stat().st_mode & 0o777 == 0o700
    (tmp_path / "run").mkdir(mode=0o755)
    sockets.prepare(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_hold_sockets(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / ("x" * 120), tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EngineError) as refused:
            sockets.prepare(folder)
        assert refused.value.code == "engine_runtime_dir"
        assert "state_dir" in refused.value.hint


def test_no_two_paths_are_the_same(tmp_path: Path) -> None:
    assert len({sockets.new(tmp_path) for _ in range(100)}) == 100
