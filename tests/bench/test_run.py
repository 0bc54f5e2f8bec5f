"""The whole bench in a tiny form: it runs, and its figures have the promised names. Their values are nobody's claim."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import run

ROOT = Path(run.__file__).resolve().parents[1]
PROMISED = [
    "plain.cpu_us_per_request",
    "plain.nginx_cpu_us_per_request",
    "plain.ratio",
    "stream.cpu_us_per_chunk",
    "stream.nginx_cpu_us_per_chunk",
    "stream.ratio",
    "latency.p50_ms",
    "latency.p99_ms",
    "idle_rss_mb",
    "server_import_ms",
    "ready_ms",
    "requests_per_cpu_second",
    "machine.cores",
]


def at(figures: dict[str, Any], path: str) -> Any:
    value: Any = figures
    for step in path.split("."):
        value = value[step]
    return value


@pytest.mark.slow
def test_the_tiny_form_runs_and_names_its_figures(tmp_path: Path) -> None:
    output = tmp_path / "latest.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--tiny", "--output", str(output)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    assert [path for path in PROMISED if not at(figures, path) > 0] == []
    assert figures["machine"].keys() >= {"date", "commit", "cpu", "cores", "load_before"}
    for path in run.BARS:
        assert path in done.stdout


def test_the_table_shows_value_and_bar() -> None:
    shown = run.table({"a": {"b": 1234.5}, "c": 3}, {"a.b": "bar: at most 8", "c": ""})
    assert shown.splitlines() == ["  a.b  1,234.5  bar: at most 8", "  c          3"]


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    assert run.ratio({"nearfar": [60, 100, 90], "nginx": [10, 10, 30]}) == 6.0
