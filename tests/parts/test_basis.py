"""What everything else stands on: each part gets what the settings say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.parts.built import FAR, gateway, loaded

from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EgressDenied, RateLimitError
from nearfar.core.places import Place
from nearfar.engine.supervisor import Supervisor
from nearfar.gateway.fleet import build_head
from nearfar.gateway.health import CoolDown
from nearfar.policy.seal import Origin, Sealer


class Engines:
    """Engines of somebody else."""

    def __init__(self) -> None:
        self.closed = False

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        raise NotImplementedError

    def release(self, model: str, owner: str = "") -> None:
        raise NotImplementedError

    async def status(self) -> list[EngineStatus]:
        return []

    async def unload(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        self.closed = True


def test_the_engine_is_ours_or_our_parents_or_none(tmp_path: Path) -> None:
    with gateway(loaded(tmp_path)) as made:
        assert isinstance(made.engines, Supervisor)
    with gateway(loaded(tmp_path, engine__enabled="false")) as made:
        assert made.engines is None
    theirs = Engines()
    with gateway(loaded(tmp_path), engines=theirs) as made:
        assert made.engines is theirs
    assert theirs.closed


def test_each_gateway_trusts_its_own_seals_alone(tmp_path: Path) -> None:
    origin = Origin(scheme="http", host="127.0.0.1", port=1)
    foreign = Sealer(b"0" * 32).probe(
        attempt="a",
        place=Place.DEVICE,
        reach=Place.DEVICE,
        origin=origin,
        target="/",
        head=build_head("GET", "/", origin, ()),
    )
    with gateway(loaded(tmp_path)) as made, pytest.raises(EgressDenied, match="nothing was sent"):
        asyncio.run(made._transport.send(foreign))


def test_cool_downs_are_shown_and_told_to_others(tmp_path: Path) -> None:
    told: list[CoolDown] = []
    with gateway(loaded(tmp_path, FAR), publish=told.append) as made:
        made.health.failed("far", RateLimitError("", retry_after=9))
        ((rest, left),) = made.cooling()
        assert told == [rest]
        assert (rest.deployment, rest.reason) == ("far", "rate_limit_exceeded")
        assert 0 < left <= 9
        made.health.succeeded("far")
        assert list(made.cooling()) == []
