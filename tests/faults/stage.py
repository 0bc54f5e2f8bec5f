"""A gateway in a thread of its own, for tests whose examples hypothesis runs in this one. Stand-ins play the places."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop
from tests import running
from tests.faults.rig import DEADLINES, UPSTREAMS, Rig, access, rig
from tests.faults.test_matrix import balance

from nearfar.core.places import Class, Place
from nearfar.core.routing import Route
from nearfar.gateway.fleet import Snapshot
from nearfar.ledger.query import Entry
from nearfar.standin.server import StandIn

T = TypeVar("T")
Policy = Mapping[str, str]
"""Class → the furthest place that it may reach, both by name."""


class Stage:
    """One gateway under one policy. Use as a context manager; ``ask`` of the tests runs in its loop, see ``run``."""

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        places: Iterable[str],
        config: Callable[[Mapping[str, StandIn]], str],
        *,
        keep_bodies: bool = False,
        keeps: Collection[str] = (),
    ) -> None:
        """``places``: by name, ``device`` and ``cloud`` among them. ``config``: from the stand-ins to what follows the
        deadlines and the policy. ``keep_bodies``: stand-ins remember what they heard. ``keeps``: routes of the
        configuration that stay beside an example's own.
        """
        self._keeps = keeps
        self._keep_bodies = keep_bodies
        self.policy = policy
        self.places = tuple(places)
        self.made: Rig
        self.stand_ins: dict[str, StandIn] = {}
        self.ceilings: dict[str, int] = {}
        """Request → nano-USD that its further attempts may cost, where it has a ceiling."""
        self._folder = folder
        self._config = config
        self._numbers = itertools.count()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._done: asyncio.Event
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main()), name="stage")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def adopt(self, make: Callable[[str], Route]) -> Route:
        """The route that ``make`` makes of a new name, and none of other examples; its deployments are well again."""
        fleet = self.made.gateway.fleet
        route = make(f"route-{next(self._numbers)}")
        kept = {name: found for name, found in fleet.snapshot.routes.items() if name in self._keeps}
        fleet.adopt(Snapshot(fleet.snapshot.targets, {**kept, route.name: route}, fleet.snapshot.unusable))
        for name in fleet.snapshot.targets:
            self.made.gateway.health.forget(name)
        return route

    def totals(self) -> dict[str, int]:
        """Requests that each place has seen."""
        return {place: stand_in.record.report().totals.requests for place, stand_in in self.stand_ins.items()}

    def stayed(self, class_: Class, before: Mapping[str, int]) -> None:
        """Nothing of ``class_`` has reached a place beyond its own since ``before``."""
        furthest = Place.parse(self.policy[class_.label])
        now = self.totals()
        beyond = [place for place in self.places if Place.parse(place) > furthest and now[place] != before[place]]
        assert not beyond, f"{class_.label} reached {beyond}"

    @contextmanager
    def reckoned(self, found: list[Entry]) -> Iterator[Self]:
        """After the block: charges are the invoices, and no attempt is above its class. ``found``: gets them all."""
        yield self
        self.run(self.made.settled())
        found += self.made.entries()
        balance(found, self._folder / "invoices.jsonl")
        above = [entry for entry in found if Place.parse(entry.place) > Place.parse(self.policy[entry.class_])]
        assert not above, "an attempt that its class forbids"

    def within_ceilings(self, found: list[Entry]) -> None:
        """What followed a request cost at most its ceiling, and one reservation."""
        by_request: dict[str, list[Entry]] = {}
        for entry in found:
            if entry.purpose in {"opinion", "escalate"}:
                by_request.setdefault(entry.request, []).append(entry)
        for request, most in self.ceilings.items():
            further = by_request.get(request, [])
            spent = sum(spent_at_most(entry) for entry in further)
            assert spent <= most + max((entry.bound or 0 for entry in further), default=0), further

    async def _main(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as ends:
            for place in self.places:
                invoices = self._folder / "invoices.jsonl" if place == "cloud" else None
                self.stand_ins[place] = StandIn(invoices=invoices, keep_bodies=self._keep_bodies)
                await self.stand_ins[place].start()
                ends.push_async_callback(self.stand_ins[place].stop)
            policy = "".join(f'{name} = "{place}"\n' for name, place in self.policy.items())
            config = f"{DEADLINES}[policy]\n{policy}{self._config(self.stand_ins)}"
            near, far = self.stand_ins["device"], self.stand_ins["cloud"]
            self.made = await ends.enter_async_context(rig(self._folder, config, near=near, far=far))
            # What an example adopts must not be replaced by what a look would find.
            self.made.gateway.fleet._renew = self.made.gateway.fleet._reread = None
            self._ready.set()
            await self._done.wait()


def spent_at_most(entry: Entry) -> int:
    """Nano-USD of an attempt; of one whose cost nobody knows its bound."""
    return (entry.bound or 0) if entry.cost is None else entry.cost


def deployment(name: str, model: str, place: str, url: str, more: str = "", *, dialect: str = "openai") -> str:
    """A deployment at a stand-in, as configuration."""
    provider, path = UPSTREAMS[dialect]
    return f"""
[deployments.{name}]
provider = "{provider}"
model = "{model}"
base_url = "{url}{path}"
place = "{place}"
{access(dialect)}
{running.PRICE if place == "cloud" else ""}
{more}
"""
