"""Each test runs in a process of its own: what these functions give up cannot be taken back."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


TRY = """
import json, os, socket, sys
from nearfar.engine import isolate
def reach(family, address):
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            probe.connect(address)
            return "connected"
    except OSError as exc:
        return type(exc).__name__ + str(exc.errno)
loopback = (socket.AF_INET, ("127.0.0.1", int(sys.argv[1])))
report = {"before": reach(*loopback)}
report["result"] = %s
report["after"] = reach(*loopback)
report["six"] = reach(socket.AF_INET6, ("::1", int(sys.argv[1])))
report["unix"] = reach(socket.AF_UNIX, "/nonexistent/socket")
report["ids"] = [os.getuid(), os.geteuid(), os.getgid()]
print(json.dumps(report))
"""


def run(expression: str) -> dict[str, Any]:
    with listener() as port:
        done = subprocess.run(
            [sys.executable, "-c", TRY % expression, str(port)], capture_output=True, text=True, check=True, timeout=60
        )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("way", ["isolate.own_network_namespace()", "isolate.refuse_sockets()"])
def test_either_way_alone_is_enough_where_the_system_has_it(way: str) -> None:
    report = run(way)
    assert report["before"] == "connected"
    if report["result"]:
        assert report["after"] != "connected"
        assert report["six"] != "connected"
    else:  # this system forbids it: then nothing may have changed
        assert report["after"] == "connected"
    assert report["unix"] == "FileNotFoundError2"


def test_the_network_is_gone_exactly_when_it_says_so() -> None:
    report = run("isolate.cut_network()")
    assert report["result"] == ("shared" if report["after"] == "connected" else "none")
    assert report["unix"] == "FileNotFoundError2"


def test_the_ids_stay() -> None:
    assert run("isolate.cut_network()")["ids"] == run("None")["ids"]


RIGHTS = """
import json, os, sys
from nearfar.engine import isolate
kept = isolate.drop_rights(*sys.argv[1:])
def reach(path):
    try:
        with open(path, "rb") as file:
            return len(file.read(8))
    except OSError as exc:
        return type(exc).__name__
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file if line.startswith(("Cap", "NoNewPrivs")))
print(json.dumps({
    "rights": {name: int(value, 16) for name, value in status.items()},
    "parent": reach(f"/proc/{os.getppid()}/environ"),
    "files": [reach(path) for path in sys.argv[1:]],
}))
"""


def give_up(*files: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", RIGHTS, *map(str, files)], capture_output=True, text=True, check=True, timeout=60
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_no_right_is_left_even_to_root(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUFGGUF")
    model.chmod(0o600)
    report = give_up(model)
    assert report["files"] == [8], "its own user's files stay readable"
    assert report["rights"].pop("NoNewPrivs") == 1
    assert report["rights"]["CapEff"] == report["rights"]["CapPrm"] == report["rights"]["CapInh"] == 0
    if os.geteuid() == 0:
        assert report["rights"]["CapBnd"] == 0
        assert report["parent"] == "PermissionError", "this process kept the rights that the child gave up"


def test_root_still_reads_another_user_s_model_and_can_do_nothing_else(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUFGGUF")
    model.chmod(0o600)
    root = os.geteuid() == 0
    if root:
        os.chown(model, 12345, 12345)
    report = give_up(model)
    assert report["files"] == [8]
    left = 1 << 2 if root else 0  # to read any file
    assert report["rights"]["CapEff"] == report["rights"]["CapPrm"] == left
    if root:
        assert report["parent"] == "PermissionError"


def test_a_file_that_is_not_there_keeps_no_right_alive(tmp_path: Path) -> None:
    assert give_up(tmp_path / "none")["rights"]["CapEff"] == 0


def test_limits() -> None:
    script = """
from nearfar.engine import isolate
import resource
isolate.no_core_dumps(); isolate.be_first_to_go(); isolate.limit_data(200_000_000)
print(resource.getrlimit(resource.RLIMIT_CORE)[0], open("/proc/self/oom_score_adj").read().strip())
try:
    bytearray(400_000_000)
except MemoryError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0", "1000", "refused"]
