"""What is shipped: the wheel holds the package, its data and its licence, nothing else, and works on its own."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.arch.source import PACKAGE, ROOT, tracked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def shipped() -> set[str]:
    return {path.relative_to(PACKAGE.parent).as_posix() for path in tracked() if PACKAGE in path.parents}


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    [wheel] = dist.glob("nearfar-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        meta = next(name for name in names if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        metadata = archive.read(f"{meta}/METADATA").decode()
        assert "nearfar = nearfar.cli.main:main" in archive.read(f"{meta}/entry_points.txt").decode()
        assert archive.read(f"{meta}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert {name for name in names if not name.startswith(meta)} >= shipped()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Provides-Extra: local" in metadata
    strange = [name for name in names if not name.startswith((f"{meta}/", "nearfar/")) or "__pycache__" in name]
    assert strange == []


def test_the_wheel_works_on_its_own(dist: Path, tmp_path: Path) -> None:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import sys; sys.path.insert(0, sys.argv[1]); import nearfar; print(nearfar.__file__)\n"
    code += "from nearfar.cli.main import main; sys.argv = ['nearfar', '--version']; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(tmp_path)), done.stderr
    assert "0." in done.stdout.splitlines()[-1]


def test_the_source_archive_can_build_and_test_itself(dist: Path) -> None:
    [archive] = dist.glob("nearfar-*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    needed = {
        "Makefile",
        "pyproject.toml",
        "LICENSE",
        "requirements/dev.lock",
        "tests/conftest.py",
        "src/nearfar/__init__.py",
    }
    assert needed <= names
