"""Restarts with everything under way: what was open stands at its bound, what had ended is as it was, nothing is twice.

What a gateway knew of upstreams only from their replies is gone with it, and learned again from the first reply.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests import load, running
from tests import stand_in as stand_ins
from tests.running import BASE, HELLO, Gateway, Raw, eventually
from tests.stand_in import read_invoices

from nearfar.core.money import NANO
from nearfar.ledger import query

NOT_YET = BASE.replace("flush_seconds = 0.05", "flush_seconds = 60")
"""The database hears of nothing for a minute: what a death leaves lies in the journal alone."""


def under_way(gateway: Gateway, stack: ExitStack, model: str, *, stream: bool) -> None:
    """Ask, and leave it open."""
    raw = stack.enter_context(Raw(gateway.url))
    body = {"model": model, "stream": stream, "messages": HELLO, "max_tokens": 100}
    raw.post("/v1/chat/completions", body)
    if stream:
        raw.until(b'"content":"')


def totals(url: str) -> query.Totals:
    with closing(query.open_ledger(url)) as connection:
        (found,) = query.usage(connection)
        return found


@pytest.mark.slow
@pytest.mark.parametrize("base", [BASE, NOT_YET], ids=["in-the-database", "in-the-journal"])
def test_what_was_under_way_stands_at_its_bound_and_counts_once(
    database_url: str, tmp_path: Path, stand_in: stand_ins.Running, base: str
) -> None:
    config = running.far("far", stand_in.url) + running.far("silent", stand_in.url, behaviour={"mode": "never"})
    config += running.far("stalled", stand_in.url, behaviour={"mode": "stall", "after": 3})
    config += running.far("tired", stand_in.url, behaviour={"mode": "500"})
    config += running.route("second", "tired", "stalled")
    with ExitStack() as stack:
        gateway = stack.enter_context(running.gateway(tmp_path, config, ledger_url=database_url, base=base))
        assert gateway.chat("far").status == 200
        under_way(gateway, stack, "silent", stream=False)
        under_way(gateway, stack, "stalled", stream=True)
        under_way(gateway, stack, "second", stream=True)
        eventually(lambda: stand_in.report().running == 3)
        gateway.kill()
    eventually(lambda: stand_in.report().running == 0)
    seen = []
    for _ in range(2):  # and a second death right after the start, while the first one's is being made good
        with running.gateway(tmp_path, config, ledger_url=database_url) as gateway:
            gateway.kill()
    with running.gateway(tmp_path, config, ledger_url=database_url) as gateway:
        eventually(lambda: len(gateway.entries()) == 5 and not gateway.entries(outcome="open"))
        seen = gateway.entries()
        assert not [row for row in gateway.ask("/nearfar/v1/ps").json["models"] if row["in_flight"]]
    by = {(entry.deployment, entry.outcome): entry for entry in seen}
    assert sorted(by) == [
        ("far", "ok"),
        ("silent", "unknown"),
        ("stalled", "unknown"),
        ("tired", "error"),
    ]
    load.reconcile(seen, tmp_path / "invoices.jsonl")
    told = totals(database_url)
    assert (told.requests, told.attempts, told.outcome_unknown, told.open) == (4, 5, 3, 0)
    bounds = [entry.bound for entry in seen if entry.outcome == "unknown"]
    assert all(bounds)
    assert told.cost_at_bound == sum(bound or 0 for bound in bounds)
    charged = {invoice.request: invoice.nano_usd for invoice in read_invoices(tmp_path / "invoices.jsonl")}
    assert by["far", "ok"].cost == charged[by["far", "ok"].attempt]
    assert told.cost == told.cost_at_bound + (by["far", "ok"].cost or 0)


@pytest.mark.slow
def test_slots_and_rests_begin_anew(tmp_path: Path, stand_in: stand_ins.Running) -> None:
    config = running.far("one", stand_in.url, more="slots = 1")
    config += running.far("limited", stand_in.url, behaviour={"mode": "429", "retry_after": 600})
    with ExitStack() as stack:
        gateway = stack.enter_context(running.gateway(tmp_path, config))
        stand_in.behave("stall", after=3)
        under_way(gateway, stack, "one", stream=True)
        assert gateway.chat("limited").status == 429
        assert "limited" in gateway.cooling()
        gateway.kill()
    stand_in.behave()
    with running.gateway(tmp_path, config) as gateway:
        assert gateway.chat("one").status == 200, "what the dead one held is free"
        assert gateway.cooling() == {}
        asked = len(stand_in.report().requests)
        assert [gateway.chat("limited").status for _ in range(3)] == [429] * 3
        assert len(stand_in.report().requests) == asked + 1, "told once more, and then left alone"


@pytest.mark.slow
def test_a_restart_is_no_new_day_for_shadows(tmp_path: Path, stand_in: stand_ins.Running) -> None:
    daily = 2_000_000
    config = running.far("far", stand_in.url, more="max_output = 50")
    config += running.far("here", stand_in.url, more='place = "device"\nmax_output = 50')
    shadow = f'shadow = {{ deployment = "far", share = 1.0 }}\n[shadow]\ndaily_usd = {daily / NANO}\n'
    config += running.route("main", "here", "far", strategy="shadow", more=shadow)

    with running.gateway(tmp_path, config) as gateway:
        eventually(lambda: gateway.chat("main").status == 200 and gateway.entries(purpose="shadow"))
        for _ in range(30):
            assert gateway.chat("main").status == 200
        eventually(lambda: len(gateway.entries(purpose="serve")) > 30 and not gateway.entries(outcome="open"))
        first = len(gateway.entries(purpose="shadow"))
        assert 3 < first < 20, "the day's money came to an end"
        gateway.kill()
    with running.gateway(tmp_path, config) as gateway:
        for _ in range(20):
            assert gateway.chat("main").status == 200
        eventually(lambda: len(gateway.entries(purpose="serve")) > 50 and not gateway.entries(outcome="open"))
        found = gateway.entries(purpose="shadow")
    assert sum((entry.bound or 0) if entry.cost is None else entry.cost for entry in found) <= daily
