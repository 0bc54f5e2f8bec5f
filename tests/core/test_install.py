"""The line that installs an optional part fits the way nearfar itself was installed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from nearfar.core import install


class Installed(Distribution):
    """A distribution whose direct_url.json says ``note``."""

    def __init__(self, note: str | None) -> None:
        self._note = note

    def read_text(self, filename: str) -> str | None:
        return self._note if filename == "direct_url.json" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (None, '"nearfar[store]"'),
        ('{"url": "https://example.org/nearfar.whl", "archive_info": {}}', '"nearfar[store]"'),
        ('{"url": "file:///opt/near%20far", "dir_info": {}}', '"/opt/near far[store]"'),
        ('{"url": "file:///opt/nearfar", "dir_info": {"editable": true}}', '--editable "/opt/nearfar[store]"'),
        ("no JSON", '"nearfar[store]"'),
    ],
)
def test_a_checkout_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch, note: str | None, told: str) -> None:
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed(note))
    assert install.command("store").endswith(f" install {told}")


def test_a_python_without_pip_is_installed_into_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert install.command("store").startswith(f'python3 -m pip --python "{sys.executable}" install ')
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: sys.__spec__)
    assert install.command("store").startswith("python -m pip install ")
