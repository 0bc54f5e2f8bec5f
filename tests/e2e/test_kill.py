"""Death in the middle of load: whatever dies, ledger and invoices match line by line afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import load, running
from tests.running import HELLO, Gateway, eventually

WORKERS = ("--workers", "2")
PLAIN: dict[str, Any] = {"model": "far", "messages": HELLO, "max_tokens": 50}
BODIES = [
    PLAIN,
    {**PLAIN, "stream": True},
    {**PLAIN, "stream": True, "max_tokens": 30},
    {**PLAIN, "stream": True, "leave": True},
    {**PLAIN, "leave": True},
    {"model": "far", "input": ["one", "two"]},
]


class House:
    """A gateway that may be killed and started again in the same folder, and the cloud behind it."""

    def __init__(self, folder: Path, ledger_url: str, *, arguments: tuple[str, ...] = (), config: str = "") -> None:
        self._stack = ExitStack()
        self.cloud, self.invoices = self._stack.enter_context(load.cloud(folder))
        load.behave(self.cloud, first_byte_ms=5, chunk_ms=3)
        self._folder = folder
        self._ledger_url = ledger_url
        self._arguments = arguments
        self._config = running.far("far", self.cloud) + config
        self.gateway = self._start()
        self.url = self.gateway.url

    def _start(self) -> Gateway:
        return self._stack.enter_context(
            running.gateway(self._folder, self._config, ledger_url=self._ledger_url, arguments=self._arguments)
        )

    def again(self) -> None:
        """Start it again after its death."""
        self.gateway = self._start()
        self.url = self.gateway.url

    def settled(self) -> None:
        """Ledger and invoices, when everything has ended, line by line."""
        load.settle(self.gateway, self.cloud, self.invoices)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def houses(tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:

        def build(ledger_url: str, **more: Any) -> House:
            house = House(tmp_path, ledger_url, **more)
            stack.callback(house.close)
            return house

        yield build


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_gateway_is_killed(database_url: str, houses: Any, seed: int) -> None:
    house: House = houses(database_url)
    rng = random.Random(seed)
    with load.Clients(lambda: house.url, BODIES, count=6, seed=seed) as clients:
        for _ in range(3):
            clients.after(rng.randint(40, 120))
            house.gateway.kill()
            house.again()
    assert clients.ended["whole"] > 50
    house.settled()
    outcomes = {entry.outcome for entry in house.gateway.entries()}
    assert {"ok", "unknown"} <= outcomes, f"the kills met nothing: {outcomes}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3])
def test_a_worker_is_killed(database_url: str, houses: Any, tiny_gguf: Path, tmp_path: Path, seed: int) -> None:
    running.add_model(tmp_path, tiny_gguf, "near")
    house: House = houses(database_url, arguments=WORKERS)
    gateway = house.gateway
    assert gateway.chat("near", max_tokens=2).status == 200
    engine = gateway.engines()["near"]
    rng = random.Random(seed)
    bodies = [*BODIES, {**PLAIN, "model": "near", "max_tokens": 4}]
    with load.Clients(lambda: house.url, bodies, count=6, seed=seed) as clients:
        for _ in range(3):
            clients.after(rng.randint(40, 120))
            victim = rng.choice(workers(gateway))
            victim.kill()
            replaced(gateway, victim)
            assert gateway.chat("far").status == 200
    assert gateway.engines()["near"] == engine, "a worker's death is none of the engine's business"
    assert clients.ended["whole"] > 50
    house.settled()
    busy = [row for row in gateway.ask("/nearfar/v1/ps").json["models"] if row["in_flight"]]
    assert not busy, "what a dead worker held must be given back"


def workers(gateway: Gateway) -> list[Any]:
    """The worker processes that live."""
    found = []
    for child in gateway.children():
        try:
            if "nearfar.server.worker" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def replaced(gateway: Gateway, victim: object) -> None:
    """Wait until another worker stands in for ``victim``."""
    eventually(lambda: len(workers(gateway)) == 2 and victim not in workers(gateway))


@pytest.mark.slow
def test_all_workers_share_what_they_learn(houses: Any) -> None:
    down = running.far("down", "http://127.0.0.1:9")
    house: House = houses("", arguments=WORKERS, config=down + running.route("two", "down", "far"))
    gateway = house.gateway
    assert len(workers(gateway)) == 2
    for _ in range(6):  # longer and longer cool-downs
        gateway.chat("down")
    tried = {tuple(gateway.chat("two").tried) for _ in range(12)}
    assert tried == {()}, "every worker knows that it rests"
    assert all("down" in gateway.cooling() for _ in range(8))
    eventually(lambda: {gateway.metric("nearfar_attempts_total", outcome="ok") for _ in range(8)} == {12.0})


@pytest.mark.slow
def test_when_the_parent_dies_nobody_stays(houses: Any, tiny_gguf: Path, tmp_path: Path) -> None:
    running.add_model(tmp_path, tiny_gguf, "near")
    house: House = houses("", arguments=WORKERS)
    assert house.gateway.chat("near", max_tokens=2).status == 200
    house.gateway.kill()  # it waits until workers and engine are gone
    house.again()
    assert house.gateway.chat("near", max_tokens=2).status == 200
    house.settled()
