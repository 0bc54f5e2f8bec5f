"""Counters, gauges and histograms, and Prometheus' text format over one or several processes. It knows no metric.

Own code because it runs a dozen times per request: prometheus_client needs 1.3 µs an increment, a sixth of the whole
path of a request, and its import costs a third of the server's (see ``bench/``). Values are written by one thread.
Source of the format: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

Labels = tuple[str, ...]
Values = dict[Labels, list[float]]
"""Label values → one number, or a histogram's counts per bucket, the count above them, and the sum."""


class Family(msgspec.Struct, frozen=True):
    """The values of one metric."""

    name: str
    rows: list[tuple[Labels, list[float]]]


Snapshot = list[Family]


class Counter:
    """Counts up."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Labels) -> None:
        self.name = name
        self.help = help_text
        self.labels = labels
        self.values: Values = {}

    def inc(self, labels: Labels, by: float = 1) -> None:
        """Add ``by``."""
        row = self.values.get(labels)
        if row is None:
            row = self.row(labels)
        row[0] += by

    def row(self, labels: Labels) -> list[float]:
        """The row of ``labels``, to be added to without looking it up each time."""
        return self.values.setdefault(labels, [0])

    def join(self, rows: list[list[float]]) -> list[float]:
        """One row for all workers."""
        return [sum(row[0] for row in rows)]

    def lines(self, labels: Labels, row: list[float]) -> Iterable[str]:
        """The exposition of one row."""
        yield f"{self.name}_total{_shown(self.labels, labels)} {_number(row[0])}"


class Gauge:
    """Goes up and down; ``over_workers`` says what it means when several processes have one."""

    kind = "gauge"

    def __init__(
        self, name: str, help_text: str, labels: Labels, *, over_workers: Callable[[Iterable[float]], float]
    ) -> None:
        self.name = name
        self.help = help_text
        self.labels = labels
        self.values: Values = {}
        self._over_workers = over_workers

    def add(self, labels: Labels, by: float) -> None:
        """Move by ``by``."""
        row = self.values.get(labels)
        if row is None:
            row = self.row(labels)
        row[0] += by

    def row(self, labels: Labels) -> list[float]:
        """The row of ``labels``, to be added to without looking it up each time."""
        return self.values.setdefault(labels, [0])

    def set(self, labels: Labels, value: float) -> None:
        """Stand at ``value``."""
        self.row(labels)[0] = value

    def join(self, rows: list[list[float]]) -> list[float]:
        """One row for all workers."""
        return [self._over_workers(row[0] for row in rows)]

    def lines(self, labels: Labels, row: list[float]) -> Iterable[str]:
        """The exposition of one row."""
        yield f"{self.name}{_shown(self.labels, labels)} {_number(row[0])}"


class Histogram:
    """Counts how often values fell under each bound."""

    kind = "histogram"

    def __init__(self, name: str, help_text: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.help = help_text
        self.labels = labels
        self.values: Values = {}
        self._bounds = bounds

    def observe(self, labels: Labels, value: float) -> None:
        """Count ``value``."""
        row = self.values.get(labels)
        if row is None:
            row = self.row(labels)
        row[bisect_left(self._bounds, value)] += 1
        row[-1] += value

    def row(self, labels: Labels) -> list[float]:
        """The row of ``labels``, for ``count``."""
        return self.values.setdefault(labels, [0.0] * (len(self._bounds) + 2))

    def count(self, row: list[float], value: float) -> None:
        """Count ``value`` in a row of this metric."""
        row[bisect_left(self._bounds, value)] += 1
        row[-1] += value

    def join(self, rows: list[list[float]]) -> list[float]:
        """One row for all workers."""
        return [sum(column) for column in zip(*rows, strict=True)]

    def lines(self, labels: Labels, row: list[float]) -> Iterable[str]:
        """The exposition of one row: cumulative buckets, sum and count."""
        names = (*self.labels, "le")
        total = 0.0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), row, strict=False):
            total += count
            yield f"{self.name}_bucket{_shown(names, (*labels, bound))} {_number(total)}"
        yield f"{self.name}_sum{_shown(self.labels, labels)} {_number(row[-1])}"
        yield f"{self.name}_count{_shown(self.labels, labels)} {_number(total)}"


Metric = Counter | Gauge | Histogram
AnyMetric = TypeVar("AnyMetric", Counter, Gauge, Histogram)


class Registry:
    """All metrics of a process."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def add(self, metric: AnyMetric) -> AnyMetric:
        """Register ``metric``; its name must be new."""
        assert metric.name not in self._metrics, metric.name
        self._metrics[metric.name] = metric
        return metric

    def snapshot(self) -> Snapshot:
        """A copy of all values."""
        return [
            Family(metric.name, [(labels, list(row)) for labels, row in metric.values.items()])
            for metric in self._metrics.values()
        ]

    def text(self, *snapshots: Snapshot) -> bytes:
        """The text format over ``snapshots``; what this version does not know is left out."""
        gathered: dict[str, dict[Labels, list[list[float]]]] = {name: {} for name in self._metrics}
        for snapshot in snapshots:
            for family in snapshot:
                rows = gathered.get(family.name)
                if rows is not None:
                    for labels, row in family.rows:
                        rows.setdefault(tuple(labels), []).append(row)
        lines: list[str] = []
        for name, metric in self._metrics.items():
            shown = f"{name}_total" if metric.kind == "counter" else name
            lines += (f"# HELP {shown} {metric.help}", f"# TYPE {shown} {metric.kind}")
            for labels, found in sorted(gathered[name].items()):
                lines += metric.lines(labels, metric.join(found))
        return ("\n".join(lines) + "\n").encode()


def without_gauges(snapshot: Snapshot, gauges: Iterable[str]) -> Snapshot:
    """What stays of a worker that is gone: it counts on, but nothing is under way in it."""
    gone = set(gauges)
    return [family for family in snapshot if family.name not in gone]


def merged(*snapshots: Snapshot) -> Snapshot:
    """One snapshot that counts what all of ``snapshots`` count. Not for gauges, which need not be sums."""
    gathered: dict[str, Values] = {}
    for snapshot in snapshots:
        for family in snapshot:
            values = gathered.setdefault(family.name, {})
            for labels, row in family.rows:
                before = values.get(labels)
                values[labels] = list(row) if before is None else [a + b for a, b in zip(before, row, strict=True)]
    return [Family(name, list(values.items())) for name, values in gathered.items()]


def _shown(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
