"""Every command is there, explains itself, and keeps the habits."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from tests.cli.conftest import Cli

from nearfar.cli.app import app

COMMANDS = [
    "serve",
    "chat",
    "run",
    "models add",
    "models ls",
    "models rm",
    "models load",
    "models unload",
    "models pull",
    "models verify",
    "models search",
    "models show",
    "models licence",
    "fit",
    "hardware",
    "ps",
    "providers ls",
    "providers discover",
    "providers test",
    "providers forget",
    "route ls",
    "route explain",
    "eval",
    "router fit",
    "router score",
    "router eval",
    "router cascade",
    "router certify",
    "router status",
    "router labels",
    "router forget",
    "usage",
    "advise",
    "verify-egress",
    "drill",
    "doctor",
    "demo",
    "config show",
    "config check",
    "config schema",
    "keys new",
    "keys ls",
    "keys revoke",
    "policy show",
    "policy presets",
    "policy test",
    "audit verify",
    "audit export",
    "audit prove",
    "audit anchor",
    "privacy scan",
    "privacy mask",
    "privacy restore",
]


def tree(group: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= tree(command, (*path, name))
        else:
            found[" ".join((*path, name))] = command
    return found


LEAVES = tree(typer.main.get_command(app))


def test_the_commands() -> None:
    assert sorted(LEAVES) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_explains_itself(cli: Cli, name: str) -> None:
    result = cli(*name.split(), "--help")
    assert result.code == 0
    assert f"Usage: nearfar {name}" in result.out
    assert LEAVES[name].help


def test_what_lists_or_shows_speaks_json() -> None:
    without = [name for name, command in LEAVES.items() if "--json" not in {o for p in command.params for o in p.opts}]
    # A conversation has no one object; a schema and lines of records are JSON already; a text stays one.
    assert sorted(without) == ["audit export", "chat", "config schema", "privacy mask", "privacy restore"]
