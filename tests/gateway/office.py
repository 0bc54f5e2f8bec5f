"""Loads whose clock stands still, and attempts that take what they are told to."""

from __future__ import annotations

from typing import Any

from nearfar.core.chat import Usage
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.load import Loads


class Exchange:
    """What a client saw."""

    def __init__(self, started: float, first: float | None) -> None:
        self.started, self.first = started, first


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def deployment(name: str = "d", place: Place = Place.DEVICE, **more: Any) -> Deployment:
    values: dict[str, Any] = {"provider": "p", "model": "m", "wire": "w", "base_url": name}
    return Deployment(name=name, place=place, **(values | more))


class Office:
    """Loads whose clock stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loads = Loads(clock=self.clock)

    def attempt(
        self, known: Deployment, tokens: int, output: int | None, first: float | None, total: float, **usage: Any
    ) -> None:
        """One that began now and ended after ``total`` seconds."""
        began = self.clock.now
        run = self.loads.started(known, tokens, None, Exchange(began, first))
        self.clock.now = began + total
        self.loads.ended(run, well=True, usage=Usage(input=tokens, output=output, **usage))
        self.clock.now += 1.0

    def pace(self, known: Deployment) -> Any:
        return self.loads.of(known).pace(self.clock.now)
