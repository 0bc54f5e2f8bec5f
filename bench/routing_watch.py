"""What becomes of a promise in use, on recorded answers: kept ones should not alarm, broken ones soon.

    uv run --with pyarrow python -m bench.routing_watch [FOLDER] [--draws 40]

A router is fitted on 1,500 MMLU prompts and certified on 1,000 others, as ``nearfar router certify --out`` does it. The
rest comes as judged requests: as it is, and with a near model that has become worse, so that it loses a quarter of what
is kept near besides. See ``bench/routing.py`` for FOLDER.

A certificate may be wrong in one draw of ten; whether it is more often takes many draws: ``allowed`` is that share and
two standard errors. The draws share their prompts, so they tell less than as many fresh ones would.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench import routing_data as data
from bench.routing import BESIDE
from nearfar.core.outcome import Outcome
from nearfar.tuning import evaluate, promise, router
from nearfar.tuning.certificate import certify
from nearfar.tuning.labels import Label

DRAWS = 10
FITTED, CERTIFIED = 1_500, 1_000
LOSS, CONFIDENCE = 0.05, 0.9
SHARE = 0.05
"""Of requests that are answered twice."""
WORSE = 0.25


def judged(fitted: router.Router, labels: Sequence[Label]) -> list[tuple[float, float]]:
    """(gap, loss when kept near) of the prompts that the router trusts itself with."""
    found = []
    for label in labels:
        said = router.score(fitted, label.prompt)
        if said.trusted:
            found.append((said.gap, max(0.0, float(label.cloud.score) - float(label.local.score))))
    return found


def stream(state: promise.State, pairs: Sequence[tuple[float, float]]) -> tuple[promise.State, int]:
    """The promise after all of them, and how many it took to the first alarm; 0 without one."""
    first = 0
    for number, (gap, lost) in enumerate(pairs, 1):
        outcome = Outcome(
            request="",
            route="",
            privacy="public",
            near=1 - lost,
            far=1.0,
            propensity=SHARE,
            score=gap,
            served="near",
            trusted=True,
        )
        state = promise.heard(state, outcome, now=number)
        if state.alarms and not first:
            first = number
    return state, first


def draw(labels: Sequence[Label], seed: int, *, fit: int = FITTED, pairs: int = CERTIFIED) -> dict[str, Any]:
    """One router, its certificate, and both streams."""
    chance = np.random.default_rng(seed)
    order = [labels[at] for at in chance.permutation(len(labels)).tolist()]
    known, certified, rest = order[:fit], order[fit : fit + pairs], order[fit + pairs :]
    fitted = evaluate.learned(known, None, [])
    pool = judged(fitted, certified)
    found = certify([gap for gap, _ in pool], [lost for _, lost in pool], loss=LOSS, confidence=CONFIDENCE)
    if found.threshold is None:
        return {"certified": False}
    coming = judged(fitted, rest)
    worse = [(gap, 1.0 if gap <= found.threshold and chance.random() < WORSE else lost) for gap, lost in coming]
    good, _ = stream(promise.begin(found.threshold, LOSS), coming)
    bad, first = stream(promise.begin(found.threshold, LOSS), worse)
    return {
        "certified": True,
        "left_out": round(1 - len(coming) / len(rest), 4),
        "local_share": round(good.kept / good.seen, 4),
        "loss": round(good.loss or 0.0, 4),
        "alarms": good.alarms,
        "worse": {"first_alarm": first, "alarms": bad.alarms, "threshold": [found.threshold, bad.threshold]},
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all draws together say."""
    sound = [row for row in rows if row["certified"]]
    broken = sum(row["loss"] > LOSS for row in sound)
    wrong = 1 - CONFIDENCE
    return {
        "draws": len(rows),
        "certified": len(sound),
        "local_share": round(float(np.mean([row["local_share"] for row in sound])), 4),
        "broken": broken,
        "broken_share": round(broken / len(rows), 4),
        "allowed": round(wrong + 2 * math.sqrt(wrong * CONFIDENCE / len(rows)), 4),
        "false_alarms": sum(row["alarms"] > 0 and row["loss"] <= LOSS for row in sound),
        "worse_noticed": sum(row["worse"]["alarms"] > 0 for row in sound),
        "worse_first_alarm_median": float(np.median([row["worse"]["first_alarm"] for row in sound])),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one JSON line for each draw, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, help="where the recorded answers lie")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"how often all is drawn anew (default {DRAWS})")
    given = parser.parse_args(arguments)
    folder = given.folder or BESIDE
    if not (folder / data.ROUTELLM).is_file():
        print("absent: no recorded answers (give their folder). Nothing is measured.", file=sys.stderr)
        return 2 if given.folder else 0
    if find_spec("pyarrow") is None:
        print("absent: pyarrow, which reads Parquet: uv run --with pyarrow … Nothing is measured.", file=sys.stderr)
        return 2
    labels, _ = data.mmlu(folder)
    rows = []
    for seed in range(given.draws):
        rows.append(draw(labels, seed))
        print(json.dumps(rows[-1]), flush=True)
    print(json.dumps(summary(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
