"""The Makefile, where a reader's shell could make it fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def test_an_activated_environment_does_not_hide_the_python_with_pip(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """`.venv` has no pip of its own: what comes after it in PATH is asked."""
    shutil.copy(request.config.rootpath / "Makefile", tmp_path)
    for name in (".venv/bin", "outer"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "python3").write_text("#!/bin/sh\n")
        (folder / "python3").chmod(0o755)
    inside = f"{tmp_path}/.venv/bin:{tmp_path}/outer:{os.environ['PATH']}"
    for active, found in (("", ".venv/bin"), (f"{tmp_path}/.venv", "outer")):
        done = subprocess.run(
            ["make", "-s", "--eval", "probe: ; @command -v python3", "probe"],
            cwd=tmp_path,
            env={"PATH": inside, "VIRTUAL_ENV": active},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{tmp_path / found}/python3\n"


@pytest.mark.parametrize("target", ["test-quick", "test-torch"])
def test_a_shell_that_forbids_bytecode_does_not_make_each_run_compile_everything(
    tmp_path: Path, request: pytest.FixtureRequest, target: str
) -> None:
    shutil.copy(request.config.rootpath / "Makefile", tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "[$PYTHONDONTWRITEBYTECODE]"\n')
    python.chmod(0o755)
    made = subprocess.run(
        [
            "make",
            "-s",
            "RUN=",
            "DEV=",
            "SDKS=",
            "QUICK_SDKS=",
            "BIN=bin",
            "STAGE=.",
            "--assume-old",
            "./.installed",
            target,
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == "[]\n"
