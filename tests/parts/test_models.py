"""The models of this machine, as a process offers them."""

from __future__ import annotations

from pathlib import Path

from tests import running
from tests.parts.built import gateway, loaded

from nearfar.core.errors import EngineError
from nearfar.core.places import Place
from nearfar.engine.estimate import plan
from nearfar.engine.gguf import read_header
from nearfar.parts import models


def test_a_model_file_offers_the_context_that_a_request_really_gets(tmp_path: Path, tiny_gguf: Path) -> None:
    running.add_model(tmp_path, tiny_gguf, "mine")
    settings = loaded(tmp_path, engine__context="300")
    with gateway(settings) as made:
        found = made.fleet.snapshot.targets["mine"].deployment
        assert found.context == plan(read_header(tiny_gguf), settings.settings.engine).context
        assert found.place is Place.DEVICE


def test_a_folder_says_when_it_changed_and_one_that_is_not_there_nothing(tmp_path: Path, tiny_gguf: Path) -> None:
    settings = loaded(tmp_path)
    changed = models.changed(settings)
    assert changed() == 0
    running.add_model(tmp_path, tiny_gguf, "mine")
    assert changed() > 0
    assert {found.model for found in models.offered(settings)()} >= {"mine"}


def test_what_a_model_lacks_is_said_with_its_code(tmp_path: Path, tiny_gguf: Path) -> None:
    lacking = models.lacking(loaded(tmp_path))

    def code(name: str) -> str:
        error = lacking(name)
        assert isinstance(error, EngineError)
        return error.code

    assert code("mine") == "engine_model_missing"
    folder = models.library(loaded(tmp_path)).folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.gguf").write_text("I am no model.\n" * 100)
    assert code("mine") == "not_gguf"
    (folder / "mine.gguf").unlink()
    running.add_model(tmp_path, tiny_gguf, "mine")
    assert lacking("mine") is None
