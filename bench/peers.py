"""The same plain load on other gateways, in the same run: `make bench-peers`, which installs them under .build first.

A peer runs as its documentation starts it: one worker, a key, one deployment. Each keeps the work it does by default.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import machine, parts
from bench.procs import rss_mb, settle, tree, used_by

KEY = "sk-bench-peer"
LITELLM = """
model_list:
  - model_name: plain
    litellm_params: {{ model: openai/bench, api_base: "http://127.0.0.1:{upstream}/v1", api_key: unused }}
general_settings: {{ master_key: {key} }}
litellm_settings: {{ telemetry: false }}
"""


@contextlib.contextmanager
def litellm(program: Path, folder: Path, upstream: int) -> Iterator[tuple[int, int]]:
    """A running LiteLLM proxy: (pid, port)."""
    config, port, log = folder / "litellm.yaml", parts.free_port(), folder / "litellm.log"
    config.write_text(LITELLM.format(upstream=upstream, key=KEY))
    environment = {
        "HOME": str(folder),
        "PATH": f"{program.parent}:{os.environ.get('PATH', '')}",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it fetches the price list at its start
        "LITELLM_LOG": "ERROR",
    }
    arguments = [
        str(program),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    with parts.program(arguments, log, env=environment, cwd=folder) as child:
        parts.wait_for_port(port, child, log, patience=120)
        first = parts.status(port, KEY, "/v1/chat/completions", parts.HELLO)
        if first != 200:
            raise RuntimeError(f"litellm's first answer had status {first}:\n{log.read_text(errors='replace')[-2000:]}")
        yield child.pid, port


def measure(peers: dict[str, tuple[int, int, str]], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Name → figures. ``peers``: name → (pid, port, key). The first round warms up."""
    cost: dict[str, list[float]] = {name: [] for name in peers}
    rate: dict[str, list[float]] = {name: [] for name in peers}
    for number in range(rounds + 1):
        for name, (pid, port, key) in peers.items():
            result: list[parts.Wrk] = []

            def load(port: int = port, key: str = key, result: list[parts.Wrk] = result) -> None:
                result.append(parts.wrk(port, key, "plain", connections=32, seconds=seconds))

            used = used_by(pid, load)
            [counted] = result
            if counted.errors or not counted.requests:
                raise RuntimeError(f"{name}: {counted.errors} errors in {counted.requests} requests")
            if number:
                cost[name].append(used.all / counted.requests)
                rate[name].append(counted.requests / counted.seconds)
    return {
        name: {
            "cpu_us_per_request": round(statistics.median(cost[name]), 1),
            "requests_per_second": round(statistics.median(rate[name])),
            "times_nginx": round(statistics.median(cost[name]) / statistics.median(cost["nginx"]), 1),
            "rss_mb": round(sum(rss_mb(process) for process in tree(pid)), 1),
        }
        for name, (pid, _, _) in peers.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--litellm", type=Path, required=True, help="the installed program `litellm`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--output", type=Path, default=parts.HERE / "latest-peers.json")
    options = parser.parse_args()
    facts = machine.describe()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parts.scratch()) as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        ports, proxy = stack.enter_context(parts.surroundings(folder, chunks=1, gap_ms=4))
        gateway = parts.Gateway(folder, ports)
        ours, _, _ = stack.enter_context(gateway.running())
        begun = time.monotonic()
        peer, port = stack.enter_context(litellm(options.litellm.absolute(), folder, ports.upstream))
        start = time.monotonic() - begun
        settle(peer)
        figures = measure(
            {
                "nginx": (proxy, ports.proxy, ""),
                "nearfar": (ours, ports.gateway, gateway.key),
                "litellm": (peer, port, KEY),
            },
            options.rounds,
            options.seconds,
        )
    figures["litellm"]["start_s"] = round(start, 1)
    options.output.write_text(json.dumps({"machine": facts, "peers": figures}, indent=2) + "\n")
    for name, row in figures.items():
        print(f"  {name:<8}" + "".join(f"  {key} {value:>9,}" for key, value in row.items()))
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
