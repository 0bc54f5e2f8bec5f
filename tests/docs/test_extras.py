"""Lines that install an extra work from a copy of the repository: no index has nearfar yet."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
INSTALLS = re.compile(r"install (?:--editable )?['\"]([^'\"]*)\[([a-z,]+)\]['\"]")


def test_extras_are_installed_from_the_repository_and_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = 0
    for page in PAGES:
        lines = INSTALLS.findall(page.read_text("utf-8"))
        told += bool(lines)
        for where, extras in lines:
            assert where == ".", f"{page}: {where}[{extras}] is on no index"
            assert set(extras.split(",")) <= known.keys(), page
    assert told >= 10, "hardly any page says how"
