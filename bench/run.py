"""What a request costs in nearfar, beside nginx as reverse proxy in the same run: `make bench`.

Keys, policy, routing, ledger and metrics are on. The two proxies are loaded in turn (nginx, nearfar, nginx, …);
figures are medians, and a ratio is taken within its round. CPU is that of the proxy's own processes, until the work
that a request leaves behind is done too. Nothing here asserts a time: the figures go to bench/latest.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench import decide, machine, masks, parts, privacy, translate
from bench.procs import apart, rss_mb, settle, used_by

CHUNKS = 50


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    starts: int
    imports: int
    translations: int
    """Rounds of each pair of wires; the best one counts."""
    connections: int = 32
    streams: int = 32
    gap_ms: float = 4.0
    """Between two chunks of one stream."""


FULL = Plan(rounds=12, seconds=1, starts=5, imports=5, translations=15)
TINY = Plan(rounds=1, seconds=1, starts=1, imports=1, translations=1, connections=4, streams=4)


class Failed(RuntimeError):
    """A load did not go as it must, so its figures mean nothing."""


def import_ms(count: int) -> float:
    """Milliseconds that importing the whole server takes, without the interpreter's start; the best of ``count``."""
    code = "import time; t = time.perf_counter(); import nearfar.server.run; print((time.perf_counter() - t) * 1000)"
    command = [sys.executable, "-c", code]
    return min(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(count))


def plain(gateway: parts.Gateway, ports: parts.Ports, pids: dict[str, int], plan: Plan) -> dict[str, object]:
    """CPU for each plain request at saturation."""
    targets = {"nginx": ports.proxy, "nearfar": ports.gateway}
    cost: dict[str, list[float]] = {name: [] for name in targets}
    loop: dict[str, list[float]] = {name: [] for name in targets}
    rate: dict[str, list[float]] = {name: [] for name in targets}
    total = 0
    for number in range(plan.rounds + 1):  # the first round warms up
        for name, port in targets.items():
            result: list[parts.Wrk] = []

            def load(port: int = port, result: list[parts.Wrk] = result) -> None:
                result.append(parts.wrk(port, gateway.key, "plain", connections=plan.connections, seconds=plan.seconds))

            used = used_by(pids[name], load)
            [counted] = result
            if counted.errors or not counted.requests:
                raise Failed(f"{name}: {counted.errors} errors in {counted.requests} plain requests")
            total += counted.requests if name == "nearfar" else 0
            if number or plan.rounds == 1:
                cost[name].append(used.all / counted.requests)
                loop[name].append(used.main / counted.requests)
                rate[name].append(counted.requests / counted.seconds)
    per_request = statistics.median(cost["nearfar"])
    return {
        "cpu_us_per_request": round(per_request, 2),
        "event_loop_us_per_request": round(statistics.median(loop["nearfar"]), 2),
        "nginx_cpu_us_per_request": round(statistics.median(cost["nginx"]), 2),
        "ratio": ratio(cost),
        "requests_per_cpu_second": round(1e6 / per_request),
        "requests_per_second": round(statistics.median(rate["nearfar"])),
        "nginx_requests_per_second": round(statistics.median(rate["nginx"])),
        "connections": plan.connections,
        "rounds": [[round(value, 2) for value in pair] for pair in zip(cost["nginx"], cost["nearfar"], strict=True)][
            -plan.rounds :
        ],
        "requests": total,
    }


