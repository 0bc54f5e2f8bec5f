"""Without its packages: what it says then. What it does with them is shown in tests/stages."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from nearfar.core import install
from nearfar.engine import child_transformers

NOTHING: Any = None
"""A configuration that nobody may look at."""


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    if package == "transformers":
        monkeypatch.setitem(sys.modules, "torch", sys)  # as if it were there
    monkeypatch.setitem(sys.modules, package, None)
    ready, model = child_transformers.load(NOTHING)
    assert model is None
    assert (ready.ok, ready.code) == (False, "engine_missing")
    assert ready.hint == f"Install it with: {install.command('transformers')}"
