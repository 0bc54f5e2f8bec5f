"""What is expected of deployments: what was learned of them, what is under way there, and who waits."""

from __future__ import annotations

import random

import pytest
from tests.gateway.office import Exchange, Office, deployment

from nearfar.core.chat import Usage
from nearfar.core.money import Price
from nearfar.core.places import Place
from nearfar.core.routing import Candidate
from nearfar.gateway.lines import Ticket
from nearfar.gateway.load import Known, Loads
from nearfar.policy.strategies import UNKNOWN
from nearfar.policy.wait import FAR, NEAR


def test_prompts_that_are_read_before_the_next_one_are_counted() -> None:
    office, known = Office(), deployment(slots=2)
    loads, dice = office.loads, random.Random(4)
    for _ in range(60):
        one, two = dice.randint(100, 900), dice.randint(100, 900)
        began = office.clock.now
        clients = [Exchange(began, None), Exchange(began, None)]
        first, second = loads.started(known, one, None, clients[0]), loads.started(known, two, None, clients[1])
        for run, client, seconds in zip((first, second), clients, (one * 0.001, (one + two) * 0.001), strict=True):
            client.first = seconds
            office.clock.now = began + seconds
            loads.ended(run, well=True, usage=Usage(input=run.tokens, output=1))
        office.clock.now += 1.0
        office.pace(known)
    candidate = Candidate(deployment=known)

    def first_content() -> float:
        return loads.outlooks([candidate], tokens=400, limit=None, stream=True)["d"].first

    assert first_content() == pytest.approx(0.4, rel=0.15)
    client = Exchange(office.clock.now, None)
    loads.started(known, 800, None, client)
    assert first_content() == pytest.approx(1.2, rel=0.2)
    assert loads.expected(candidate, 400, None).first == pytest.approx(1.2, rel=0.2)
    office.clock.now += 0.5
    assert first_content() == pytest.approx(0.7, rel=0.2), "most of it has been read by now"
    client.first = 0.5
    office.clock.now += 0.1
    assert first_content() == pytest.approx(0.4, rel=0.2)
    far = deployment("far", Place.CLOUD)
    loads.started(far, 800, None, None)
    assert loads.started(far, 10, None, None).ahead == 0, "nobody knows how a cloud reads"


def test_from_failures_nothing_is_learned_and_nothing_stays_under_way() -> None:
    office, known = Office(), deployment()
    run = office.loads.started(known, 10, None, None)
    assert list(office.loads.of(known).line.runs) == [run]
    office.loads.ended(run, well=False, usage=None)
    assert office.loads.of(known).line.runs == {}
    assert office.pace(known) is NEAR
    assert office.loads.of(deployment("far", Place.CLOUD)).pace(0.0) is FAR


def test_what_is_remembered_of_a_line_holds_no_request_that_is_over() -> None:
    """An exchange holds what was asked: it is not kept in memory until somebody asks next."""
    office, known = Office(), deployment(slots=1)
    exchange = Exchange(office.clock.now, None)
    run = office.loads.started(known, 10, None, exchange)
    line = office.loads.of(known).line
    line.busy = 1
    office.loads.outlooks([Candidate(deployment=known)], tokens=10, limit=None, stream=True)
    office.loads.of(known).unread(office.clock.now)
    line.busy = 0
    for well in (True, False):
        office.loads.ended(run, well=well, usage=None)
        assert line.left is not None
        assert line.unread is not None
        assert [each.exchange for each in (line.left.newest, line.unread.newest) if each is not None] == [None, None]
        run.exchange = exchange


def test_deployments_of_one_model_in_one_runtime_share_its_slots() -> None:
    loads = Loads(share=2)
    one = loads.of(deployment("one", base_url="http://a", slots=4))
    two = loads.of(deployment("two", base_url="http://a", slots=4))
    other = loads.of(deployment("other", base_url="http://b", slots=4))
    assert one.line is two.line
    assert one.line is not other.line
    assert one.line.slots == 2, "two processes share them"
    assert loads.of(deployment("one", base_url="http://a", slots=8)).line.slots == 4


