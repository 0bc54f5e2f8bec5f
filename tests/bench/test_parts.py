"""The parts of the bench that can be wrong without anybody noticing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from bench import parts


def test_reads_the_line_that_the_script_writes() -> None:
    output = "Running 3s test\n  1 threads and 32 connections\nRESULT 45000 3001000 2 812 2400\n"
    assert parts.parse_wrk(output) == parts.Wrk(requests=45000, seconds=3.001, errors=2, p50=812, p99=2400)


def test_no_result_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parts.parse_wrk("unable to connect to 127.0.0.1:1\n")


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(parts.Missing, match="apt-get install some-package"):
        parts.find("no-such-program", "some-package")


def test_the_reply_has_what_the_ledger_needs() -> None:
    reply = json.loads(parts.REPLY)
    assert reply["usage"] == {"prompt_tokens": 420, "completion_tokens": 64, "total_tokens": 484}
    assert "'" not in parts.REPLY  # it stands between single quotes in nginx's configuration


def test_a_program_that_dies_is_reported_with_what_it_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        parts.program(["sh", "-c", "echo no luck; exit 3"], log) as child,
        pytest.raises(RuntimeError, match="no luck"),
    ):
        parts.wait_for_port(parts.free_port(), child, log)


def test_an_open_port_is_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, parts.program(["sleep", "60"], tmp_path / "log") as child:
        parts.wait_for_port(server.getsockname()[1], child, tmp_path / "log")
