"""How well `nearfar fit` predicts what others measured: memory, file sizes, tokens per second.

    python -m bench.sizing [FILE] [--json FILE] [--rows]

FILE is a table of measured points with the columns kind, model, params, quant, hardware, context, batch, value, unit
and source; without it ``../shared/data/sizing/truth_dev.csv`` beside the repository is looked for, and what is absent
is said. ``bench/sizing_elsewhere.csv`` has runs of other cards, with their sources. ``--rows`` prints every row. A row
that names something the catalogue does not have is counted as passed over.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.sizing_rows import Point, predict
from nearfar.advisor import constants, fit
from nearfar.advisor.buffers import Run
from nearfar.advisor.constants import Constants
from nearfar.advisor.rig import Rig, named
from nearfar.advisor.speed import overlapped, step, unpacking
from nearfar.catalog import models

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ROOT.parent / "shared" / "data" / "sizing" / "truth_dev.csv"

POOLS = {
    "graphics memory": {"ampere", "ada", "pro-ada", "blackwell", "gddr-ecc", "rdna", "turing"},
    "stacked memory": {"a100", "hopper"},
    "Apple": {"apple-m1", "apple-m1-ultra", "apple-ultra", "apple-m2-m3", "apple"},
}
"""Classes of devices that stand in for each other when one is left out."""


class Scored(NamedTuple):
    """A row beside what was predicted for it."""

    point: Point
    measured: float
    predicted: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Ours over theirs, less one."""
        return self.predicted / self.measured - 1

    @property
    def inside(self) -> bool:
        """Whether theirs is in our range, rounding apart."""
        return self.low <= self.measured * 1.005 and self.measured * 0.995 <= self.high


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def score(rows: Iterable[dict[str, str]], known: Constants) -> tuple[list[Scored], list[str]]:
    """The rows that could be predicted, and what was passed over with the reason."""
    scored, passed = [], []
    for row in rows:
        found = predict(row, known)
        if isinstance(found, str):
            passed.append(f"{row['kind']}: {row['model']} {row['quant']} {row['hardware']}: {found}")
            continue
        point, measured, figure = found
        scored.append(Scored(point, measured, figure.value, figure.low, figure.high))
    return scored, passed


def summary(scored: Sequence[Scored]) -> dict[str, Any]:
    """Errors of one group of rows."""
    errors = [abs(each.error) for each in scored]
    widths = [each.high / each.low for each in scored if each.low > 0]
    return {
        "rows": len(scored),
        "mean_absolute_error": round(statistics.fmean(errors), 4) if errors else None,
        "median_absolute_error": round(statistics.median(errors), 4) if errors else None,
        "worst": round(max(errors), 4) if errors else None,
        "inside_range": round(sum(each.inside for each in scored) / len(scored), 4) if scored else None,
        "median_high_over_low": round(statistics.median(widths), 3) if widths else None,
        "ratio_low": round(min(each.predicted / each.measured for each in scored), 3) if scored else None,
        "ratio_high": round(max(each.predicted / each.measured for each in scored), 3) if scored else None,
    }


def left_out(scored: Sequence[Scored], known: Constants) -> dict[str, Any]:
    """Dense decode speed on each card with constants fitted to the other cards of its kind alone.

    What unpacking a weight takes belongs to a generation: it is fitted to the other cards of the same generation, and
    is the shipped one where there is none.
    """
    errors: dict[str, list[float]] = {}
    for members in POOLS.values():
        pool = [each for each in scored if each.point.rates in members and not each.point.model.moe]
        for card in sorted({each.point.rig.device.id for each in pool}):
            seen = [each for each in pool if each.point.rig.device.id != card]
            mine = [each for each in pool if each.point.rig.device.id == card]
            if not seen:
                continue
            eta, layer = _fit(seen, known)
            ops = _ops([each for each in seen if each.point.rates == mine[0].point.rates], eta, layer, known)
            for each in mine:
                errors.setdefault(card, []).append(abs(_speed(each.point, eta, layer, known, ops) / each.measured - 1))
    everything = [error for card in errors.values() for error in card]
    return {
        "cards": len(errors),
        "rows": len(everything),
        "mean_absolute_error": round(statistics.fmean(everything), 4) if everything else None,
        "by_card": {card: round(statistics.fmean(mine), 4) for card, mine in sorted(errors.items())},
    }


