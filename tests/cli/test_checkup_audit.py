"""What the doctor says of the audit's folder, and of a running gateway that cannot write there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nearfar.cli import checkup_audit
from nearfar.cli.checkup import Check
from nearfar.cli.client import Gateway
from nearfar.settings.load import Loaded, load


def checked(tmp_path: Path, *, preset: str = "team", folder: Path | None = None) -> list[Check]:
    given = {"policy.preset": preset, "server.port": "1"}
    if folder is not None:
        given["audit.folder"] = str(folder)
    loaded: Loaded = load(environ={"HOME": str(tmp_path)}, overrides=given)
    return list(checkup_audit.audit(loaded))


def test_without_records_nothing_is_demanded(tmp_path: Path) -> None:
    [check] = checked(tmp_path, preset="default")
    assert (check.state, check.detail) == ("ok", "the policy demands no records")


def test_a_folder_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [check] = checked(tmp_path, folder=tmp_path / "chains")
    assert (check.state, check.next) == ("ok", "")
    assert "from class confidential on (made when needed)" in check.detail
    monkeypatch.setattr(checkup_audit, "LITTLE_DISK", 10**18)
    [check] = checked(tmp_path, folder=tmp_path / "chains")
    assert (check.state, "Make room" in check.next) == ("warn", True)


def test_a_folder_that_cannot(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    [check] = checked(tmp_path, folder=taken / "chains")
    assert (check.state, "audit.folder" in check.next) == ("fail", True)
    assert "nothing of that class leaves" in check.detail


def test_what_a_running_gateway_says_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {
        "checks": [{"name": "ledger", "ok": False}, {"name": "audit", "ok": False, "detail": "no record"}]
    }
    monkeypatch.setattr(Gateway, "alive", lambda _: True)
    monkeypatch.setattr(Gateway, "ready", lambda _: told)
    first, second = checked(tmp_path, folder=tmp_path / "chains")
    assert (first.state, second.state, second.detail) == ("ok", "fail", "no record")
    told["checks"][1]["ok"] = True
    assert len(checked(tmp_path, folder=tmp_path / "chains")) == 1
