"""One gateway with real models for all tests of the official clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import running
from tests.tiny_gguf import write_chat


@pytest.fixture(scope="session")
def served(
    tiny_gguf: Path, tiny_embedding_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[running.Gateway, str]]:
    """A gateway over the embedded engine that wants a key, and the key."""
    folder = tmp_path_factory.mktemp("served")
    running.add_model(folder, tiny_gguf, "tiny")
    running.add_model(folder, tiny_embedding_gguf, "tiny-embed")
    endless = write_chat(folder / "endless.gguf", eos_bias=-100.0, context=4096)
    running.add_model(folder, endless, "endless")
    running.configure(folder, "")
    made = running.command(folder, "keys", "new", "sdk", "--quiet")
    assert made.returncode == 0, made.stderr
    with running.gateway(folder, "", base=running.BASE.replace("context = 512", "context = 4096")) as gateway:
        yield gateway, made.stdout.strip()


@pytest.fixture(scope="session")
def anthropic_previous() -> Path:
    """The folder that holds a previous major of the anthropic client: PYTHONPATH for a child process."""
    folder = Path(__file__).parents[2] / ".build" / "sdk" / "anthropic-0"
    assert (folder / "anthropic").is_dir(), f"{folder} is missing: make sdk"
    return folder
