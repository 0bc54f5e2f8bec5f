"""Who may load and unload models: with keys, operators; without, everybody on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from tests.fake_ollama import here
from tests.server.served import Served, loaded, run, served

from nearfar.store import keys
from nearfar.store.database import connect

EMPTY: list[tuple[str, dict[str, Any]]] = [
    ("/api/generate", {"model": "near", "keep_alive": 0}),
    ("/api/generate", {"model": "near"}),
    ("/api/chat", {"model": "near", "messages": [], "keep_alive": "0s"}),
    ("/api/embed", {"model": "near", "keep_alive": 0}),
    ("/nearfar/v1/load", {"model": "near"}),
    ("/nearfar/v1/unload", {"model": "near"}),
]


def config(url: str) -> str:
    return f'[deployments.near]\nprovider = "ollama"\nmodel = "big"\nplace = "device"\nbase_url = "{url}"\n'


def two_keys(url: str) -> tuple[str, str]:
    """A caller's and an operator's."""
    with contextlib.closing(connect(url)) as connection:
        keys.prepare(connection)
        return keys.new(connection, "app")[1], keys.new(connection, "ops", operator=True)[1]


@pytest.mark.parametrize(("path", "body"), EMPTY)
def test_with_keys_it_takes_an_operator(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with here({"big:latest": 4096}) as fake:
            settings = loaded(tmp_path, config(fake.url), server__require_key="true")
            plain, operator = two_keys(settings.ledger_url)
            async with served(settings) as app:
                await refused_and_then_done(app, path, body, plain, operator, fake)

    run(scenario())


async def refused_and_then_done(app: Served, path: str, body: Any, plain: str, operator: str, fake: Any) -> None:
    before = len(fake.loads)
    refused = await app.ask(path, body, headers={"authorization": f"Bearer {plain}"})
    assert (refused.status, refused.headers["x-nearfar-error"]) == (403, "operator_required")
    assert b"--operator" in refused.body
    assert len(fake.loads) == before
    done = await app.ask(path, body, headers={"authorization": f"Bearer {operator}"})
    assert done.status in {200, 404}, done.body
    assert done.headers.get("x-nearfar-error") != "operator_required"
    assert (await app.ask("/api/ps", headers={"authorization": f"Bearer {plain}"})).status == 200, "looking is for all"


@pytest.mark.parametrize(("path", "body"), EMPTY)
def test_without_keys_everybody_on_this_machine_is_one(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with here({"big:latest": 4096}) as fake, served(loaded(tmp_path, config(fake.url))) as app:
            assert (await app.ask(path, body)).status in {200, 404}

    run(scenario())


BESIDE: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {"messages": [{"role": "user", "content": "a b"}], "stream": False}),
    ("/api/generate", {"prompt": "a b", "stream": False}),
    ("/api/embed", {"input": "a b"}),
]


@pytest.mark.parametrize(("path", "body"), BESIDE)
def test_how_long_a_model_stays_is_not_every_callers_to_say(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    """Beside a question ``keep_alive`` is left out, and that is told: else one caller could fill everybody's memory."""

    async def scenario() -> None:
        async with here({"big:latest": 4096}) as fake:
            settings = loaded(tmp_path, config(fake.url), server__require_key="true")
            plain, operator = two_keys(settings.ledger_url)
            async with served(settings) as app:
                for key, travels in ((plain, False), (operator, True)):
                    asked = {"model": "near", "keep_alive": -1, **body}
                    reply = await app.ask(path, asked, headers={"authorization": f"Bearer {key}"})
                    # The fake has no embeddings to give; what it was asked is what counts.
                    assert reply.status == (502 if path == "/api/embed" else 200), reply.body
                    came = [told for where, told in fake.asked if where == path][-1]
                    assert ("keep_alive" in came) is travels
                    told = "dropped:keep_alive" in reply.headers.get("x-nearfar-deviations", "")
                    assert told is not travels

    run(scenario())
