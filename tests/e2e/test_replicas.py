"""Two gateways on one database: what they share, and what each keeps for itself. Neither waits for the other."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import load, running
from tests import stand_in as stand_ins
from tests.running import BASE, HELLO, Gateway, Raw, eventually

PLAIN: dict[str, Any] = {"model": "far", "messages": HELLO, "max_tokens": 50}
BODIES = [PLAIN, {**PLAIN, "stream": True}, {**PLAIN, "stream": True, "leave": True}]


@contextmanager
def replicas(
    folder: Path, config: str, url: str, *, base: str = BASE, **environ: str
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways with folders of their own."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(running.gateway(folder / name, config, ledger_url=url, base=base, **environ))
            for name in "ab"
        )
        yield first, second


def left_open(gateway: Gateway, model: str) -> Raw:
    """A stream that does not end."""
    raw = Raw(gateway.url)
    raw.post("/v1/chat/completions", {**PLAIN, "model": model, "stream": True})
    raw.until(b'"content":"')
    return raw


@pytest.mark.slow
def test_one_dies_under_load_and_the_ledger_of_both_is_the_invoices(database_url: str, tmp_path: Path) -> None:
    with load.cloud(tmp_path) as (cloud, invoices):
        load.behave(cloud, first_byte_ms=5, chunk_ms=3)
        config = running.far("far", cloud)
        with replicas(tmp_path, config, database_url) as (first, second), ExitStack() as stack:
            turn = itertools.cycle([first, second])
            alive = {"a": first}
            with load.Clients(lambda: next(turn).url if alive else second.url, BODIES, count=6, seed=5) as clients:
                clients.after(60)
                alive.clear()
                first.kill()
                clients.after(40)
                again = stack.enter_context(running.gateway(tmp_path / "a", config, ledger_url=database_url))
                clients.after(20)
            assert clients.ended["whole"] > 50
            entries = load.settle(again, cloud, invoices)
            writers = {entry.writer for entry in entries}
            assert len(writers) >= 2
            assert entries == second.entries(), "each of them sees all"


@pytest.mark.slow
def test_what_a_dead_one_left_open_is_settled_where_its_journal_lies(
    database_url: str, tmp_path: Path, stand_in: stand_ins.Running
) -> None:
    stand_in.behave("stall", after=3)
    config = running.far("far", stand_in.url)
    with replicas(tmp_path, config, database_url) as (first, second):
        with left_open(first, "far"):
            eventually(lambda: second.entries(outcome="open"))
            first.kill()
        stand_in.behave()
        assert second.chat("far").status == 200
        (entry,) = second.entries(outcome="open")
        with running.gateway(tmp_path / "a", config, ledger_url=database_url):
            eventually(lambda: not second.entries(outcome="open"))
        (settled,) = second.entries(outcome="unknown")
        assert (settled.attempt, settled.cost) == (entry.attempt, entry.bound)


@pytest.mark.slow
def test_on_one_machine_with_one_journal_the_other_settles_it(
    database_url: str, tmp_path: Path, stand_in: stand_ins.Running
) -> None:
    stand_in.behave("stall", after=3)
    base = BASE.replace("[ledger]", f'[ledger]\njournal = "{tmp_path / "journal"}"')
    with replicas(tmp_path, running.far("far", stand_in.url), database_url, base=base) as (first, second):
        with left_open(first, "far"):
            eventually(lambda: second.entries(outcome="open"))
            first.kill()
        eventually(lambda: [entry for entry in second.entries(outcome="unknown") if entry.cost == entry.bound])
        assert len(second.entries()) == 1


@pytest.mark.slow
def test_keys_are_everybodys(database_url: str, tmp_path: Path, stand_in: stand_ins.Running) -> None:
    with replicas(tmp_path, running.far("far", stand_in.url), database_url) as both:
        made = running.command(tmp_path / "a", "keys", "new", "clinic", "--json")
        assert made.returncode == 0, made.stderr
        secret = json.loads(made.stdout)["key"]
        bearer = {"authorization": f"Bearer {secret}"}

        def statuses(headers: dict[str, str]) -> list[int]:
            return [gateway.chat("far", headers=headers).status for gateway in both]

        eventually(lambda: statuses(bearer) == [200, 200] and statuses({}) == [401, 401])
        assert running.command(tmp_path / "b", "keys", "revoke", "clinic").returncode == 0
        eventually(lambda: statuses(bearer) == [401, 401])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "status"),
    [({"remaining": 0, "limit": 60, "reset": "600s"}, 200), ({"mode": "429", "retry_after": 600}, 429)],
    ids=["counted", "refused"],
)
def test_each_learns_an_upstreams_limit_by_itself_from_one_reply(
    tmp_path: Path, stand_in: stand_ins.Running, behaviour: dict[str, Any], status: int
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    config = running.far("far", stand_in.url, behaviour=behaviour)
    with replicas(tmp_path, config, url) as both:
        for count, gateway in enumerate(both, 1):
            assert gateway.chat("far").status == status
            assert [gateway.chat("far").status for _ in range(4)] == [429] * 4
            assert len(stand_in.report().requests) == count, "one reply for each of them, and no more"


@pytest.mark.slow
def test_slots_are_counted_by_each(tmp_path: Path, stand_in: stand_ins.Running) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    stand_in.behave("stall", after=3)
    config = running.far("one", stand_in.url, more="slots = 1") + "[queue]\nseconds = 0.2\n"
    with replicas(tmp_path, config, url) as both:
        held = [left_open(gateway, "one") for gateway in both]
        assert stand_in.report().running == 2, "one each: together as many as there are gateways"
        for gateway in both:
            assert gateway.chat("one").status in {429, 503}
        assert stand_in.report().running == 2
        for raw in held:
            raw.close()


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False], ids=["one-key", "two-keys"])
def test_stored_responses_are_everybodys_who_has_the_key(
    database_url: str, tmp_path: Path, stand_in: stand_ins.Running, same: bool
) -> None:
    kept = '[responses]\nkeep_hours = 1\nhighest_class = "internal"\n'
    config = running.far("far", stand_in.url) + kept + ('key = "env:KEPT"\n' if same else "")
    with replicas(tmp_path, config, database_url, KEPT="5a" * 32) as (first, second):
        made = first.ask("/v1/responses", {"model": "far", "input": "hello", "store": True})
        assert made.status == 200, made.body
        found = second.ask(f"/v1/responses/{made.json['id']}")
        if same:
            assert (found.status, found.json["output"]) == (200, made.json["output"])
            follows = {"model": "far", "input": "and?", "previous_response_id": made.json["id"]}
            assert second.ask("/v1/responses", follows).status == 200
        else:
            assert (found.status, found.error["code"]) == (503, "cipher_mismatch")
