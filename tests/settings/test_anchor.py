"""Paths of routers count from the file that names them, and from no other folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.settings.errors import SettingsError
from nearfar.settings.load import load

DEPLOYMENTS = """
[deployments.near]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "m"
[deployments.far]
provider = "openai-compatible"
base_url = "http://127.0.0.1:2/v1"
model = "m"
"""


def write(folder: Path, router: str, routes: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(
        f'{DEPLOYMENTS}[routes.r]\ndeployments = ["near", "far"]\nrouter = {router}\n{routes}', encoding="utf-8"
    )
    return path


def test_they_count_from_the_files_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a: b"
    folder.mkdir()
    path = write(folder, '{ file = "sub/r.npz", certificate = "/absolute/c.json" }')
    found = load(config=path, environ={"HOME": str(tmp_path)}, system=tmp_path / "none")
    router = found.settings.routes["r"].router
    assert router is not None
    assert router.file == str(folder / "sub/r.npz")
    assert router.certificate == "/absolute/c.json"


def test_from_elsewhere_the_whole_path_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path, '{ file = "r.npz", threshold = 0.1 }')
    environ = {"HOME": str(tmp_path)}
    with pytest.raises(SettingsError, match=r"routes.r.router.file.*no absolute path") as caught:
        load(config=path, overrides={"routes.r.router.file": "here.npz"}, environ=environ, system=tmp_path / "none")
    assert "Write the whole path" in caught.value.text
    whole = {"routes.r.router.file": "/r.npz"}
    found = load(config=path, overrides=whole, environ=environ, system=tmp_path / "none")
    assert found.settings.routes["r"].router is not None
    assert found.settings.routes["r"].router.file == "/r.npz"
