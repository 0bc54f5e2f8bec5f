"""Checks links between Markdown files and the headings that they point at. It asks no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def prose(text: str) -> str:
    """``text`` without code."""
    return _CODE.sub("", _FENCE.sub("", text))


def targets(text: str) -> list[str]:
    """The targets of the links in ``text``."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """The names of the headings in ``text``, as GitHub makes them."""
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


def broken(page: Path, root: Path) -> Iterator[str]:
    """What is wrong with the links of ``page``; nothing below ``root`` may be missed, nothing above it named."""
    for target in targets(page.read_text("utf-8")):
        if _OUTSIDE.match(target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / unquote(name)).resolve() if name else page
        if not path.is_relative_to(root):
            yield f"{target} leaves the repository"
        elif not path.is_file():
            yield f"{target} is not there"
        elif anchor and path.suffix == ".md" and unquote(anchor) not in anchors(path.read_text("utf-8")):
            yield f"{target}: no such heading"
