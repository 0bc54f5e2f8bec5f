"""Every source file has its twin test: src/nearfar/X/y.py and tests/X/test_y.py."""

from __future__ import annotations

import ast

from tests.arch.source import ROOT, modules

WITHOUT: dict[str, str] = {}
"""Path → why it has no twin yet. This table only shrinks."""


def needs_a_twin(path: str, tree: ast.Module) -> bool:
    """Whether there is something to test: plain values and protocols have no line to run."""
    if path.rpartition("/")[2] in {"__init__.py", "__main__.py"}:
        return False
    return any(runs(node) for node in ast.walk(tree))


def runs(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return not all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in node.body)
    return isinstance(node, ast.Lambda)


def twin(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/test_{name}".lstrip("/")


def test_every_source_file_has_its_twin() -> None:
    missing = [
        f"src/nearfar/{module.path} has no tests/{twin(module.path)}"
        for module in modules()
        if needs_a_twin(*module) and module.path not in WITHOUT and not (ROOT / "tests" / twin(module.path)).is_file()
    ]
    assert not missing, "\n".join(missing)


def test_the_exceptions_are_still_needed() -> None:
    paths = {module.path for module in modules()}
    assert [path for path in WITHOUT if path not in paths or (ROOT / "tests" / twin(path)).is_file()] == []


def test_the_names() -> None:
    assert twin("core/money.py") == "core/test_money.py"
    assert twin("build.py") == "test_build.py"
    assert not needs_a_twin("core/x.py", ast.parse("class X:\n    a: int = 1"))
    assert not needs_a_twin(
        "core/x.py", ast.parse("class X(Protocol):\n    def f(self) -> int:\n        'Why.'\n        ...")
    )
    assert needs_a_twin("core/x.py", ast.parse("def f(): return 1"))
