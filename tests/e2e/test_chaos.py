"""Everything fails at random, and still every request ends in time: whole, or with a typed error, never half and clean.

Workers, engine and upstream are killed and stopped; afterwards every request is accounted for.

NEARFAR_CHAOS_SECONDS sets how long (default 120), NEARFAR_CHAOS_SEED which chaos.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import load, running
from tests.faults import stage
from tests.running import HELLO, Gateway, eventually

SECONDS = float(os.environ.get("NEARFAR_CHAOS_SECONDS") or os.environ.get("NEARFAR_SOAK_SECONDS") or "120")
SEED = os.environ.get("NEARFAR_CHAOS_SEED", "2026")
DEADLINES = "\n[deadlines]\nfirst_byte = 2.0\nbetween_bytes = 1.5\ntotal = 8.0\n"
MODES: list[dict[str, Any]] = [
    {},
    {},
    {"mode": "429", "retry_after": 1},
    {"mode": "500"},
    {"mode": "529"},
    {"mode": "cut", "after": 3},
    {"mode": "cut", "after": 0},
    {"mode": "close", "after": 2},
    {"mode": "half-close", "after": 2},
    {"mode": "stall", "after": 2},
    {"mode": "never"},
    {"mode": "garbage", "after": 2},
    {"mode": "invalid-json", "after": 2},
    {"mode": "error-event", "after": 2},
    {"mode": "empty"},
    {"mode": "redirect"},
]
BODIES: list[dict[str, Any]] = [
    {"model": name, "messages": HELLO, "max_tokens": 20, "stream": stream}
    for name in ("far", "near-first", "far-first", "hedged", "near", "google", "amazon")
    for stream in (False, True)
]
NEVER_ASKED = {"invalid_json", "model_not_found", "rate_limit_exceeded", "engine_error", "no_deployment", "overloaded"}
"""Errors that may come before anybody is asked; a limit, an engine or a queue that is full can say no by itself."""
BODIES += [{**body, "leave": True} for body in BODIES[:4]]
BODIES += [{"model": "far", "input": "far"}, {"raw": b"{"}]


class Chaos:
    """The hands that break things."""

    def __init__(self, gateway: Gateway, cloud: load.Cloud, rng: random.Random) -> None:
        self.done: list[str] = []
        self._gateway = gateway
        self._cloud = cloud
        self._rng = rng

    def strike(self) -> None:
        """Do one thing."""
        hands: list[Callable[[], None]] = [self._flip] * 3
        hands += [self._worker, self._engine, self._freeze, self._upstream]
        hand = self._rng.choice(hands)
        self.done.append(hand.__name__)
        with contextlib.suppress(psutil.NoSuchProcess):
            hand()

    def _flip(self) -> None:
        load.behave(self._cloud.url, chunk_ms=2, **self._rng.choice(MODES))

    def _upstream(self) -> None:
        self._cloud.again()

    def _worker(self) -> None:
        workers = self._processes("nearfar.server.worker")
        if len(workers) > 1:
            self._rng.choice(workers).kill()

    def _engine(self) -> None:
        for process in self._processes("nearfar.engine.child"):
            process.kill()

    def _freeze(self) -> None:
        for process in self._processes("nearfar.engine.child"):
            process.send_signal(signal.SIGSTOP)
            threading.Event().wait(self._rng.uniform(0.1, 1.0))
            process.send_signal(signal.SIGCONT)

    def _processes(self, module: str) -> list[Any]:
        found = []
        for child in self._gateway.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if module in child.cmdline():
                    found.append(child)
        return found


@pytest.mark.slow
@pytest.mark.soak
def test_chaos(tmp_path: Path, tiny_gguf: Path) -> None:
    running.add_model(tmp_path, tiny_gguf, "near")
    rng = random.Random(SEED)
    with load.upstream(tmp_path) as cloud:
        config = running.far("far", cloud.url) + running.near("here", "near") + DEADLINES
        for name, dialect in (("google", "gemini"), ("amazon", "bedrock")):
            config += stage.deployment(name, "stand-in-large", "cloud", cloud.url, dialect=dialect)
        config += running.route("near-first", "here", "far", strategy="local-first")
        config += running.route("far-first", "here", "far", strategy="cloud-first")
        config += running.route("hedged", "far", "here", strategy="cloud-first", more="hedge_after = 0.2")
        key = {"RIG_KEY": "a-key-of-the-rig"}
        workers = ("--workers", "2")
        with running.gateway(tmp_path, config, arguments=workers, base=running.PATIENT, **key) as gateway:
            parent = psutil.Process(gateway.pid)
            chaos = Chaos(gateway, cloud, rng)
            end = time.monotonic() + SECONDS
            with load.Clients(lambda: gateway.url, BODIES, count=5, seed=rng.randrange(1 << 30)) as clients:
                while time.monotonic() < end:
                    chaos.strike()
                    clients.after(rng.randint(1, 25))
            load.behave(cloud.url)
            assert parent.is_running()
            eventually(lambda: gateway.chat("far").status == 200)
            eventually(lambda: gateway.chat("near", max_tokens=2).status == 200)
            entries = load.settle(gateway, cloud.url, cloud.invoices, cloud.killed)
            load.accounted(clients, entries, never=NEVER_ASKED)
            eventually(lambda: all(not row["in_flight"] for row in gateway.ask("/nearfar/v1/ps").json["models"]))
    print(
        f"chaos: {SECONDS:g} s, seed {SEED}, {len(chaos.done)} strikes, {len(entries)} attempts of "
        f"{len(clients.named)} requests, all accounted for, {dict(clients.ended)}"
    )
    assert clients.ended["whole"] > SECONDS, clients.ended
    assert {"ok", "cut", "error", "cancelled"} <= {entry.outcome for entry in entries}
