"""Spilling by expected wait beside an oracle: the simulation is the same every time, so its figures may be asserted."""

from __future__ import annotations

import json
import math

import pytest

from bench import wait, wait_sim
from bench.wait_sim import Asked, Engine, Machine, Oracle


def test_an_engine_alone_takes_what_its_speeds_say() -> None:
    engine = Engine(slots=1, overhead=0.5, prefill=100.0, decode=10.0)
    machine = Machine(engine)
    job = wait_sim.Job(Asked(0.0, 50, 20, 1.0), engine)
    machine.jobs.append(job)
    assert machine.next() == pytest.approx(1.0)
    assert machine.advance(machine.next()) == []
    assert job.first == pytest.approx(1.0)
    assert machine.advance(machine.next()) == [job]
    assert machine.now == pytest.approx(3.0)
    assert machine.next() == math.inf


def test_an_oracle_sends_away_whom_it_knows_to_wait_too_long() -> None:
    engine = Engine(slots=1, overhead=1.0, prefill=1e9, decode=10.0)
    asked = [Asked(0.0, 1, 40, 0.2), Asked(1.0, 1, 1, 0.2), Asked(4.5, 1, 1, 0.2)]
    firsts, share = Oracle([engine], limit=2.0, by="wait").run(asked)
    assert firsts == pytest.approx([1.0, 0.2, 1.5])
    assert share == pytest.approx(1 / 3)
    assert Oracle([engine], limit=60.0, by="wait").run(asked)[1] == 0
    assert Oracle([engine], limit=-60.0, by="first").run(asked)[1] == 1


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.5, 1.0, 1.5])
@pytest.mark.parametrize(("strategy", "patience"), [("fastest", None), ("fastest", 0.25), ("local-first", 1.0)])
def test_spilling_by_expected_wait_comes_near_an_oracle_at_the_same_cloud_share(
    load: float, strategy: str, patience: float | None
) -> None:
    told = wait_sim.judged(load, strategy, patience, count=500)
    assert float(str(told["ratio"])) <= 1.3
    assert float(str(told["median_error"])) <= 0.3
    assert float(str(told["cloud_share"])) == pytest.approx(float(str(told["oracle_cloud_share"])), abs=0.02)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures() -> None:
    assert wait_sim.judged(1.0, "local-first", 0.5, count=150) == wait_sim.judged(1.0, "local-first", 0.5, count=150)


def test_patience_is_a_promise_that_is_kept() -> None:
    engines = [Engine(), Engine()]
    asked = wait_sim.traffic(3, 200, 1.2, engines)
    mine = wait_sim.ours(asked, engines, wait_sim.spilling("local-first", 0.5))
    slowest = max(item.tokens / engines[0].prefill for item in asked) * 3
    assert max(mine.firsts) < 0.5 + max(slowest, *(item.cloud for item in asked)) + 1
    assert 0 < mine.share < 1


def test_each_run_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "LOADS", (0.5,))
    monkeypatch.setattr(wait, "ROUTES", (("fastest", None),))
    monkeypatch.setattr(wait_sim, "judged", lambda load, strategy, patience, *, seed: {"load": load, "seed": seed})
    wait.main(["--seed", "3"])
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"simulated": {"load": 0.5, "seed": 3}}
    ]
