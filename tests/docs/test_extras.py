"""Lines that install an extra work from a copy of the repository: no index has nearfar yet."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
INSTALLS = re.compile(r"install (?:--editable )?['\"]([^'\"]*)\[([a-z,]+)\]['\"]")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_extras_are_installed_from_the_repository_and_exist(page: Path) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for where, extras in INSTALLS.findall(page.read_text("utf-8")):
        assert where == ".", f"{where}[{extras}] is on no index"
        assert set(extras.split(",")) <= known.keys()


def test_some_page_says_how() -> None:
    assert sum(bool(INSTALLS.search(page.read_text("utf-8"))) for page in PAGES) >= 10