def _fit(seen: Sequence[Scored], known: Constants) -> tuple[float, float]:
    """(eta, µs a layer) with the least mean squared relative error in time."""
    parts = [
        (_bytes_over_peak(each.point), _unpacking(each.point, known), each.point.model.shape.layers, each.measured)
        for each in seen
    ]
    best = (float("inf"), 0.9, 80.0)
    for eta in range(40, 100, 2):
        read = [overlapped(roof / (eta / 100), arithmetic) for roof, arithmetic, _, _ in parts]
        for layer in range(20, 260, 5):
            total = sum(
                ((seconds + layers * layer * 1e-6) * tps - 1) ** 2
                for seconds, (_, _, layers, tps) in zip(read, parts, strict=True)
            )
            best = min(best, (total, eta / 100, float(layer)))
    return best[1], best[2]


def _ops(seen: Sequence[Scored], eta: float, layer: float, known: Constants) -> float:
    """Times the shipped arithmetic for a weight, with the least error on ``seen``; 1 without any."""
    if not any(_unpacking(each.point, known) for each in seen):
        return 1.0
    return min(
        (each / 10 for each in range(21)),
        key=lambda ops: sum((each.measured / _speed(each.point, eta, layer, known, ops) - 1) ** 2 for each in seen),
    )


def _bytes_over_peak(point: Point) -> float:
    return point.weights.read() / point.rig.bandwidth


def _unpacking(point: Point, known: Constants) -> float:
    return unpacking(point.model, point.run, point.rig, known.rates(point.rig.device, point.run.engine), known)


def _speed(point: Point, eta: float, layer: float, known: Constants, ops: float = 1.0) -> float:
    cache = step(point.model, point.weights, point.run, point.rig, known, depth=point.depth).cache
    read = overlapped(_bytes_over_peak(point) / eta, ops * _unpacking(point, known))
    return 1 / (read + point.model.shape.layers * layer * 1e-6 + cache)


def whole_catalogue(rig: Rig, known: Constants) -> float:
    """Milliseconds to estimate every model, the best of five."""
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for model in models.shipped().values():
            fit.estimate(model, rig, Run(context=min(8192, model.context)), known)
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def report(rows: Iterable[dict[str, str]]) -> tuple[dict[str, Any], list[Scored], list[str]]:
    known = constants.shipped()
    scored, passed = score(rows, known)
    groups: dict[str, list[Scored]] = {}
    for each in scored:
        groups.setdefault(each.point.group, []).append(each)
    decode = [each for each in scored if each.point.group == "decode, dense"]
    return (
        {
            "groups": {name: summary(groups[name]) for name in sorted(groups)},
            "all_rows": summary(scored),
            "decode_cards_left_out": left_out(decode, known),
            "whole_catalogue_ms": round(whole_catalogue(named("RTX 4090"), known), 1),
            "passed_over": len(passed),
        },
        scored,
        passed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=BESIDE)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", action="store_true")
    given = parser.parse_args()
    if not given.file.is_file():
        print(f"absent: {given.file.name}. Nothing was measured; name a table of measured points.", file=sys.stderr)
        raise SystemExit(2)
    told, scored, passed = report(read(given.file))
    if given.rows:
        for each in sorted(scored, key=lambda item: (item.point.group, item.error)):
            mark = " " if each.inside else "!"
            print(
                f"{mark} {each.point.group:22s} {each.error:+7.1%} {each.measured:14.5g} {each.predicted:14.5g} "
                f"{each.point.label}"
            )
        for text in passed:
            print(f"  passed over: {text}")
    print(json.dumps(told, indent=2, ensure_ascii=False))
    if given.json:
        given.json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
