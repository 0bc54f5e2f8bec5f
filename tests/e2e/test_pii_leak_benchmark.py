"""The external pii-leak-benchmark, unmodified, against `nearfar serve` under the preset `team`: nothing leaks.

It generates its values anew for each run and reads what arrives at a capture of its own, streams included. Its second
profile also asks whether a gateway removes what the *cloud* makes up: that is asserted with `replies = "redact"`, which
no preset sets by itself.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests import running

STAGE = Path(__file__).parents[2] / ".build" / "sdk" / "pii-leak-benchmark"

pytestmark = pytest.mark.slow


class Target(NamedTuple):
    url: str
    capture: int
    second: int
    redacting: str
    third: int
    folder: Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("leaks")
    capture, second, third = free_port(), free_port(), free_port()
    config = '[policy]\npreset = "team"\n'
    config += running.far("captured", f"http://127.0.0.1:{capture}")
    config += running.far("split", f"http://127.0.0.1:{second}")
    redacting = '[policy]\npreset = "team"\nreplies = "redact"\n' + running.far("split", f"http://127.0.0.1:{third}")
    (folder / "redacting").mkdir()
    with running.gateway(folder, config) as gateway, running.gateway(folder / "redacting", redacting) as other:
        yield Target(gateway.url, capture, second, other.url, third, folder)


def benchmark(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert STAGE.is_dir(), "`make sdk` installs it"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(STAGE)}
    command = [sys.executable, "-m", f"pii_leak_benchmark.{module}", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)


def read(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def test_without_a_gateway_it_sees_the_leak(target: Target) -> None:
    done = benchmark("cli", "selfcheck", "--target-base-url", "capture://self", "--capture-port", str(free_port()))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "LEAK" in done.stdout


@pytest.mark.parametrize("profile", ["pii-v1", "pii-secrets-v1"])
def test_no_value_reaches_the_capture_and_all_come_back(target: Target, profile: str) -> None:
    out = target.folder / f"{profile}.json"
    done = benchmark(
        "cli",
        "selfcheck",
        "--target-base-url",
        f"{target.url}/v1",
        "--target-model",
        "captured",
        "--capture-port",
        str(target.capture),
        "--profile",
        profile,
        "--json-out",
        str(out),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CLEAN" in done.stdout
    checks = read(out)["checks"]
    assert checks["configured_upstream_boundary"]["leaked_entity_types"] == []
    assert all(check["passed"] for check in checks.values()), checks


def split(target: Target, url: str, port: int, name: str, *more: str) -> dict[str, Any]:
    """The one row that the second profile reports."""
    out = target.folder / f"{name}.json"
    done = benchmark(
        "v2_emitter",
        "--out",
        str(target.folder / name),
        "--only",
        "nearfar",
        "--gateway-url",
        f"{url}/v1/chat/completions",
        "--upstream-port",
        str(port),
        "--model",
        "split",
        "--seed",
        "a1b2c3d4e5f60001",
        "--json-out",
        str(out),
        *more,
    )
    assert out.exists(), done.stdout + done.stderr
    [row] = read(out)["rows"]
    assert row["request_path_leak"] == []
    assert row["fidelity_rate"] == 1.0
    assert row["inconclusive"] == 0
    assert row["cases_applicable"] == row["cases_attempted"] == 32
    found: dict[str, Any] = row
    return found


def test_the_split_profile_finds_no_value_on_the_way_up_and_all_restored(target: Target) -> None:
    row = split(target, target.url, target.second, "split")
    assert row["leak_single_chunk"] > 0, "what a cloud makes up passes, as the preset says"


def test_with_replies_redacted_the_split_profile_finds_no_value_on_the_way_back_either(target: Target) -> None:
    row = split(target, target.redacting, target.third, "redacted", "--exhaustive-splits")
    assert (row["leak_single_chunk"], row["leak_adversarial"], row["outcome"]) == (0.0, 0.0, "pass")