def test_an_outlook_counts_loading_queue_limits_and_price() -> None:
    office = Office()
    near, far = (
        deployment("near", slots=1),
        deployment("far", Place.CLOUD, price=Price(id="p", input=10**9, output=10**9)),
    )
    candidates = [Candidate(deployment=near), Candidate(deployment=far)]
    calm = office.loads.outlooks(candidates, tokens=100, limit=50, stream=True, priced=True)
    assert calm["near"].wait == 0
    assert calm["near"].price == UNKNOWN
    assert calm["far"].price == pytest.approx(150 * 1000)
    plain = office.loads.outlooks(candidates, tokens=100, limit=50, stream=False)
    assert plain["near"].seconds > calm["near"].seconds
    load = office.loads.of(near)
    load.line.busy = 1
    office.loads.started(near, 100, 50, None)
    busy = office.loads.outlooks(candidates, tokens=100, limit=50, stream=True)
    assert busy["near"].wait > 1
    assert busy["near"].seconds > calm["near"].seconds
    short = office.loads.outlooks(
        candidates, tokens=100, limit=50, stream=True, short=lambda d: 9.0 * (d.name == "far")
    )
    assert short["far"].seconds == pytest.approx(calm["far"].seconds + 9)
    loading = [Candidate(deployment=near, state="cold", wait=5.0)]
    assert office.loads.outlooks(loading, tokens=1, limit=1, stream=True)["near"].wait > 5


def test_a_side_that_shares_its_queue_is_waited_for_as_one() -> None:
    office = Office()
    two = [deployment(name, slots=1) for name in ("a", "b")]
    for known in two:
        office.loads.of(known).line.busy = 1
        office.loads.started(known, 100, None, None)
    candidates = [Candidate(deployment=known) for known in two]
    alone = office.loads.outlooks(candidates, tokens=10, limit=None, stream=True)["a"].wait
    together = office.loads.outlooks(candidates, tokens=10, limit=None, stream=True, shared=True)["a"].wait
    assert together < alone
    told = office.loads.expected(candidates[0], 10, None, among=candidates)
    assert (told.in_flight, told.queued, told.samples) == (1, 0, 0)
    assert told.total > told.first > told.wait > 0


def test_what_one_process_knows_another_one_can_believe() -> None:
    office, known = Office(), deployment(slots=2)
    for _ in range(20):
        office.attempt(known, 100, 10, 0.2, 0.4)
    running = office.loads.started(known, 100, None, None)
    (told,) = office.loads.known()
    assert (told.deployment, told.slots, told.in_flight, told.queued) == ("d", 2, 1, 0)
    elsewhere = Loads()
    elsewhere.adopt(known, told)
    assert elsewhere.of(known).pace(0.0) == told.pace
    assert len(elsewhere.of(known).line.runs) == elsewhere.of(known).line.busy == 1
    assert isinstance(told, Known)
    office.loads.ended(running, well=False, usage=None)


def test_tickets_are_counted_where_they_wait() -> None:
    office, known = Office(), deployment(slots=1)
    load = office.loads.of(known)
    load.line.busy = 1
    load.line.waiting.append(Ticket((load,), tokens=1, limit=1, since=0.0))
    assert office.loads.expected(Candidate(deployment=known), 1, 1).queued == 1


