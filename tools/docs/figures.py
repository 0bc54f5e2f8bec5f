"""The figures of the documentation: only those of `bench/published.json`, with machine, commit and command.

That file is a copy of what `make bench` wrote for a commit. While it is missing, the block says so and holds no number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from tools.docs.blocks import ROOT

PUBLISHED = ROOT / "bench" / "published.json"

NONE = {
    "en": "No figures are published for this version yet. `make bench` measures them on your machine and prints them.",
    "zh": "這個版本還沒有公布數字。`make bench` 會在你的機器上測量並印出結果。",
}

ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    # (path of nearfar's figure, path of nginx's, unit, in English, in Chinese)
    (
        "plain.cpu_us_per_request",
        "plain.nginx_cpu_us_per_request",
        "µs",
        "CPU per plain request, 32 connections",
        "每個一般請求的 CPU 時間（32 條連線）",
    ),
    (
        "stream.cpu_us_per_chunk",
        "stream.nginx_cpu_us_per_chunk",
        "µs",
        "CPU per streamed chunk, 32 streams",
        "每個串流片段的 CPU 時間（32 條串流）",
    ),
    ("latency.p50_ms", "latency.nginx_p50_ms", "ms", "latency of one client, median", "單一用戶端延遲，中位數"),
    (
        "latency.p99_ms",
        "latency.nginx_p99_ms",
        "ms",
        "latency of one client, 99th percentile",
        "單一用戶端延遲，第 99 百分位",
    ),
    ("idle_rss_mb", "", "MB", "memory of the idle gateway process", "閒置閘道行程的記憶體"),
    ("server_import_ms", "", "ms", "import of the server", "載入伺服器模組的時間"),
    ("ready_ms", "", "ms", "start to ready", "啟動到就緒的時間"),
)


def performance(language: str) -> str:
    """The table of published figures, or the sentence that there are none."""
    if not PUBLISHED.exists():
        return NONE[language]
    data = json.loads(PUBLISHED.read_text("utf-8"))
    chinese = language == "zh"
    head = ("測量項目", "nearfar", "nginx（反向代理）") if chinese else ("what", "nearfar", "nginx as reverse proxy")
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|"]
    for ours, theirs, unit, english, translated in ROWS:
        nginx = f"{_at(data, theirs):g} {unit}" if theirs else "–"
        lines.append(f"| {translated if chinese else english} | {_at(data, ours):g} {unit} | {nginx} |")
    return "\n".join([*lines, "", _origin(data["machine"], chinese=chinese)])


def _origin(machine: dict[str, Any], *, chinese: bool) -> str:
    where = f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load_before']}"
    when, commit = str(machine["date"])[:10], machine["commit"]
    if chinese:
        return (
            f"以 `make bench` 在同一次執行中測得，金鑰、政策、路由、帳本與指標全開；{where}；{when}，提交 `{commit}`。"
        )
    return (
        f"Measured by `make bench` in one run, with keys, policy, routing, ledger and metrics on; {where}; "
        f"{when}, commit `{commit}`."
    )


def _at(data: dict[str, Any], path: str) -> float:
    value: Any = data
    for step in path.split("."):
        value = value[step]
    return float(value)


BLOCKS: MappingProxyType[str, Callable[[str], str]] = MappingProxyType({"performance": performance})
