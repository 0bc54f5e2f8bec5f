"""Each test runs in a process of its own: what these functions give up cannot be taken back."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
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