def test_what_comes_late_at_times_is_not_believed_to_be_fast() -> None:
    office = Office()
    steady, moody = deployment("steady"), deployment("moody")
    for number in range(40):
        office.attempt(steady, 100, 10, 0.4, 0.6)
        office.attempt(moody, 100, 10, 0.2 if number % 2 else 0.6, 0.8)
        paces = [office.pace(known) for known in (steady, moody)]  # as whoever decides does
    assert paces[0].error is not None
    assert paces[1].error is not None
    assert paces[0].error < 0.05
    assert paces[1].error > 0.3
    candidates = [Candidate(deployment=known) for known in (steady, moody)]
    told = office.loads.outlooks(candidates, tokens=100, limit=None, stream=True)
    assert told["steady"].seconds == pytest.approx(paces[0].begin(100), rel=0.05)
    assert told["moody"].seconds > paces[1].begin(100) * 1.2
    assert office.loads.expected(candidates[1], 100, None).first < told["moody"].seconds


def test_what_comes_sooner_than_predicted_is_not_taken_for_slow() -> None:
    office, known = Office(), deployment()
    for number in range(30):
        office.attempt(known, 100, 10, 0.6 * 0.97**number, 2.0)
        pace = office.pace(known)
    assert pace.error is not None
    assert pace.error > 0.05
    told = office.loads.outlooks([Candidate(deployment=known)], tokens=100, limit=None, stream=True)
    assert told["d"].seconds == pytest.approx(pace.begin(100), rel=0.05)


def test_who_was_slow_once_and_is_not_asked_since_is_tried_again() -> None:
    office = Office()
    near, far = deployment("near", slots=2), deployment("far", Place.CLOUD)
    candidates = [Candidate(deployment=known) for known in (near, far)]

    def seconds() -> dict[str, float]:
        told = office.loads.outlooks(candidates, tokens=100, limit=None, stream=True)
        return {name: outlook.seconds for name, outlook in told.items()}

    for _ in range(20):
        office.attempt(near, 100, 10, 2.0, 3.0)
        office.attempt(far, 100, 10, 0.7, 1.0)
    before = seconds()
    assert before["near"] == pytest.approx(2.0, rel=0.1)
    office.clock.now += 3600.0
    assert seconds() == before, "time alone makes nothing faster"
    for _ in range(100):
        office.attempt(far, 100, 10, 0.7, 1.0)
        office.loads.of(far).pace(office.clock.now)
    after = seconds()
    assert after["near"] == pytest.approx(before["near"] / 4, rel=0.1)
    assert after["far"] == pytest.approx(before["far"], rel=0.1)
    running = office.loads.started(near, 100, None, None)
    assert seconds()["near"] > 1.8, "one is enough to find out"
    office.loads.ended(running, well=False, usage=None)
    office.attempt(near, 100, 10, 2.0, 3.0)
    assert seconds()["near"] == pytest.approx(2.0, rel=0.1), "it was tried, and is as slow as it was"


def test_what_another_process_measured_is_assumed_until_this_one_knows_better() -> None:
    here, there, known = Office(), Office(), deployment(place=Place.CLOUD)
    assert there.loads.news() == {}
    for tokens in range(100, 1100, 100):
        there.attempt(known, tokens, 50, 2.0, 7.0)
    told = there.loads.news()
    assert told == {"d": there.pace(known)}
    assert there.loads.news() == {}, "once"
    there.attempt(known, 100, 50, 2.0, 7.0)
    assert set(there.loads.news()) == {"d"}

    knows = here.pace(known)
    assert knows is FAR
    for late in (False, True):
        office = Office() if late else here
        office.loads.hear(told)
        heard = office.pace(known)
        assert heard.samples == 0, "it was not measured here"
        assert heard.begin(500) == told["d"].begin(500)
        assert heard.answers.mean() == 50
        assert office.loads.news() == {}, "what was heard is nobody's news"
        # Read beforehand for comparisons, and renewed with it.
        [outlook] = office.loads.outlooks([Candidate(deployment=known)], tokens=500, limit=None, stream=True).values()
        assert outlook.seconds == pytest.approx(2.0, rel=0.5)
    for _ in range(30):
        here.attempt(known, 100, 10, 0.1, 0.6)
    here.loads.hear(told)
    assert here.pace(known).begin(100) < 0.3, "it has measured that itself"
