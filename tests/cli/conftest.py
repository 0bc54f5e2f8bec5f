"""Runs commands in this process with an environment and a home of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nearfar.cli.main import run


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self.environ = {"HOME": str(home)}
        self._capsys = capsys

    def __call__(self, *args: str, **environ: str) -> Result:
        self._capsys.readouterr()
        code = run(args, {**self.environ, **environ})
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)

    def write(self, text: str, name: str = "config.toml") -> str:
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path, capsys)
