"""The stand-in as a child process: ready line, descriptor, signals, end of input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.stand_in import WAIT, program, read_invoices

from nearfar.standin.program import READY, main

COMMAND = [sys.executable, "-m", "nearfar.standin"]
CHAT = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()


def ask(url: str) -> int:
    with urllib.request.urlopen(f"{url}/v1/chat/completions", CHAT, timeout=WAIT) as reply:
        reply.read()
        return int(reply.status)


def test_it_answers_charges_and_stops_at_the_end_of_input(tmp_path: Path) -> None:
    path = tmp_path / "invoices.jsonl"
    with program("--invoices", str(path)) as (url, child):
        assert ask(url) == 200
    assert child.returncode == 0
    assert len(read_invoices(path)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_the_descriptor_tells_when_it_is_ready(number: signal.Signals) -> None:
    reader, writer = os.pipe()
    with subprocess.Popen([*COMMAND, "--ready-fd", str(writer)], pass_fds=[writer], stdout=subprocess.PIPE) as child:
        try:
            os.close(writer)
            with os.fdopen(reader) as ready:
                url = ready.read().strip()
            assert ask(url) == 200
            child.send_signal(number)
            out, _ = child.communicate(timeout=WAIT)
        finally:
            child.kill()
    assert out.decode() == f"{READY}{url}\n"
    assert child.returncode == 0


def test_a_bad_mode_or_address_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--mode", '{"mode": "explode"}'])
    assert "explode" in capsys.readouterr().err
    assert main(["--host", "0.0.0.0"]) == 1
    assert capsys.readouterr().err == "stand-in: the stand-in listens on loopback only, not on 0.0.0.0\n"
