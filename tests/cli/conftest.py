"""Runs commands in this process with an environment and a home of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests import stand_in
from tests.cli import serving

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


@pytest.fixture(scope="session")
def cloud() -> Iterator[stand_in.Running]:
    """One stand-in for all tests of the terminal; each test sets its behaviour back."""
    with stand_in.running(keep_bodies=False) as running:
        yield running


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path, cloud: stand_in.Running
) -> Iterator[serving.Server]:
    """One gateway for all tests of the terminal, with a near and a far deployment."""
    home = tmp_path_factory.mktemp("home")
    models = home / ".local/share/nearfar/models"
    models.mkdir(parents=True)
    (models / "tiny-chat.gguf").symlink_to(tiny_gguf)
    config = serving.write_config(home, cloud.url)
    with serving.serving(home, "--config", str(config)) as running:
        yield running
