"""Random routes over random faults: nothing above its class leaves, charges are the invoices, ends are honest.

One gateway for each policy; the routes of an example exist for that example alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import running
from tests.faults.rig import judge, played, words
from tests.faults.speakers import SPEAKERS, Got
from tests.faults.stage import Stage, deployment

from nearfar.core.places import Class, Place
from nearfar.core.routing import Route
from nearfar.ledger.query import Entry
from nearfar.standin.faults import DIALECTS, PREFIX, catalogue
from nearfar.standin.server import StandIn

PLACES = {"device": Place.DEVICE, "lan": Place.LAN, "cloud": Place.CLOUD}
SLOW = {"silence", "endless-head", "no-first", "stall", "half-close", "swapping"}
ADDRESSES = {"refused", "no-name", "no-tls", "not-running"}
FAULTS = sorted(
    name
    for name, fault in played().items()
    if name not in SLOW | ADDRESSES and "told" not in {fault.plain, fault.stream}
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
    continues: bool
    client_retry: int


def configuration(stand_ins: Mapping[str, StandIn]) -> str:
    """A deployment for each place and fault, and a well one; each fault in one of its dialects."""
    # What no configured route wants is not there at all.
    wanted = running.route("any", "device-well", "cloud-well", more="hedge_after = 1.0\ncontinues = true")
    return (
        RETRIES
        + wanted
        + "".join(
            deployment(
                f"{place}-{fault or 'well'}",
                PREFIX + fault if fault else "stand-in-large",
                place,
                stand_in.url,
                "" if fault else "capabilities = { prefill = true }",
                dialect=dialect_of(fault, number),
            )
            for number, (place, stand_in) in enumerate(stand_ins.items())
            for fault in ("", *FAULTS)
        )
    )


def dialect_of(fault: str, number: int) -> str:
    """Another one at each place, so that all are met; the well ones too."""
    known = catalogue()[fault].dialects if fault else DIALECTS
    return known[(zlib.crc32(fault.encode()) + number) % len(known)]


async def ask(stage: Stage, asked: Asked) -> None:
    """Ask, and judge all that came of it."""
    names = tuple(dict.fromkeys(f"{place}-{fault or 'well'}" for place, fault in asked.behind))
    route = stage.adopt(
        lambda name: Route(
            name=name,
            strategy=asked.strategy,
            deployments=names,
            floor=Class.parse(asked.floor),
            hedge_after=0.001 if asked.hedged else None,
            continues=asked.continues,
        )
    )
    before = stage.totals()
    speaker = SPEAKERS[asked.speaker]
    headers = (("x-nearfar-class", asked.class_), ("x-stainless-retry-count", str(asked.client_retry)))
    got = await stage.made.ask(speaker, route.name, stream=asked.stream, headers=headers)
    right = set().union(*(words(catalogue()[fault] if fault else None) for _, fault in asked.behind))
    came, why = judge(speaker, got, right, stream=asked.stream)
    if came == "wrong" and "continued:" in told_by(got) and got.framed and speaker.stream(got.body).done:
        came = "answer"  # what follows is another one's answer to the words so far
    assert came != "wrong", why
    class_ = max(Class.parse(asked.class_), Class.parse(asked.floor))
    stage.stayed(class_, before)
    answered(asked, PLACES[stage.policy[class_.label]], came, why, names)
    per = 1 if asked.client_retry else 2
    told = got.headers.get("x-nearfar-deviations", "").split(", ")
    # A kept connection that the upstream had closed is replaced once: that try met nobody.
    extra = (
        int(asked.hedged)
        + int(asked.continues)
        + sum(item.startswith("retry:") and item.count(":") == 1 for item in told)
    )
    assert int(got.headers.get("x-nearfar-attempts", "0")) <= min(BUDGET, per * len(names)) + extra


def told_by(got: Got) -> str:
    """What a reply says of how it came about, in its head or in its stream."""
    return got.headers.get("x-nearfar-deviations", "") + got.body.decode("utf-8", "replace")


def answered(asked: Asked, furthest: Place, came: str, why: str, names: tuple[str, ...]) -> None:
    """Where a deployment lives that may be asked, and nobody broke off in the middle, there is an answer."""
    sides = {"local-only": {"device", "lan"}, "cloud-only": {"cloud"}}.get(asked.strategy, set(PLACES))
    alive = [place for place, fault in asked.behind if not fault and place in sides and PLACES[place] <= furthest]
    late = any(fault and catalogue()[fault].stream == "late" for _, fault in asked.behind)
    if alive and len(names) <= BUDGET:
        assert came == "answer" or (came == "late" and late and asked.stream), f"{alive} live, and it was {came}: {why}"


def asked() -> st.SearchStrategy[Asked]:
    classes = st.sampled_from(["public", "internal", "confidential", "restricted"])
    fault = st.sampled_from(FAULTS)
    behind = st.tuples(st.sampled_from(sorted(PLACES)), st.one_of(st.just(""), fault, fault))
    return st.builds(
        Asked,
        behind=st.lists(behind, min_size=1, max_size=4),
        strategy=st.sampled_from(["local-first", "cloud-first", "local-only", "cloud-only"]),
        class_=classes,
        floor=st.sampled_from(["public", "internal", "confidential"]),
        speaker=st.sampled_from(sorted(SPEAKERS)),
        stream=st.booleans(),
        hedged=st.booleans(),
        continues=st.booleans(),
        client_retry=st.integers(0, 2),
    )


@pytest.fixture(scope="module", params=POLICIES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("properties")
    stage = Stage(folder, POLICIES[request.param], PLACES, configuration)
    found: list[Entry] = []
    with stage:
        with stage.reckoned(found):
            yield stage
        met = {word.partition(":")[0] for entry in found for word in entry.deviations}
        assert request.param != "open" or "hedge" in met, "the examples were of no use"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_whatever_fails_it_stays_where_it_may_and_ends_honestly(stage: Stage, example: Asked) -> None:
    stage.run(ask(stage, example))


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=asked())
def test_for_long(stage: Stage, example: Asked) -> None:
    stage.run(ask(stage, example))