def streamed(gateway: parts.Gateway, ports: parts.Ports, pids: dict[str, int], plan: Plan) -> dict[str, object]:
    """CPU for each chunk of a stream, the request's own cost shared among its chunks."""
    targets = {"nginx": ports.proxy_streams, "nearfar": ports.gateway}
    cost: dict[str, list[float]] = {name: [] for name in targets}
    apart: dict[str, list[float]] = {name: [] for name in targets}
    total = 0
    for _ in range(plan.rounds):
        for name, port in targets.items():
            result: list[parts.Streamed] = []

            def load(port: int = port, result: list[parts.Streamed] = result) -> None:
                result.append(parts.streams(port, gateway.key, "streams", count=plan.streams, seconds=plan.seconds))

            used = used_by(pids[name], load)
            [counted] = result
            if counted.failed or counted.chunks != counted.streams * CHUNKS or not counted.chunks:
                raise Failed(f"{name}: {counted}; every stream must end clean and have {CHUNKS} chunks")
            total += counted.streams if name == "nearfar" else 0
            cost[name].append(used.all / counted.chunks)
            apart[name].append(counted.reads / counted.chunks)
    return {
        "cpu_us_per_chunk": round(statistics.median(cost["nearfar"]), 2),
        "nginx_cpu_us_per_chunk": round(statistics.median(cost["nginx"]), 2),
        "ratio": ratio(cost),
        "reads_per_chunk": round(statistics.median(apart["nearfar"]), 3),
        "nginx_reads_per_chunk": round(statistics.median(apart["nginx"]), 3),
        "chunks_per_stream": CHUNKS,
        "streams": plan.streams,
        "gap_ms": plan.gap_ms,
        "rounds": [[round(value, 2) for value in pair] for pair in zip(cost["nginx"], cost["nearfar"], strict=True)],
        "requests": total,
    }


def latency(gateway: parts.Gateway, ports: parts.Ports, plan: Plan) -> dict[str, object]:
    """Milliseconds that a lonely client waits, with nginx and with nearfar in between."""
    seen: dict[str, list[tuple[float, float]]] = {"nginx": [], "nearfar": []}
    total = 0
    for _ in range(max(1, plan.rounds // 2)):
        for name, port in (("nginx", ports.proxy), ("nearfar", ports.gateway)):
            counted = parts.wrk(port, gateway.key, "plain", connections=1, seconds=plan.seconds)
            if counted.errors:
                raise Failed(f"{name}: {counted.errors} errors at low load")
            total += counted.requests if name == "nearfar" else 0
            seen[name].append((counted.p50 / 1000, counted.p99 / 1000))
    p50 = {name: statistics.median(pair[0] for pair in pairs) for name, pairs in seen.items()}
    p99 = {name: statistics.median(pair[1] for pair in pairs) for name, pairs in seen.items()}
    return {
        "p50_ms": round(p50["nearfar"], 3),
        "p99_ms": round(p99["nearfar"], 3),
        "nginx_p50_ms": round(p50["nginx"], 3),
        "nginx_p99_ms": round(p99["nginx"], 3),
        "added_p50_ms": round(p50["nearfar"] - p50["nginx"], 3),
        "added_p99_ms": round(p99["nearfar"] - p99["nginx"], 3),
        "requests": total,
    }


def ratio(cost: dict[str, list[float]]) -> float:
    """Times nginx's cost, taken within each round, so that a busy neighbour meets both."""
    pairs = zip(cost["nearfar"], cost["nginx"], strict=True)
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 2)


def measure(plan: Plan) -> dict[str, object]:
    """All figures. Raises Missing, Failed or RuntimeError when they cannot be had."""
    facts = machine.describe()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parts.scratch()) as name:
        folder = Path(name)
        with apart() as move, parts.surroundings(folder, chunks=CHUNKS, gap_ms=plan.gap_ms) as (ports, proxy):
            gateway = parts.Gateway(folder, ports)
            starts = []
            for _ in range(plan.starts - 1):
                with gateway.running() as (_, ready, first):
                    starts.append((ready, first))
            with gateway.running() as (pid, ready, first):
                starts.append((ready, first))
                settle(pid)
                idle = rss_mb(pid)
                pids = {"nginx": proxy, "nearfar": pid}
                for one in pids.values():
                    move(one)
                requests = plain(gateway, ports, pids, plan)
                chunks = streamed(gateway, ports, pids, plan)
                waits = latency(gateway, ports, plan)
                settle(pid)
                loaded = rss_mb(pid)
            # The gateway rests meanwhile: wires are pure, and what they cost is measured without it.
            added = translate.figures(
                float(str(requests["nginx_cpu_us_per_request"])),
                float(str(chunks["nginx_cpu_us_per_chunk"])),
                rounds=plan.translations,
            )
            _check_ledger(gateway, len(starts), requests, chunks, waits)
    return {
        "machine": facts,
        "plain": requests,
        "stream": chunks,
        "latency": waits,
        "translation": added,
        "decision": decide.measure(),
        "scan": privacy.figures(),
        "masks": masks.figures(),
        "requests_per_cpu_second": requests["requests_per_cpu_second"],
        "idle_rss_mb": round(idle, 1),
        "loaded_rss_mb": round(loaded, 1),
        "server_import_ms": round(import_ms(plan.imports), 1),
        "ready_ms": round(statistics.median(ready for ready, _ in starts), 1),
        "first_answer_ms": round(statistics.median(first for _, first in starts), 1),
    }


