"""The official JavaScript clients, unmodified, against a real gateway: openai, Anthropic, Google, Ollama."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests import running

Served = tuple[running.Gateway, str]

HERE = Path(__file__).parent / "node"
STAGE = HERE.parents[2] / ".build" / "node"
CHECKS = re.findall(r"(?m)^  async (\w+)\(", (HERE / "checks.mjs").read_text())

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def found(served: Served) -> dict[str, str]:
    """What one run of every check found: {name: error or ""}."""
    gateway, key = served
    assert (STAGE / "node_modules").is_dir(), f"{STAGE} is missing: make node"
    node = (STAGE / "node").read_text().strip()
    # Modules are looked for beside the script, so it runs from where they were installed.
    (STAGE / "checks.mjs").write_text((HERE / "checks.mjs").read_text())
    done = subprocess.run(
        [node, "checks.mjs", gateway.url, key],
        cwd=STAGE,
        env=running.environment(gateway.folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


def test_every_check_ran(found: dict[str, str]) -> None:
    assert sorted(found) == sorted(CHECKS)
    assert len(CHECKS) >= 15


@pytest.mark.parametrize("name", CHECKS)
def test_javascript(found: dict[str, str], name: str) -> None:
    assert not found[name], found[name]
