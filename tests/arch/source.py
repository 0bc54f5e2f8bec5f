"""The package's sources, parsed once for the rules that are checked on them."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "nearfar"


class Module(NamedTuple):
    """One source file; ``path`` is relative to the package, with slashes."""

    path: str
    tree: ast.Module


def parse(path: str, text: str) -> Module:
    return Module(path, ast.parse(text, path))


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    return tuple(parse(file.relative_to(PACKAGE).as_posix(), file.read_text("utf-8")) for file in files)


@functools.cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Everything in ``tree``: each rule goes through all of it."""
    return tuple(ast.walk(tree))


def tracked() -> Iterator[Path]:
    """Every file under version control that is still there."""
    # A checkout may belong to another user than the one who runs the tests (root in CI): git has to be told.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            yield ROOT / name


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for a name or a chain of attributes; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else f".{node.attr}"
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ""


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported: ``from a import b`` counts as ``a.b``."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
