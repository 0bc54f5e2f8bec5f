"""``nearfar serve``: says where it listens, stops when asked, refuses what is unsafe."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.serving import environment, serving
from tests.cli.terminal import terminal
from tests.parts.built import loaded

from nearfar.cli import output, serve
from nearfar.server import traces
from nearfar.store import keys
from nearfar.store.database import connect


def test_it_says_where_it_listens_and_stops_on_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path, "--offline") as running, urllib.request.urlopen(f"{running.url}/livez", timeout=30) as reply:
        assert json.load(reply) == {"status": "ok"}


def test_the_line_for_people(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nearfar", "serve", "-p", "0"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        assert process.stdout.read() == ""
    assert line.startswith("nearfar is ready at http://127.0.0.1:")
    assert process.returncode == 0


def test_what_a_terminal_shows_leads_to_this_very_gateway(tmp_path: Path) -> None:
    with terminal("serve", "-p", "0", "--offline", environ={"HOME": str(tmp_path)}) as screen:
        screen.expect("nearfar is ready at ")
        url = screen.expect("\n")
        screen.expect(f'nearfar run auto "Who are you?" --url {url}\n')
        screen.expect("Ctrl-C stops it")
        screen.press("\x03")
        assert screen.ended() == 0


def test_what_a_terminal_shows_holds_a_key_where_one_is_needed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    monkeypatch.setattr(traces, "watch", lambda: None)  # it would change this process's own hooks
    settings = loaded(tmp_path)
    with closing(connect(settings.ledger_url)) as connection:
        keys.prepare(connection)
        serve._ready("http://127.0.0.1:8642", settings, json=False, quiet=False)
        assert "OPENAI_API_KEY=unused" in capsys.readouterr().out
        keys.revoke(connection, keys.new(connection, "anna")[0].id)
    serve._ready("http://127.0.0.1:8642", settings, json=False, quiet=False)
    shown = capsys.readouterr().out
    assert "OPENAI_API_KEY=$NEARFAR_API_KEY" in shown
    assert "authorization: Bearer" in shown


def test_a_port_in_use(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        result = cli("serve", "--port", str(held.getsockname()[1]))
    assert (result.code, result.out) == (1, "")
    assert "nearfar serve --port" in result.err


def test_beyond_loopback_it_needs_a_key(cli: Cli) -> None:
    result = cli("serve", "--host", "0.0.0.0", "--port", "0")
    assert result.code == 4
    assert "nearfar keys new" in result.err


def test_with_a_key_made_only_its_owner_is_answered(cli: Cli) -> None:
    key = cli("keys", "new", "me", "-q").out.strip()
    with serving(cli.home) as running:
        refused = cli("ps", "--url", running.url)
        assert (refused.code, refused.out) == (4, "")
        assert "NEARFAR_API_KEY" in refused.err
        assert cli("ps", "--url", running.url, NEARFAR_API_KEY=key).code == 0
        assert cli("ps", "--url", running.url, NEARFAR_API_KEY=f"{key}x").code == 4


def test_flags_are_settings_and_checked_like_them(cli: Cli) -> None:
    result = cli("serve", "--workers", "0")
    assert result.code == 2
    assert "server.workers" in result.err
    assert "flag --workers" in result.err


def test_it_opens_nothing_when_the_configuration_is_wrong(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nearfar", "serve", "--port", "0"],
        env=environment(tmp_path, {"NEARFAR_SERVR": "1"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert os.listdir(tmp_path) == []


UNUSABLE = """
[discovery]
loopback = false
[deployments.far]
provider = "openai-compatible"
model = "m"
base_url = "http://127.0.0.1:9/v1"
key = "env:NO_SUCH_KEY"
"""


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_key_that_is_not_there_stops_one_deployment_and_not_the_gateway(cli: Cli, workers: str) -> None:
    config = cli.write(UNUSABLE)
    with serving(cli.home, "--config", config, "--workers", workers) as running:
        shown = cli("ps", "--url", running.url)
        assert "far cannot be used: the key at env:NO_SUCH_KEY is empty or not set" in shown.out
        asked = cli("run", "far", "hello", "--url", running.url)
        assert (asked.code, asked.out) == (1, "")
        assert "env:NO_SUCH_KEY" in asked.err
    (told,) = (cli.home / "serve.log").read_text().splitlines()
    assert json.loads(told)["level"] == "warning"
    assert json.loads(told)["deployment"] == "far"
    assert "env:NO_SUCH_KEY" in json.loads(told)["reason"]
