"""Random routes over random faults: nothing above its class leaves, charges are the invoices, ends are honest.

One gateway for each policy; the routes of an example exist for that example alone.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import running
from tests.faults.rig import DEADLINES, Rig, judge, played, rig, words
from tests.faults.speakers import SPEAKERS
from tests.faults.test_matrix import balance

from nearfar.core.places import Class, Place
from nearfar.core.routing import Route
from nearfar.gateway.fleet import Snapshot
from nearfar.standin.faults import PREFIX, catalogue
from nearfar.standin.server import StandIn

T = TypeVar("T")
PLACES = {"device": Place.DEVICE, "lan": Place.LAN, "cloud": Place.CLOUD}
SLOW = {"silence", "endless-head", "no-first", "stall", "half-close", "swapping"}
ADDRESSES = {"refused", "no-name", "no-tls", "not-running"}
FAULTS = sorted(
    name
    for name, fault in played().items()
    if name not in SLOW | ADDRESSES and "openai" in fault.dialects and "told" not in {fault.plain, fault.stream}
)
POLICIES = {
    "open": {"public": "cloud", "internal": "cloud", "confidential": "cloud", "restricted": "cloud"},
    "steps": {"public": "cloud", "internal": "cloud", "confidential": "lan", "restricted": "device"},
    "closed": {"public": "lan", "internal": "device", "confidential": "device", "restricted": "device"},
}
RETRIES = "[retries]\nagain = 1\nattempts = 5\npause = 0.01\nlongest = 0.05\n"
BUDGET = 5


class Asked(NamedTuple):
    """One example."""

    behind: list[tuple[str, str]]
    """(place, fault) of each deployment; an empty fault is none."""
    strategy: str
    class_: str
    floor: str
    speaker: str
    stream: bool
    hedged: bool
    client_retry: int


class Stage:
    """A gateway in a thread of its own, for tests that hypothesis runs in this one."""

    def __init__(self, folder: Path, policy: dict[str, str]) -> None:
        self.policy = policy
        self.folder = folder
        self.made: Rig
        self.stand_ins: dict[str, StandIn] = {}
        self.numbers = itertools.count()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._done: asyncio.Event
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main()), name="properties")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _main(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as ends:
            for place in PLACES:
                invoices = self.folder / "invoices.jsonl" if place == "cloud" else None
                self.stand_ins[place] = StandIn(invoices=invoices)
                await self.stand_ins[place].start()
                ends.push_async_callback(self.stand_ins[place].stop)
            far = self.stand_ins["cloud"]
            config = DEADLINES + RETRIES + self._configuration()
            self.made = await ends.enter_async_context(rig(self.folder, config, near=self.stand_ins["device"], far=far))
            # What an example adopts must not be replaced by what a look would find.
            self.made.gateway.fleet._renew = self.made.gateway.fleet._reread = None
            self._ready.set()
            await self._done.wait()

    def _configuration(self) -> str:
        lines = ["[policy]\n", *(f'{name} = "{place}"\n' for name, place in self.policy.items())]
        lines += [
            f"""
