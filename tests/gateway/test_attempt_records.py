"""What the ledger is told of an attempt: summed up from pieces, and bounded before anything leaves."""

from __future__ import annotations

import time

from tests.gateway.house import Out, target

from nearfar.core.chat import Chunk, Usage
from nearfar.core.money import NANO, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Ranked
from nearfar.gateway.attempt_records import Seen, begun
from nearfar.gateway.exchange import Exchange
from nearfar.wire.base import Outgoing
from nearfar.wire.openai_chat import CLIENT


def test_usage_that_comes_in_pieces_is_joined_and_nothing_known_is_forgotten() -> None:
    seen = Seen()
    seen.note([Chunk(usage=Usage(input=10, cached=4)), Chunk(model="m-1")])
    seen.note([Chunk(usage=Usage(output=7, reasoning=2), finish="stop")])
    seen.note([Chunk(usage=Usage(output=9)), Chunk()])
    assert seen.usage == Usage(input=10, output=9, cached=4, reasoning=2)
    assert (seen.finish, seen.model) == ("stop", "m-1")


def test_the_first_record_says_who_may_be_charged_how_much_and_why() -> None:
    price = Price(id="p", input=NANO, output=2 * NANO)
    deployment = target("far", 1, Place.CLOUD, price=price).deployment
    ranked = Ranked(candidate=Candidate(deployment=deployment), reason="because")
    decision = Decision(
        id="dec-1",
        route="main",
        strategy="cloud-first",
        policy="p",
        class_=Class.INTERNAL,
        class_reason="default",
        furthest=Place.CLOUD,
        ranked=(ranked,),
        rejected=(),
    )
    body = b'{"model": "main", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}'
    exchange = Exchange(CLIENT.parse(body, "req-1"), CLIENT, Out(), time.perf_counter())
    exchange.deviations.append("failover:near:down")
    outgoing = Outgoing(method="POST", path="/x", headers=(), body=b"{}", deviations=("dropped:seed",))
    record = begun(exchange, decision, ranked, deployment, outgoing)
    assert (record.attempt, record.request, record.decision) == ("att-1-1", "req-1", "dec-1")
    assert (record.class_, record.place, record.reason) == ("internal", "cloud", "because")
    assert record.bound == record.input_estimate * 1000 + 100 * 2000
    assert record.deviations == ("failover:near:down", "dropped:seed")
