"""``nearfar demo``: every scene holds with a real engine, nothing stays, and a scene that does not hold is told."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.cli.conftest import Cli

from nearfar.cli import demo, demo_scenes
from nearfar.cli.demo_stage import Cloud, Stage, configuration
from nearfar.settings.load import load

STAND_IN = Cloud(real=False, title="stand-in")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """An empty folder with a short path, as a temporary folder has."""
    with tempfile.TemporaryDirectory(prefix="nf-") as folder:
        yield Path(folder)


def leftovers(folder: Path) -> tuple[list[str], list[int]]:
    return os.listdir(folder), [child.pid for child in psutil.Process().children(recursive=True)]


@pytest.mark.slow
def test_all_scenes_hold_and_nothing_stays(cli: Cli, tiny_gguf: Path, temporary: Path) -> None:
    before = leftovers(temporary)
    result = cli("demo", "--model", str(tiny_gguf), "--json", TMPDIR=str(temporary), OPENAI_API_KEY="")
    told = result.json
    assert result.code == 0, result.err
    assert told["ok"] is True
    assert told["real_cloud"] is False
    places = [scene["ran"] for scene in told["scenes"]]
    assert places == [
        "near (device)",
        "far (cloud)",
        "stand-in (cloud)",
        "near (device)",
        "far (cloud)",
        "stand-in (cloud)",
        "stand-in (cloud)",
    ]
    by_title = {scene["scene"]: scene for scene in told["scenes"]}
    assert "do not fit a context" in by_title["long question"]["why"]
    assert by_title["engine is killed"]["cost"] > 0
    assert leftovers(temporary) == before


def test_a_scene_that_does_not_hold_is_told_and_fails(
    cli: Cli, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stage: Stage, title: str) -> demo_scenes.Row:
        reply = stage.ask("near-first", "hello")
        return demo_scenes._row(stage, title, "hello", reply, demo_scenes._answered(reply, "cloud"))

    scenes = (demo_scenes.SCENES[0], demo_scenes.Scene(title="not so", play=broken))
    monkeypatch.setattr(demo_scenes, "SCENES", scenes)
    result = cli("demo", "--model", str(tiny_gguf), "--stand-in", OPENAI_API_KEY="sk-hunter2")
    assert result.code == 1
    assert "not a real cloud" in result.out
    lines = result.out.splitlines()
    assert any(line.startswith("ok ") and "easy question" in line for line in lines)
    assert any(line.startswith("FAILED") and "it ran at device, not at cloud" in line for line in lines)
    assert lines[-1] == "1 of 2 went as promised."
    assert "hunter2" not in result.out


def test_an_interrupted_demo_leaves_nothing(temporary: Path, tiny_gguf: Path) -> None:
    before = leftovers(temporary)

    def play() -> None:
        with Stage({"TMPDIR": str(temporary)}, STAND_IN, tiny_gguf, "demo-own") as stage:
            stage.ask("near-first", "hello")
            assert leftovers(temporary) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play()
    assert leftovers(temporary) == before


def test_a_real_cloud_is_chosen_by_its_key_and_said_loudly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    environ = {"ANTHROPIC_API_KEY": "sk-hunter2"}
    assert not demo.choose_cloud({}, stand_in=False).real
    assert not demo.choose_cloud(environ, stand_in=True).real
    cloud = demo.choose_cloud(environ, stand_in=False)
    demo.announce(cloud, "demo-tiny")
    out = capsys.readouterr().out
    assert "ANTHROPIC" in out
    assert "A REAL CLOUD, for ANTHROPIC_API_KEY is set" in out
    text = configuration(tmp_path, "http://127.0.0.1:1", cloud, "demo-tiny")
    assert "hunter2" not in text + out
    (tmp_path / "demo.toml").write_text(text)
    settings = load(config=tmp_path / "demo.toml", environ={"HOME": str(tmp_path)}).settings
    assert settings.deployments["far"].key == "env:ANTHROPIC_API_KEY"
    assert settings.deployments["stand-in"].key == ""


def test_a_model_that_cannot_play(cli: Cli, tiny_embedding_gguf: Path) -> None:
    assert "cannot chat" in cli("demo", "--model", str(tiny_embedding_gguf)).err
    assert cli("demo", "--model", cli.write("x", "x.gguf")).code == 1
