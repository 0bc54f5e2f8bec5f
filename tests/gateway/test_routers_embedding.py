"""The embedding of a prompt is an attempt of its own: near, recorded, bounded in time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.gateway.house import RULES, House, house, pauses, plain, run, snapshot, target
from tests.gateway.scripted import upstream

from nearfar.core.errors import APITimeoutError, DeploymentUnusable, NearfarError, UpstreamError
from nearfar.core.places import Class, Place
from nearfar.core.routing import Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.fleet import Target
from nearfar.gateway.routers_embedding import LONGEST, Embedder
from nearfar.wire.registry import provider_wire

VECTOR = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5]}],"model":"m"}'
TWO = VECTOR.replace(b"}],", b'},{"object":"embedding","index":1,"embedding":[1.0,0.5]}],')
ROUTE = Route(name="main", strategy="local-first", deployments=("far",))


def asking(made: House, *, seconds: float = 5.0) -> Embedder:
    return Embedder("small", Decider(made.fleet, made.health, RULES), made.attempts, seconds=seconds)


def known(port: int, place: Place = Place.DEVICE) -> Target:
    made = target("small", port, place, operations=frozenset({"embeddings"}))
    made.wires = {"embeddings": provider_wire("openai.embeddings")}
    return made


def test_it_is_asked_and_recorded_before_all_attempts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain(VECTOR)) as small, upstream(plain()) as far:
            fleet = snapshot(target("far", far.port), known(small.port))
            async with house(tmp_path, fleet) as made:
                request = made.request()
                long = "begin " + "x" * LONGEST + " end"
                said = Said(header=Class.PUBLIC)
                assert await asking(made)(request, ROUTE, said, long) == [0.25, -0.5]
                await made.answer(request, said)
                embedded, answered = made.entries()
                assert (embedded.attempt, embedded.purpose, embedded.operation) == ("att-1-0", "router", "embeddings")
                assert (embedded.deployment, embedded.route, embedded.outcome) == ("small", "main", "ok")
                assert (answered.attempt, answered.purpose) == ("att-1-1", "serve")
                sent = small.requests[0]
                assert len(sent) < LONGEST + 1000
                assert b"begin" in sent
                assert b" end" in sent

    run(scenario())


@pytest.mark.parametrize("place", [Place.PRIVATE_CLOUD, Place.CLOUD])
def test_far_places_never_get_it(tmp_path: Path, place: Place) -> None:
    async def scenario() -> None:
        async with upstream(plain(VECTOR)) as small:
            fleet = snapshot(known(small.port, place))
            async with house(tmp_path, fleet) as made:
                with pytest.raises(DeploymentUnusable, match="may not be asked"):
                    await asking(made)(made.request(), ROUTE, Said(header=Class.PUBLIC), "hello")
                assert small.connections == 0

    run(scenario())


def test_its_class_may_keep_it_from_the_local_network(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain(VECTOR)) as small:
            fleet = snapshot(known(small.port, Place.LAN))
            async with house(tmp_path, fleet) as made:
                with pytest.raises(NearfarError, match="may not be asked"):
                    await asking(made)(made.request(), ROUTE, Said(header=Class.RESTRICTED), "hello")
                assert small.connections == 0

    run(scenario())


def test_who_takes_too_long_or_says_nothing_is_an_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        never = asyncio.Event()
        async with upstream(plain(TWO), pauses(b"", b"", never)) as small:
            fleet = snapshot(known(small.port))
            async with house(tmp_path, fleet) as made:
                with pytest.raises(UpstreamError, match="gave 2 embeddings"):
                    await asking(made)(made.request(), ROUTE, Said(), "hello")
                with pytest.raises(APITimeoutError, match=r"0\.05 s"):
                    await asking(made, seconds=0.05)(made.request(), ROUTE, Said(), "hello")
                assert [entry.outcome for entry in made.entries()] == ["ok", "cancelled"]

    run(scenario())
