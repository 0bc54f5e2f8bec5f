"""What tests of several rooms share."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests import postgres, quiet, running
from tests import stand_in as stand_ins
from tests.examples import HUNDRED

quiet.refuse_the_network()
# How long an example takes says something of the machine only; the first one of a test also pays for what is loaded.
settings.register_profile("nearfar", deadline=None, max_examples=HUNDRED)
settings.load_profile("nearfar")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: looking through it again and again for garbage was a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(10_000, 20, 100)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test process; started by the first test that asks."""
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store' / 'ledger.db'}"
        return
    server: str = request.getfixturevalue("postgres_url")
    name = f"t{uuid.uuid4().hex}"
    yield postgres.schema(server, name)
    postgres.drop_schema(server, name)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model of 0.2 MB with random weights (ChatML, tools, 2048 tokens): real engine, nonsense answers."""
    from tests.tiny_gguf import write_chat  # gguf and numpy: only where a test asks for a model

    return write_chat(tmp_path_factory.mktemp("models") / "tiny-chat.gguf")


@pytest.fixture(scope="session")
def tiny_embedding_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding model (bert, mean pooling, 32 dimensions, 128 tokens) with random weights."""
    from tests.tiny_gguf import write_embedding  # gguf and numpy: only where a test asks for a model

    return write_embedding(tmp_path_factory.mktemp("models") / "tiny-embedding.gguf")


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[stand_ins.Running]:
    """A stand-in for a cloud, answering on loopback; its invoices are in ``tmp_path / "invoices.jsonl"``."""
    with stand_ins.running(invoices=tmp_path / "invoices.jsonl") as running:
        yield running


@pytest.fixture(scope="session")
def openai_previous() -> Path:
    """The folder that holds the previous major of the openai client: PYTHONPATH for a child process."""
    folder = Path(__file__).parent.parent / ".build" / "sdk" / "openai-2"
    assert (folder / "openai").is_dir(), f"{folder} is missing: make sdk"
    return folder


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Callable[..., running.Gateway]]:
    """Starts gateways as programs: ``gateway(config, **more)`` as ``running.gateway``; stopped when the test ends."""
    with ExitStack() as stack:
        count = 0

        def start(config: str, *, folder: Path | None = None, **more: Any) -> running.Gateway:
            nonlocal count
            count += 1
            folder = folder or tmp_path / f"gateway-{count}"
            return stack.enter_context(running.gateway(folder, config, **more))

        yield start
