"""The bench of the advisor runs over a table of points, and its figures can go wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

from tests.arch.source import ROOT

from bench.sizing import read, report

COLUMNS = ("kind", "model", "params", "quant", "hardware", "context", "batch", "value", "unit", "source")
POINTS = [
    ("kv_cache", "Qwen3-1.7B", "", "kv f16", "llama.cpp", "1024", "1", "112.0", "MiB", "a log"),
    ("file_size", "phi-4", "", "Q6_K", "", "", "", "11.2", "GiB", "a table"),
    ("decode_tps", "Llama-3-8B", "", "Q4_K_M", "RTX 3070", "1024", "1", "70.94", "tok/s", "a table"),
    ("decode_tps", "Llama-3-8B", "", "Q4_K_M", "RTX 4090", "1024", "1", "127.74", "tok/s", "a table"),
    ("total_memory_transformers", "Qwen3-8B", "", "BF16", "H20", "in 1 + out 2048", "1", "15947", "MiB", "a page"),
    ("throughput_out_tps", "Llama-3.1-8B", "", "FP8", "H100 x1", "ISL1000/OSL1000", "max", "15220", "tok/s", "a table"),
    ("decode_tps", "Nobody-7B", "", "Q4_K_M", "RTX 3070", "1024", "1", "1", "tok/s", "nobody"),
]


def rows() -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, point, strict=True)) for point in POINTS]


def test_points_are_predicted_and_strangers_passed_over() -> None:
    told, scored, passed = report(rows())
    assert len(scored) == 6
    assert len(passed) == 1
    assert "Nobody-7B" in passed[0]
    assert told["groups"]["cache of keys and values"]["worst"] == 0
    assert told["groups"]["file size, 4 bits and more"]["worst"] < 0.02
    assert told["decode_cards_left_out"]["cards"] == 2
    assert told["all_rows"]["inside_range"] == 1


def test_a_wrong_point_shows() -> None:
    wrong = [{**row, "value": str(float(row["value"]) * 3)} for row in rows()[:3]]
    told, _, _ = report(wrong)
    assert told["all_rows"]["inside_range"] == 0


def test_from_the_command_line(tmp_path: Path) -> None:
    table, out = tmp_path / "points.csv", tmp_path / "out.json"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *POINTS])
    command = [sys.executable, "-m", "bench.sizing", str(table), "--rows", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "passed over" in done.stdout
    assert json.loads(out.read_text(encoding="utf-8"))["passed_over"] == 1
    absent = subprocess.run([*command[:3], "nowhere.csv"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert absent.returncode == 2
    assert "absent: nowhere.csv" in absent.stderr


def test_cards_elsewhere_are_in_their_printed_ranges() -> None:
    """Reports of cards most of which nothing was fitted to; each names its source."""
    elsewhere = read(ROOT / "bench" / "sizing_elsewhere.csv")
    assert all(row["source"] for row in elsewhere)
    told, scored, passed = report(elsewhere)
    assert not passed
    assert len(scored) == len(elsewhere)
    assert told["groups"]["decode, dense"]["inside_range"] >= 0.95
    assert told["groups"]["decode, dense"]["mean_absolute_error"] <= 0.15
