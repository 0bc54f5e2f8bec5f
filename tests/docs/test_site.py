"""The documentation builds as a site, and nothing in it is questionable to the builder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tools.docs.blocks import ROOT

pytestmark = pytest.mark.slow


def test_the_site_builds(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for language in ("en", "zh-Hant"):
        assert (site / language / "tutorials" / "first-ten-minutes" / "index.html").is_file()
