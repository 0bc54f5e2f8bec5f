"""What runs beside a command begins, ends with it, and says why where it cannot."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nearfar.cli import beside
from nearfar.core.errors import InternalServerError


def test_parts_on_a_loop_of_their_own_end_with_the_block() -> None:
    told = []

    @contextlib.asynccontextmanager
    async def parts() -> AsyncIterator[str]:
        told.append(threading.current_thread().name)
        yield "made"
        told.append("left")

    def body() -> None:
        with beside.on_a_loop("The part", parts) as made:
            assert made == "made"
            assert told == ["The part"]
            raise LookupError

    with pytest.raises(LookupError):
        body()
    assert told == ["The part", "left"]
    assert "The part" not in {thread.name for thread in threading.enumerate()}


def test_parts_that_cannot_begin_are_told() -> None:
    @contextlib.asynccontextmanager
    async def parts() -> AsyncIterator[str]:
        raise OSError("no port")
        yield ""

    with (
        pytest.raises(InternalServerError, match=r"The part did not start") as refused,
        beside.on_a_loop("The part", parts),
    ):
        pass
    assert isinstance(refused.value.__cause__, OSError)


def test_a_folder_lies_where_the_owner_says_unless_paths_get_too_long(tmp_path: Path) -> None:
    short, long = "/dev/shm", str(tmp_path / ("x" * 40))
    for where, parent in ((short, short), (long, "/tmp")):
        with beside.folder({"TMPDIR": where}, "nearfar-x") as made:
            assert (str(made.parent), made.name[:10]) == (parent, "nearfar-x-")
        assert not made.exists()


def test_a_program_gets_nothing_of_the_owners(tmp_path: Path) -> None:
    owners = {"PATH": "/bin", "HOME": "/home/anna", "OPENAI_API_KEY": "k", "NO_PROXY": "x"}
    mine = {"PATH": "/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert beside.surroundings(owners, tmp_path) == mine
    assert beside.surroundings(owners, tmp_path, "NO_PROXY") == {**mine, "NO_PROXY": "x"}


def test_a_gateway_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(InternalServerError, match=r"The drill's gateway did not start") as refused,
        beside.gateway(tmp_path, os.environ, log, name="drill's gateway", code="raise SystemExit('no port')"),
    ):
        pass
    assert refused.value.hint == "no port"


def test_a_process_that_does_not_want_to_end_is_ended() -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    beside.end(process, patience=0.05)
    assert process.returncode == -9
