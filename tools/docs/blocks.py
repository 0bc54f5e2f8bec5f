"""Blocks of generated text in Markdown files, between two comments: finding and replacing them. It knows no content."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(<!-- begin generated: ([a-z0-9-]+) -->\n)(.*?)(<!-- end generated -->)", re.DOTALL)

Render = Callable[[str, str], str]
"""(block's name, language) → its text. Raises KeyError for an unknown name."""


def pages() -> list[Path]:
    """The Markdown files that people read: the READMEs and the two trees of docs."""
    top = [ROOT / name for name in ("README.md", "README.zh-TW.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def language(page: Path) -> str:
    """``zh`` for Traditional Chinese pages, else ``en``."""
    return "zh" if "zh-Hant" in page.parts or page.name.endswith(".zh-TW.md") else "en"


def names(text: str) -> list[str]:
    """The blocks that ``text`` has, in order."""
    return [match[2] for match in _BLOCK.finditer(text)]


def fill(text: str, language: str, render: Render) -> str:
    """``text`` with every block written anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{render(match[2], language).strip()}\n{match[4]}", text)
