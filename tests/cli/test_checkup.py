"""Single checks; the report they make is tested in test_doctor."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nearfar.cli import checkup
from nearfar.settings.load import Loaded, load


def loaded(tmp_path: Path, **environ: str) -> Loaded:
    return load(environ={"HOME": str(tmp_path), **environ})


def test_loopback() -> None:
    assert all(map(checkup.is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(checkup.is_loopback, ("192.0.2.1", "db.example", "")))


def test_why_nobody_can_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        assert checkup._bind("127.0.0.1", held.getsockname()[1])
    assert checkup._bind("127.0.0.1", 0) is None


@pytest.mark.parametrize(
    ("stderr", "state", "told"),
    [
        ("ModuleNotFoundError: No module named 'xllamacpp'", "warn", "[local]"),
        ("ImportError: libgomp.so.1: cannot open shared object file", "fail", "libgomp1"),
        ("", "fail", "Reinstall"),
    ],
)
def test_an_engine_that_does_not_load(monkeypatch: pytest.MonkeyPatch, stderr: str, state: str, told: str) -> None:
    def run(*_args: Any, **_more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -4, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    check = checkup._engine_loads()
    assert check.state == state
    assert told in check.next


def test_a_processor_without_what_the_engine_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.engine.machine.missing_features_here", lambda: ("avx2",))
    first = next(checkup.engine(loaded(tmp_path)))
    assert (first.state, "avx2" in first.detail) == ("fail", True)


def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "LITTLE_DISK", 10**18)
    assert {check.state for check in checkup.folders(loaded(tmp_path))} == {"warn"}


def test_offline_says_so(tmp_path: Path) -> None:
    (check,) = checkup.network(loaded(tmp_path, NEARFAR_OFFLINE="1"))
    assert "offline" in check.detail


def test_a_models_folder_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.write_bytes(b"a file where the folder should be")
    first = next(checkup.models(loaded(tmp_path, NEARFAR_MODELS_DIR=str(folder))))
    assert (first.name, first.state) == ("models folder", "warn")
    assert f"{folder}: Not a directory" in first.detail
    assert "models_dir" in first.next


def test_a_deployment_without_its_model_is_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = '[deployments.{0}]\nprovider = "{1}"\nmodel = "{2}"\n'
    named = [("here", "embedded", "demo-tiny"), ("gone", "embedded", "mine"), ("far", "openai", "gpt-5.4-mini")]
    config.write_text("".join(text.format(*item) for item in named))
    checks = {check.name: check for check in checkup.models(load(config=config, environ={"HOME": str(tmp_path)}))}
    assert {name for name in checks if name.startswith("deployment")} == {"deployment gone"}
    assert checks["deployment gone"].state == "warn"
    assert checks["deployment gone"].next == "nearfar models add PATH --name mine"


def test_a_policy_that_is_only_observed_is_a_warning(tmp_path: Path) -> None:
    (held,) = checkup.policy(loaded(tmp_path, NEARFAR_POLICY__PRESET="team"))
    assert (held.state, held.detail) == ("ok", "team")
    (tried,) = checkup.policy(loaded(tmp_path, NEARFAR_POLICY__PRESET="team", NEARFAR_POLICY__MODE="observe"))
    assert tried.state == "warn"
    assert tried.detail.startswith("team: NOT ENFORCED")
    assert "policy.mode" in tried.next
