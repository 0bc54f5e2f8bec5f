"""How well the gateway knows how long a request would wait, and how well it decides by it: `python -m bench.wait`.

Two figures: the 95th percentile of the first content beside that of an oracle which knows every service time, at the
same cloud share; and the median error of the predicted first content. Both come from a simulation, the same every time,
and with ``--real`` from two embedded engines and the stand-in for a cloud, on this machine as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench import wait_sim
from bench.parts import scratch

LOADS = (0.5, 0.75, 1.0, 1.25, 1.5)
ROUTES: tuple[tuple[str, float | None], ...] = (
    ("fastest", None),
    ("fastest", 0.25),
    ("fastest", 0.5),
    ("local-first", 0.5),
    ("local-first", 1.0),
    ("local-first", 1.5),
)
"""Strategy and ``spill_after`` in seconds."""


def main(argv: list[str]) -> None:
    """Print one JSON line for each run."""
    parser = argparse.ArgumentParser(prog="python -m bench.wait", description=__doc__)
    parser.add_argument("--real", action="store_true", help="run real engines too; takes minutes")
    parser.add_argument("--requests", type=int, default=150, help="for each real run")
    parser.add_argument("--seed", type=int, default=7, help="of the simulation")
    options = parser.parse_args(argv)
    for load in LOADS:
        for strategy, patience in ROUTES:
            show({"simulated": wait_sim.judged(load, strategy, patience, seed=options.seed)})
    if options.real:
        # Only here: it imports the whole gateway.
        from bench import wait_real

        folder = Path(scratch()) / "wait"
        plan = wait_real.Plan(requests=options.requests)
        for row in asyncio.run(wait_real.measure(folder, plan)):
            show({"real": row})


def show(row: dict[str, object]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
