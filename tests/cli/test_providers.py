"""``nearfar providers``: what is known, and which keys are there by name."""

from __future__ import annotations

from tests.cli.conftest import Cli

from nearfar.providers import registry


def test_ls(cli: Cli) -> None:
    shown = cli("providers", "ls", "--json", ANTHROPIC_API_KEY="sk-hunter2")
    rows = {row["name"]: row for row in shown.json["providers"]}
    assert set(rows) == set(registry.names())
    assert rows["anthropic"]["key_found"] == ["ANTHROPIC_API_KEY"]
    assert rows["openai"]["key_found"] == []
    assert rows["embedded"]["place"] == "device"
    assert "hunter2" not in shown.out
    assert cli("providers", "ls", "-q").out.split() == registry.names()
    table = cli("providers", "ls", ANTHROPIC_API_KEY="sk-hunter2").out
    assert "ANTHROPIC_API_KEY found" in table
    assert "hunter2" not in table
