"""The command as it is installed: a process of its own, its exit codes and its streams."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli

from nearfar import __version__


def command(
    *args: str, home: Path, environ: Mapping[str, str] | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nearfar", *args],
        env={"HOME": str(home), "PATH": os.defpath, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=home,
        **more,
    )


def test_version(tmp_path: Path, cli: Cli) -> None:
    done = command("--version", home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nearfar {__version__}\n", "")
    assert cli("-V").out == f"nearfar {__version__}\n"


def test_version_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from nearfar.cli.main import run; run(['--version'], {}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"typer", "rich", "msgspec", "asyncio", "uvloop"} & set(done.stdout.split())


def test_commands_load_what_they_need_and_no_more(tmp_path: Path) -> None:
    code = (
        "import sys; from nearfar.cli.main import run; run(['config', 'check'], {'HOME': sys.argv[1]});"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert not {"asyncio", "uvloop", "httptools", "sqlite3", "xllamacpp", "http.client", "rich.table"} & loaded


def test_usage_errors_exit_with_2(tmp_path: Path) -> None:
    done = command("config", "shwo", home=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "show" in done.stderr


def test_an_argument_in_another_encoding_is_told(cli: Cli) -> None:
    done = cli("run", "auto", os.fsdecode("你好".encode("big5")))
    assert done.code == 2
    assert "argument 3 is not UTF-8" in done.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("what", ["schema", "check"], ids=["more than a buffer", "less, which waits for the exit"])
def test_a_full_disk_is_told(what: str, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nearfar", "config", what],
            env={"HOME": str(tmp_path), "PATH": os.defpath},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: The output cannot be written: No space left on device.\n")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--version >&-", 0, ""),
        ("providers ls >&-", 0, ""),
        ("--version >/dev/full", 1, "error: The output cannot be written"),
    ],
)
def test_output_may_be_closed_or_full(words: str, code: int, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.quote(sys.executable)} -m nearfar {words}"],
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.partition(":")[0]) == (code, said.partition(":")[0]), done.stderr
    assert done.stderr.startswith(said)


@pytest.mark.parametrize("what", ["schema", "check"], ids=["more than a buffer", "less, which waits for the exit"])
def test_a_reader_that_leaves_is_no_crash(what: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nearfar", "config", what],
            env={"HOME": str(tmp_path), "PATH": os.defpath},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("args", [(), ("config",)])
def test_without_a_command_the_help_is_shown(cli: Cli, args: tuple[str, ...]) -> None:
    result = cli(*args)
    assert result.code == 2
    assert "Usage: nearfar" in result.out + result.err


def test_a_stream_that_cannot_show_a_character_gets_a_question_mark(tmp_path: Path) -> None:
    shown = command("route", "explain", "hi", home=tmp_path, environ={"PYTHONIOENCODING": "latin-1"})
    assert shown.returncode == 0
    assert "Traceback" not in shown.stderr
    assert shown.stdout.startswith("auto ? route auto")


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("open('ran', 'w').close()\n")
    (tmp_path / "dis.py").write_text("open('ran', 'w').close()\n")
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "nearfar",
            "doctor",
        ],  # -P: as the installed command, whose path has no such folder
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert "engine" in done.stdout
    assert not (tmp_path / "ran").exists()
