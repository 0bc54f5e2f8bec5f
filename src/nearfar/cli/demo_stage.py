"""The demo's stage: a stand-in for a cloud, a gateway with the embedded engine, and what may be done to them.

Both are child processes over a temporary folder. Leaving the stage ends them and removes the folder, whatever
happened on it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from nearfar.cli import beside
from nearfar.cli.answer import Answer
from nearfar.cli.beside import WAIT
from nearfar.cli.client import Gateway
from nearfar.core.errors import InternalServerError, NearfarError
from nearfar.ledger import query
from nearfar.ledger.query import Entry
from nearfar.standin.program import READY

NEAR, FAR, STAND_IN = "near", "far", "stand-in"
_FOR_A_CLOUD = ("SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """Who plays the far side of the scenes that need no failing cloud."""

    real: bool
    title: str
    variable: str = ""
    """The environment variable that holds the key."""
    settings: str = ""
    """The deployment's lines in TOML; empty for the stand-in."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one question."""

    headers: dict[str, str]
    text: str
    done: bool
    """The stream said that it was complete."""
    error: str
    """The code of the error that ended it; empty when none did."""
    milliseconds: float


class Stage:
    """Everything the scenes play with; use it in a ``with``."""

    def __init__(self, environ: Mapping[str, str], cloud: Cloud, model: Path | None, engine_model: str) -> None:
        """``model``: a GGUF file to play the near side; None for the built-in demo model."""
        self._environ = environ
        self._cloud = cloud
        self._model = model
        self._engine_model = engine_model
        self._root = Path()
        self._ends = contextlib.ExitStack()
        self._stand_in: Gateway
        self._gateway: Gateway
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            self._root = ends.enter_context(beside.folder(self._environ, "nearfar-demo"))
            url = ends.enter_context(self._start_stand_in())
            self._stand_in = Gateway(url)
            self._gateway = Gateway(ends.enter_context(self._start_gateway(url)))
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    # What the audience does.

    def ask(self, route: str, text: str, *, hang_up: bool = False) -> Reply:
        """Ask in a stream; with ``hang_up``, leave after the first word."""
        body = {
            "model": route,
            "messages": [{"role": "user", "content": text}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 48,
        }
        answer, error = Answer(), ""
        headers: dict[str, str] = {}
        began = time.perf_counter()
        try:
            with self._gateway.stream("/v1/chat/completions", body) as (headers, pieces):
                for piece in pieces:
                    answer.feed(piece)
                    if hang_up and answer.text:
                        break
        except NearfarError as caught:
            error = caught.code
        elapsed = (time.perf_counter() - began) * 1000
        return Reply(headers=headers, text=answer.text, done=answer.done, error=error, milliseconds=elapsed)

    # What happens to the two sides.

    @contextlib.contextmanager
    def cloud_behaves(self, mode: str, **fields: object) -> Iterator[None]:
        """The stand-in behaves as told until the block ends."""
        self._stand_in.post("/stand-in/mode", {"mode": mode, **fields})
        try:
            yield
        finally:
            self._stand_in.post("/stand-in/mode", {"mode": "ok"})

    @contextlib.contextmanager
    def engine_is_killed(self) -> Iterator[list[int]]:
        """Every child of the embedded engine gets SIGKILL as soon as it exists; yields the pids that got it."""
        killed: list[int] = []
        stop = threading.Event()
        thread = threading.Thread(target=self._kill_engines, args=(killed, stop), name="demo-killer")
        thread.start()
        try:
            yield killed
        finally:
            stop.set()
            thread.join()

    def _kill_engines(self, killed: list[int], stop: threading.Event) -> None:
        while not stop.is_set():
            for pid in children(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    if pid not in killed:
                        killed.append(pid)
            stop.wait(0.002)

    # What is known afterwards.

    def entries(self, request: str) -> list[Entry]:
        """The ledger's attempts of ``request``, all of them ended; an empty list when that does not come about."""
        url = f"sqlite:///{self._root / 'state/ledger.db'}"
        found: list[Entry] = []

        def settled() -> bool:
            with contextlib.closing(query.open_ledger(url)) as connection:
                found[:] = query.request(connection, request)
            return bool(found) and all(entry.ended is not None for entry in found)

        return found if wait_for(settled) else []

    def cloud_saw(self, outcome: str) -> bool:
        """Whether the last request at the stand-in ended, or ends soon, with ``outcome`` in its own record."""

        def seen() -> bool:
            requests = self._stand_in.get("/stand-in/record")["requests"]
            return bool(requests) and requests[-1].get("outcome", "running") == outcome

        return wait_for(seen)

    def rested(self) -> bool:
        """Wait until no deployment cools down any more."""
        return wait_for(lambda: not self._gateway.get("/nearfar/v1/ps")["cooling"])

    def log(self) -> str:
        """The end of the gateway's own log."""
        path = self._root / "gateway.log"
        return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.exists() else ""

    # Putting it up and taking it down.

    @contextlib.contextmanager
    def _start_stand_in(self) -> Iterator[str]:
        command = [sys.executable, "-P", "-m", "nearfar.standin", "--until-eof"]
        log = self._root / "stand-in.log"
        with beside.program(command, self._surroundings(), log, stdin=subprocess.PIPE) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(READY):
                raise InternalServerError("The stand-in for a cloud did not start.", hint=beside.tail(log))
            yield line.removeprefix(READY).strip()

    @contextlib.contextmanager
    def _start_gateway(self, stand_in: str) -> Iterator[str]:
        models = self._root / "models"
        models.mkdir()
        if self._model is not None:
            (models / f"{self._engine_model}.gguf").symlink_to(self._model.resolve())
        config = self._root / "demo.toml"
        config.write_text(configuration(self._root, stand_in, self._cloud, self._engine_model), encoding="utf-8")
        log = self._root / "gateway.log"
        with beside.gateway(config, self._surroundings(), log, name="demo's gateway") as (url, process):
            self._process = process
            yield url

    def _surroundings(self) -> dict[str, str]:
        environ = beside.surroundings(self._environ, self._root, *(_FOR_A_CLOUD if self._cloud.real else ()))
        if self._cloud.variable:
            environ[self._cloud.variable] = self._environ[self._cloud.variable]
        return environ


def children(pid: int) -> list[int]:
    """Pids of the direct children of ``pid``; empty where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return _children_by_ps(pid)
    return [int(word) for word in text.split()]


def _children_by_ps(pid: int) -> list[int]:
    ps = shutil.which("ps")
    if ps is None:
        return []
    done = subprocess.run([ps, "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=False)
    pairs = [line.split() for line in done.stdout.splitlines()]
    return [int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == str(pid)]


def configuration(root: Path, stand_in: str, cloud: Cloud, engine_model: str) -> str:
    """The demo's configuration: one near deployment, one far, one that can be told to fail."""
    far = cloud.settings or _stand_in_deployment(stand_in)
    return f"""
state_dir = "{root / "state"}"
models_dir = "{root / "models"}"
[log]
format = "json"
[discovery]
loopback = false
keys = false
[engine]
threads = 1
slots = 1
context = 1024
[ledger]
flush_seconds = 0.05

[deployments.{NEAR}]
provider = "embedded"
model = "{engine_model}"

[deployments.{FAR}]
{far}

[deployments.{STAND_IN}]
{_stand_in_deployment(stand_in)}

[routes.near-first]
deployments = ["{NEAR}", "{FAR}"]

[routes.cloud-first]
deployments = ["{STAND_IN}", "{NEAR}"]
strategy = "cloud-first"

[routes.cloud]
deployments = ["{STAND_IN}"]
strategy = "cloud-only"
"""


def _stand_in_deployment(url: str) -> str:
    return f"""provider = "openai-compatible"
model = "stand-in-large"
base_url = "{url}/v1"
price = {{ input = 2.5, output = 10 }}"""


def wait_for(happened: Any) -> bool:
    """Poll until ``happened()`` is true; False when it is not within WAIT seconds."""
    deadline = time.monotonic() + WAIT
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
