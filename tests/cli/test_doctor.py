"""``nearfar doctor``: finds what is wrong, says what to do, changes nothing, and always finishes its report."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.cli.serving import serving

from nearfar.cli import doctor
from nearfar.cli.checkup import Check
from nearfar.core.places import Class
from nearfar.settings.load import Loaded, load
from nearfar.store.cipher import Cipher
from nearfar.store.responses import Responses


@pytest.fixture
def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return str(held.getsockname()[1])


QUICK = ("--set", "engine.enabled=false", "--set", "discovery.loopback=false")
"""Spares the checks that start a process or ask loopback ports."""


def report(cli: Cli, *args: str, **environ: str) -> dict[str, dict[str, Any]]:
    result = cli("doctor", "--json", *args, **environ)
    checks = result.json["checks"]
    assert result.json["ok"] is all(item["state"] != "fail" for item in checks)
    assert result.code == (0 if result.json["ok"] else 1)
    return {item["name"]: item for item in checks}


def test_an_empty_home_is_fine_and_stays_empty(cli: Cli, free_port: str) -> None:
    found = report(cli, "--set", f"server.port={free_port}")
    assert found["port"]["state"] == found["engine"]["state"] == found["ledger"]["state"] == "ok"
    assert "xllamacpp" in found["versions"]["detail"]
    assert os.listdir(cli.home) == []


def test_the_report_for_people(cli: Cli, free_port: str) -> None:
    result = cli("doctor", *QUICK, NEARFAR_SERVER__PORT=free_port)
    assert result.code == 0
    assert result.out.splitlines()[-1].endswith("warning")
    assert cli("doctor", "-q", *QUICK, NEARFAR_SERVER__PORT=free_port).out == ""


def test_a_port_that_somebody_else_has(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        found = report(cli, *QUICK, "--set", f"server.port={held.getsockname()[1]}")
    assert found["port"]["state"] == "fail"
    assert "--port" in found["port"]["next"]


def test_a_broken_configuration_does_not_end_the_report(cli: Cli) -> None:
    found = report(cli, *QUICK, NEARFAR_SERVR__PORT="1")
    assert found["configuration"]["state"] == "fail"
    assert "NEARFAR_SERVR__PORT" in found["configuration"]["detail"]
    assert "ledger" in found


def test_each_problem_is_told_once_and_the_rest_is_looked_at_as_configured(cli: Cli) -> None:
    state = cli.home / "elsewhere"
    text = (
        f'state_dir = "{state}"\nprot = 1\n[server]\nport = 70000\n[deployments.a]\nprovider = "opnai"\nmodel = "m"\n'
    )
    user = cli.home / ".config/nearfar"
    user.mkdir(parents=True)
    (user / "config.toml").write_text(text)
    result = cli("doctor", *QUICK)
    assert (result.code, result.err) == (1, "")
    failed = [line for line in result.out.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 3
    assert all(sum(word in line for line in failed) == 1 for word in ("prot:", "server.port:", "provider:"))
    assert str(state) in result.out


def test_names_of_keys_and_never_their_values(cli: Cli) -> None:
    text = '[deployments.a]\nprovider = "openai"\nmodel = "m"\nkey = "env:NOT_THERE"\n'
    args = (*QUICK, "--config", cli.write(text))
    environ = {"OPENAI_API_KEY": "sk-hunter2", "HTTPS_PROXY": "http://me:hunter2@proxy:3128"}
    found = report(cli, *args, **environ)
    assert "OPENAI_API_KEY" in found["provider keys"]["detail"]
    assert found["deployment"]["state"] == "warn"
    assert "env:NOT_THERE" in found["deployment"]["detail"]
    assert "deployment" not in report(cli, *args, "--set", "offline=true"), "offline it is not called"
    assert "http://***@proxy:3128" in found["network"]["detail"]
    assert "hunter2" not in cli("doctor", *args, **environ).out


def test_a_spoiled_model_a_spoiled_ledger_an_open_state_folder(cli: Cli, tiny_gguf: Path) -> None:
    models = cli.home / ".local/share/nearfar/models"
    models.mkdir(parents=True)
    (models / "half.gguf").write_bytes(tiny_gguf.read_bytes()[:5000])
    state = cli.home / ".local/state/nearfar"
    state.mkdir(parents=True)
    state.chmod(0o755)
    (state / "ledger.db").write_bytes(b"not a database, by any reading of it" * 40)
    found = report(cli)
    assert found["model half"]["state"] == "fail"
    assert found["ledger"]["state"] == "fail"
    assert found["state folder"]["state"] == "warn"
    assert "chmod 700" in found["state folder"]["next"]


def test_a_model_that_does_not_fit(cli: Cli, tiny_gguf: Path) -> None:
    cli("models", "add", str(tiny_gguf))
    found = report(cli, "--set", "engine.memory_mb=16")
    assert found["model tiny-chat"]["state"] == "warn"
    assert "tiny-chat" in found["models"]["detail"]


def test_a_file_in_the_place_of_the_state_folder(cli: Cli) -> None:
    found = report(cli, *QUICK, "--set", f"state_dir={cli.write('', 'state')}")
    assert found["state folder"]["state"] == "fail"


def test_authorities_and_certificates_that_cannot_be_read(cli: Cli) -> None:
    args = ("--set", "server.tls_cert=/nonexistent/c.pem", "--set", "server.tls_key=/nonexistent/k.pem")
    found = report(cli, *QUICK, *args, SSL_CERT_FILE="/nonexistent/ca.pem")
    assert found["SSL_CERT_FILE"]["state"] == found["configuration"]["state"] == "fail"
    assert "server.tls_cert" in found["configuration"]["detail"]


def test_a_database_on_another_machine_is_not_asked(cli: Cli) -> None:
    found = report(cli, *QUICK, "--set", "ledger.url=postgresql://me:hunter2@db.example/x")
    assert "not asked" in found["ledger"]["detail"]
    assert "hunter2" not in found["ledger"]["detail"]


def test_a_running_gateway_with_an_older_configuration(cli: Cli) -> None:
    config = cli.write("[discovery]\nloopback = false\n")
    key = cli("keys", "new", "me", "-q").out.strip()
    with serving(cli.home, "--config", config, "--set", "engine.enabled=false") as running:
        args = (*QUICK, "--config", config, "--set", f"server.port={running.url.rpartition(':')[2]}")
        assert "not compared" in report(cli, *args)["running gateway"]["detail"]
        same = report(cli, *args, NEARFAR_API_KEY=key)["running gateway"]
        assert (same["state"], same["next"]) == ("ok", ""), "flags are no part of it"
        cli.write("[discovery]\nloopback = false\n[engine]\nslots = 2\n")
        changed = report(cli, *args, NEARFAR_API_KEY=key)["running gateway"]
        assert changed["state"] == "warn"
        assert "Restart" in changed["next"]


@pytest.mark.slow
def test_workers_know_their_configuration(cli: Cli) -> None:
    config = cli.write("[discovery]\nloopback = false\n")
    with serving(cli.home, "--config", config, "--workers", "2") as running:
        args = (*QUICK, "--config", config, "--set", f"server.port={running.url.rpartition(':')[2]}")
        assert report(cli, *args)["running gateway"]["state"] == "ok"


def test_what_is_kept_of_responses_is_told(cli: Cli, database_url: str) -> None:
    asking = {"NEARFAR_LEDGER__URL": database_url}
    assert "kept responses" not in report(cli, *QUICK, **asking), "nobody keeps any"
    kept = Responses(database_url, Cipher(bytes(32)), keep_seconds=3600, highest=Class.INTERNAL)
    with contextlib.closing(kept):
        for number in range(3):
            owner = f"key_{number % 2}"
            kept.put(id=f"resp_{number}", owner=owner, class_=Class.PUBLIC, response=b"{}", input=b"[]")
    told = report(cli, *QUICK, "--set", "responses.keep_hours=1", **asking)["kept responses"]
    assert told["state"] == "ok"
    assert told["detail"].startswith("3 kept of 2 callers")
    assert report(cli, *QUICK, **asking)["kept responses"]["state"] == "warn"


def test_what_another_user_owns_is_named(tmp_path: Path) -> None:
    def check(_loaded: Loaded) -> Iterator[Check]:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "ledger.db"))

    (told,) = doctor._kept("ledger", check, load(environ={"HOME": str(tmp_path)}))
    assert (told.state, told.detail) == ("fail", f"{tmp_path / 'ledger.db'}: Permission denied")
    assert "the user who owns that" in told.next
