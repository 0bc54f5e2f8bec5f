"""Words to runtimes: where they go, what they carry, and that a key never comes back in an error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gateway.house import closes, plain
from tests.gateway.scripted import SEALER, transport, upstream

from nearfar.core.errors import NearfarError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.fleet import Target
from nearfar.gateway.life_asking import ANSWER, Runtimes
from nearfar.providers import registry
from nearfar.providers.base import Call
from nearfar.wire.registry import provider_wire

PROVIDERS = registry.load_all()


def target(port: int, path: str = "", provider: str = "ollama") -> Target:
    deployment = Deployment(
        name="near",
        provider=provider,
        model="small",
        wire="openai.chat",
        base_url=f"http://127.0.0.1:{port}{path}",
        place=Place.DEVICE,
    )
    return Target(deployment, {"chat": provider_wire("openai.chat")}, (("authorization", "Bearer sk-hidden-1234"),))


def asking(sending: Any, reach: Place = Place.CLOUD) -> Runtimes:
    return Runtimes(PROVIDERS, sending, SEALER, reach=reach)


def test_a_runtime_is_asked_beside_its_chat_with_its_key() -> None:
    async def scenario() -> None:
        async with upstream(plain(b"[]")) as there, transport() as sending:
            call = Call(method="POST", path="/api/show", body=b"{}")
            assert await asking(sending).send(target(there.port, "/behind/v1", "llama-cpp"), call, ANSWER) == b"[]"
            [request] = there.requests
            assert request.startswith(b"POST /behind/api/show HTTP/1.1\r\n")
            assert b"authorization: Bearer sk-hidden-1234" in request
            assert request.endswith(b"{}")

    asyncio.run(scenario())


def test_a_connection_that_the_runtime_had_closed_is_replaced_once() -> None:
    async def scenario() -> None:
        async with upstream(plain(b"1"), closes(b""), plain(b"2")) as there, transport() as sending:
            runtimes, call = asking(sending), Call(method="GET", path="/api/ps", body=b"")
            assert await runtimes.send(target(there.port), call, ANSWER) == b"1"
            assert await runtimes.send(target(there.port), call, ANSWER) == b"2"
            assert there.connections == 2

    asyncio.run(scenario())


def test_a_refusal_tells_no_key_and_means_that_nothing_is_known() -> None:
    async def scenario() -> None:
        refusal = plain(b'{"error": "bad key sk-hidden-1234"}', b"401 Unauthorized")
        async with upstream(every=refusal) as there, transport() as sending:
            runtimes, near = asking(sending), target(there.port)
            with pytest.raises(NearfarError) as raised:
                await runtimes.send(near, Call(method="GET", path="/api/ps", body=b""), ANSWER)
            assert "sk-hidden" not in str(raised.value)
            life = PROVIDERS["ollama"].life
            assert life is not None
            assert await runtimes.running(near, life) is None

    asyncio.run(scenario())