[deployments.{place}-{fault or "well"}]
provider = "openai-compatible"
model = "{PREFIX + fault if fault else "stand-in-large"}"
base_url = "{stand_in.url}/v1"
place = "{place}"
{running.PRICE if place == "cloud" else ""}
"""
            for place, stand_in in self.stand_ins.items()
            for fault in ("", *FAULTS)
        ]
        return "".join(lines)

    async def ask(self, asked: Asked) -> None:
        """Ask, and judge all that came of it."""
        made = self.made
        name = f"route-{next(self.numbers)}"
        known = made.gateway.fleet.snapshot
        names = tuple(dict.fromkeys(f"{place}-{fault or 'well'}" for place, fault in asked.behind))
        route = Route(
            name=name,
            strategy=asked.strategy,
            deployments=names,
            floor=Class.parse(asked.floor),
            hedge_after=0.001 if asked.hedged else None,
        )
        made.gateway.fleet.adopt(Snapshot(known.targets, {name: route}, known.unusable))
        for item in names:
            made.gateway.health.forget(item)
        before = {place: stand_in.record.report().totals.requests for place, stand_in in self.stand_ins.items()}
        speaker = SPEAKERS[asked.speaker]
        headers = (("x-nearfar-class", asked.class_), ("x-stainless-retry-count", str(asked.client_retry)))
        got = await made.ask(speaker, name, stream=asked.stream, headers=headers)
        right = set().union(*(words(catalogue()[fault] if fault else None) for _, fault in asked.behind))
        came, why = judge(speaker, got, right, stream=asked.stream)
        assert came != "wrong", why
        self._stayed(asked, before)
        self._answered(asked, came, why, names)
        per = 1 if asked.client_retry else 2
        told = got.headers.get("x-nearfar-deviations", "").split(", ")
        # A kept connection that the upstream had closed is replaced once: that try met nobody.
        extra = int(asked.hedged) + sum(item.startswith("retry:") and item.count(":") == 1 for item in told)
        assert int(got.headers.get("x-nearfar-attempts", "0")) <= min(BUDGET, per * len(names)) + extra

    def _stayed(self, asked: Asked, before: dict[str, int]) -> None:
        class_ = max(Class.parse(asked.class_), Class.parse(asked.floor))
        furthest = PLACES[self.policy[class_.label]]
        for place, stand_in in self.stand_ins.items():
            if PLACES[place] > furthest:
                assert stand_in.record.report().totals.requests == before[place], f"{class_.label} reached {place}"

    def _answered(self, asked: Asked, came: str, why: str, names: tuple[str, ...]) -> None:
        """Where a deployment lives that may be asked, and nobody broke off in the middle, there is an answer."""
        class_ = max(Class.parse(asked.class_), Class.parse(asked.floor))
        furthest = PLACES[self.policy[class_.label]]
        sides = {"local-only": {"device", "lan"}, "cloud-only": {"cloud"}}.get(asked.strategy, set(PLACES))
        alive = [place for place, fault in asked.behind if not fault and place in sides and PLACES[place] <= furthest]
        late = any(fault and catalogue()[fault].stream == "late" for _, fault in asked.behind)
        if alive and len(names) <= BUDGET:
            assert came == "answer" or (came == "late" and late and asked.stream), (
                f"{alive} live, and it was {came}: {why}"
            )


def asked() -> st.SearchStrategy[Asked]:
    classes = st.sampled_from(["public", "internal", "confidential", "restricted"])
    behind = st.tuples(st.sampled_from(sorted(PLACES)), st.sampled_from(["", *FAULTS]))
    return st.builds(
        Asked,
        behind=st.lists(behind, min_size=1, max_size=4),
        strategy=st.sampled_from(["local-first", "cloud-first", "local-only", "cloud-only"]),
        class_=classes,
        floor=st.sampled_from(["public", "internal", "confidential"]),
        speaker=st.sampled_from(sorted(SPEAKERS)),
        stream=st.booleans(),
        hedged=st.booleans(),
        client_retry=st.integers(0, 2),
    )


@pytest.fixture(scope="module", params=POLICIES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("properties")
    with Stage(folder, POLICIES[request.param]) as made:
        yield made
        made.run(made.made.settled())
        entries = made.made.entries()
        balance(entries, folder / "invoices.jsonl")
        above = [entry for entry in entries if PLACES[entry.place] > PLACES[POLICIES[request.param][entry.class_]]]
        assert not above, "an attempt that its class forbids"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_whatever_fails_it_stays_where_it_may_and_ends_honestly(stage: Stage, example: Asked) -> None:
    stage.run(stage.ask(example))


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_for_long(stage: Stage, example: Asked) -> None:
    stage.run(stage.ask(example))
