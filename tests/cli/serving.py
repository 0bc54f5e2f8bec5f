"""Starts ``nearfar serve`` as its users do: a process of its own, over a home of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

WAIT = 30.0
"""Seconds after which a wait is a failure; nothing is expected to take them."""


class Server(NamedTuple):
    url: str
    process: subprocess.Popen[str]
    home: Path


def environment(home: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.defpath, **(environ or {})}


@contextlib.contextmanager
def serving(home: Path, *args: str, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A gateway on a free port; stopped by SIGTERM at the end, which must end it cleanly."""
    command = [sys.executable, "-m", "nearfar", "serve", "--port", "0", "--json", *args]
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment(home, environ), stdout=subprocess.PIPE, stderr=log, text=True, cwd=home
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (home / "serve.log").read_text()
        yield Server(json.loads(line)["url"], process, home)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0, (home / "serve.log").read_text()
    finally:
        process.kill()
        process.wait(WAIT)
        if process.stdout is not None:
            process.stdout.close()


def write_config(home: Path, stand_in: str) -> Path:
    """A near and a far deployment, and routes over both."""
    path = home / "config.toml"
    path.write_text(
        f"""
[discovery]
loopback = false
keys = false
[ledger]
flush_seconds = 0.05
[deployments.near]
provider = "embedded"
model = "tiny-chat"
[deployments.far]
provider = "openai-compatible"
model = "stand-in-large"
base_url = "{stand_in}/v1"
price = {{ input = 2.5, output = 10 }}
[routes.near-first]
deployments = ["near", "far"]
[routes.far-first]
deployments = ["near", "far"]
strategy = "cloud-first"
[routes.private]
deployments = ["near", "far"]
strategy = "cloud-first"
class = "restricted"
""",
        encoding="utf-8",
    )
    return path
