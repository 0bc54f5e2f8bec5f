"""Models that real engines answer with, made once per session by the stage itself."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is slow and needs the stage."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.torch)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``chat``, ``onnx`` (the same model) and ``embed``: see make_models.py."""
    needed = ("torch", "transformers", "onnxruntime_genai")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    assert not missing, f"{', '.join(missing)} are missing: make test-torch"
    folder = tmp_path_factory.mktemp("made")
    made = subprocess.run(
        [sys.executable, Path(__file__).with_name("make_models.py"), folder],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return folder
