"""A route as its owner has it, for the tests of the drill."""

from __future__ import annotations

from nearfar.core.money import NANO, Price
from nearfar.core.places import Place
from nearfar.core.routing import Capability, Deployment, Route

ROUTE = Route(name="main", strategy="local-first", deployments=("near", "far"))


def deployment(name: str, place: Place) -> Deployment:
    return Deployment(
        name=name,
        provider="openai",
        model="their-model",
        wire="openai.chat",
        base_url="https://cloud.example/v1",
        key="env:SECRET",
        place=place,
        capabilities={"tools": Capability(can=True), "audio": Capability()},
        context=8192,
        price=Price(id="p", input=2 * NANO, output=8 * NANO),
        headers={"authorization": "Bearer secret"},
    )


NEAR, FAR = deployment("near", Place.DEVICE), deployment("far", Place.CLOUD)