def _check_ledger(gateway: parts.Gateway, first: int, *parts_of_run: dict[str, object]) -> None:
    """The work that was measured includes the ledger only if every request stands in it."""
    asked = first + sum(int(str(part["requests"])) for part in parts_of_run)
    entered = int(gateway.ask("usage")["total"]["requests"])
    if entered < asked:
        raise Failed(f"the ledger has {entered} of {asked} requests")


def table(figures: dict[str, object], bars: dict[str, str]) -> str:
    """The figures for people: name, value, and the bar it is held against."""
    rows = []
    for path, bar in bars.items():
        value: object = figures
        for step in path.split("."):
            assert isinstance(value, dict)
            value = value[step]
        rows.append((path, f"{value:,}" if isinstance(value, int | float) else str(value), bar))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"  {path:<{widths[0]}}  {value:>{widths[1]}}  {bar}".rstrip() for path, value, bar in rows)


BARS = {
    "plain.cpu_us_per_request": "",
    "plain.event_loop_us_per_request": "of which in the event loop; the rest writes the ledger's database",
    "plain.nginx_cpu_us_per_request": "",
    "plain.ratio": "bar: at most 8",
    "plain.requests_per_second": "",
    "plain.nginx_requests_per_second": "",
    "requests_per_cpu_second": "",
    "stream.cpu_us_per_chunk": "",
    "stream.nginx_cpu_us_per_chunk": "",
    "stream.ratio": "bar: at most 8",
    "translation.worst_request_us": "bar: at most 60, added by the costliest pair of wires to a prompt of 2 kB",
    "translation.worst_chunk_us": "bar: at most 15",
    "translation.worst_request_ratio": "times nginx's CPU for a whole request",
    "translation.worst_chunk_ratio": "times nginx's CPU for a whole chunk",
    "decision.fastest_us": "bar: at most 30, among 20 candidates by what is expected of each",
    "decision.cheapest_us": "bar: at most 30",
    "decision.from_nothing_us": "bar: at most 30",
    "decision.remembered_us": "the usual case",
    "decision.noting_an_attempt_us": "bar: at most 1",
    "scan.documentation_us_per_kb": "bar: at most 300 for new text with all default rules",
    "scan.identifiers_us_per_kb": "the examples of all rules, one after the other: hardly anything but identifiers",
    "scan.resent_us_per_kb": "bar: at most 2",
    "masks.mask_chunk_us": "bar: at most 10, a request's text counted in chunks of a reply",
    "masks.mask_dense_chunk_us": "the same with a private value in each chunk",
    "masks.restore_chunk_us": "bar: at most 10",
    "latency.added_p50_ms": "",
    "latency.added_p99_ms": "",
    "idle_rss_mb": "bar: at most 90",
    "loaded_rss_mb": "",
    "server_import_ms": "bar: at most 200",
    "ready_ms": "bar: at most 1000",
    "first_answer_ms": "",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes; the figures mean little")
    parser.add_argument("--output", type=Path, default=parts.HERE / "latest.json", help="where the figures go")
    options = parser.parse_args()
    try:
        figures = measure(TINY if options.tiny else FULL)
    except (parts.Missing, Failed, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    facts = figures["machine"]
    assert isinstance(facts, dict)
    print(
        f"{facts['cpu']}, {facts['cores']} cores, load before {facts['load_before']}, "
        f"{facts['commit']}, {facts['date']}"
    )
    print(table(figures, BARS))
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
