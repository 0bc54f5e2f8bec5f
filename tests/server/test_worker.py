"""A worker by itself: it serves on what it is given, and ends with its parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests import running
from tests.server.served import loaded

from nearfar.server.control import Stop
from nearfar.server.run import Start, address, bind


@contextmanager
def _worker(folder: Path) -> Iterator[tuple[str, socket.socket, subprocess.Popen[bytes]]]:
    """(base URL, our end of its channel, process)."""
    settings = loaded(folder, running.far("far", "http://127.0.0.1:9"), engine__enabled="false")
    ours, theirs = socket.socketpair()
    with bind(settings.settings.server) as listener, ours, theirs:
        os.set_inheritable(listener.fileno(), True)
        start = Start(
            settings=settings.settings,
            listener=listener.fileno(),
            channel=theirs.fileno(),
            port=listener.getsockname()[1],
        )
        with subprocess.Popen(
            [sys.executable, "-m", "nearfar.server.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(listener.fileno(), theirs.fileno()),
            env=running.environment(folder),
        ) as process:
            theirs.close()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(msgspec.json.encode(start) + b"\n")
                process.stdin.flush()
                assert process.stdout.readline() == b"ready\n"
                yield address(settings.settings.server, listener), ours, process
            finally:
                process.kill()


def _ended_well(process: subprocess.Popen[bytes]) -> None:
    assert process.wait(running.WAIT) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_it_serves_and_ends_when_told(tmp_path: Path) -> None:
    with _worker(tmp_path) as (url, channel, process):
        assert running.ask(url, "/livez").status == 200
        assert running.ask(url, "/readyz").status == 200
        channel.sendall(msgspec.json.encode(Stop()) + b"\n")
        _ended_well(process)


def test_it_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    with _worker(tmp_path) as (_, channel, process):
        channel.close()
        _ended_well(process)
