"""The gateway as its users meet it: `nearfar serve` as a program, with a configuration and folders of its own.

It is started, asked over real sockets, stopped with SIGTERM, and leaves nothing behind: that is asserted every time.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import psutil

from nearfar.ledger import query
from nearfar.ledger.query import Entry

T = TypeVar("T")
WAIT = 30.0
"""Seconds after which a wait is a failure; nothing is expected to take them."""
_LIBC = ctypes.CDLL(None)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

HELLO = [{"role": "user", "content": "hello"}]

PATIENT = """
[discovery]
loopback = false
keys = false
[ledger]
flush_seconds = 0.05
[engine]
threads = 1
slots = 2
context = 512
[log]
format = "json"
"""
ONCE = "[retries]\nagain = 0\n"
BASE = PATIENT + ONCE
"""What every gateway under test is configured with: nothing is looked for, the ledger is filled at once, and nobody is
asked twice, so that one question means one attempt. ``PATIENT`` is the same with the retries that users have."""

PRICE = "price = { input = 2.5, output = 10.0 }"
"""What the stand-in charges, as a deployment's setting."""


def far(name: str, stand_in: str, *, behaviour: Mapping[str, Any] | None = None, more: str = "") -> str:
    """A deployment at the stand-in, a cloud as far as the gateway knows; ``behaviour`` holds for it alone."""
    headers = ""
    if behaviour is not None:
        headers = f"headers = {{ x-stand-in = '{json.dumps(behaviour)}' }}"
    return f"""
[deployments.{name}]
provider = "openai-compatible"
model = "stand-in-large"
base_url = "{stand_in}/v1"
operations = ["chat", "embeddings"]
{PRICE}
{headers}
{more}
"""


def near(name: str, model: str) -> str:
    """A deployment of the embedded engine."""
    return f'\n[deployments.{name}]\nprovider = "embedded"\nmodel = "{model}"\n'


def route(name: str, *deployments: str, strategy: str = "cloud-first", more: str = "") -> str:
    """A route over ``deployments``."""
    listed = ", ".join(f'"{item}"' for item in deployments)
    return f'\n[routes.{name}]\ndeployments = [{listed}]\nstrategy = "{strategy}"\n{more}\n'


class Reply(NamedTuple):
    """A reply as it came; ``clean`` tells whether it ended as its framing says."""

    status: int
    headers: dict[str, str]
    body: bytes
    clean: bool = True

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of an error reply."""
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[Any]:
        """The events of a stream: decoded JSON, and ``"[DONE]"``."""
        return events(self.body)

    @property
    def text(self) -> str:
        """The answer's words, of a plain reply or of a stream."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            return "".join(
                choice["delta"].get("content") or ""
                for event in self.events
                if isinstance(event, dict)
                for choice in event.get("choices", ())
            )
        return str(self.json["choices"][0]["message"]["content"])

    @property
    def tried(self) -> list[str]:
        """The deviations that the reply tells of."""
        told = self.headers.get("x-nearfar-deviations", "")
        return told.split(", ") if told else []


def events(body: bytes) -> list[Any]:
    """The events of a stream: decoded JSON, and ``"[DONE]"``."""
    found: list[Any] = []
    for block in body.decode().split("\n\n"):
        for line in block.splitlines():
            if line.startswith("data: "):
                data = line.removeprefix("data: ")
                found.append("[DONE]" if data == "[DONE]" else json.loads(data))
    return found


def ask(
    url: str,
    path: str,
    body: object = None,
    *,
    method: str = "",
    headers: Mapping[str, str] | None = None,
    timeout: float = WAIT,
) -> Reply:
    """One request on a connection of its own. A body that is neither bytes nor None is sent as JSON."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json", **(headers or {})}
    try:
        connection.request(method or ("GET" if data is None else "POST"), path, data, sent)
        reply = connection.getresponse()
        clean = True
        try:
            answer = reply.read()
        except http.client.IncompleteRead as cut:
            answer, clean = cut.partial, False
        except ConnectionError:
            answer, clean = b"", False
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, answer, clean)
    finally:
        connection.close()


class Raw:
    """A connection on which a test writes and reads bytes as it likes."""

    def __init__(self, url: str, *, timeout: float = WAIT) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port), timeout)
        self.host = f"{where.hostname}:{where.port}"
        self.received = b""

    def send(self, data: bytes) -> None:
        """Write ``data``."""
        self.socket.sendall(data)

    def post(self, path: str, body: object) -> None:
        """Write a whole request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(
            b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (path.encode(), self.host.encode(), len(data), data)
        )

    def until(self, mark: bytes) -> bytes:
        """Read until ``mark`` has come; everything received so far."""
        while mark not in self.received:
            data = self.socket.recv(65536)
            if not data:
                raise AssertionError(f"the connection ended before {mark!r}: {self.received!r}")
            self.received += data
        return self.received

    def rest(self) -> bytes:
        """Read until the other side closes; everything received so far."""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                self.received += data
        return self.received

    def reply(self) -> Reply:
        """Everything until the other side closes, as a reply with a length."""
        head, _, body = self.rest().partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:])
        headers = {name.lower(): value for name, _, value in pairs}
        return Reply(int(lines[0].split(" ")[1]), headers, body, len(body) == int(headers.get("content-length", -1)))

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def reset(self) -> None:
        """Hang up with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Gateway:
    """A running `nearfar serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path, ledger_url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.folder = folder
        self.state = folder / "state"
        self.ledger_url = ledger_url
        self.log = log

    @property
    def pid(self) -> int:
        """The process that was started: with several workers, their parent."""
        return self.process.pid

    def ask(self, path: str, body: object = None, **more: Any) -> Reply:
        """As ``ask``, here."""
        return ask(self.url, path, body, **more)

    def chat(
        self,
        model: str,
        *,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        content: str = "hello",
        **fields: Any,
    ) -> Reply:
        """Ask for a chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        if stream:
            body["stream"] = True
        return self.ask("/v1/chat/completions", body, headers=headers)

    def raw(self) -> Raw:
        """A connection of bytes."""
        return Raw(self.url)

    def children(self) -> list[Any]:
        """All living processes below it."""
        found: list[Any] = psutil.Process(self.pid).children(recursive=True)
        return found

    def engines(self) -> dict[str, int]:
        """Loaded models of the embedded engine, with the pids of their children."""
        return {row["model"]: row["pid"] for row in self.ask("/nearfar/v1/ps").json["models"] if row["pid"]}

    def cooling(self) -> dict[str, dict[str, Any]]:
        """Deployments that rest."""
        return {row["deployment"]: row for row in self.ask("/nearfar/v1/ps").json["cooling"]}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry ``labels``."""
        total = 0.0
        for line in self.ask("/metrics").body.decode().splitlines():
            series, _, value = line.rpartition(" ")
            found, _, rest = series.partition("{")
            if found == name and all(f'{key}="{text}"' in rest for key, text in labels.items()):
                total += float(value)
        return total

    def entries(self, **where: Any) -> list[Entry]:
        """The ledger's entries that ``query.Filter(**where)`` chooses as they are now, newest first."""
        with closing(query.open_ledger(self.ledger_url)) as connection:
            return query.entries(connection, query.Filter(**where), limit=1_000_000)

    def attempts(self, reply: Reply | str, *, count: int = 1) -> list[Entry]:
        """The ``count`` attempts of one request, once all of them have ended in the ledger."""
        request = reply if isinstance(reply, str) else reply.headers["x-nearfar-request"]

        rows: list[Entry] = []

        def whole() -> bool:
            with closing(query.open_ledger(self.ledger_url)) as connection:
                rows[:] = query.request(connection, request)
            return len(rows) == count and all(row.outcome != "open" for row in rows)

        eventually(whole, f"{count} ended attempts of {request}, but", rows)
        return rows

    def kill(self) -> None:
        """End it without a word, and wait until it and everything below it is gone."""
        family = [*self.children(), psutil.Process(self.pid)]
        self.process.kill()
        self.process.wait(WAIT)
        _, alive = psutil.wait_procs(family, WAIT)
        assert not alive, f"still running after SIGKILL: {alive}"

    def stop(self) -> None:
        """Stop it politely, and see that nothing is left."""
        family = self.children()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        words = self.words()
        assert code == 0, f"exit code {code}: {words}"
        _, alive = psutil.wait_procs(family, WAIT)
        assert not alive, f"left running: {alive}"
        assert "Traceback" not in words, words

    def words(self) -> str:
        """What it wrote to standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def eventually(look: Callable[[], T], what: str = "", *seen: object, timeout: float = WAIT) -> T:
    """The first true answer of ``look``; AssertionError with ``what`` and ``seen`` when none comes in time."""
    give_up = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < give_up, f"not within {timeout:g} s: {what} {seen or found!r}"
        time.sleep(0.02)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A clean environment: no provider's key, no other nearfar's folders."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(folder / "home"), **more}


def command(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a nearfar command to its end, on the folders of a gateway in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "nearfar", *arguments],
        env=environment(folder, NEARFAR_CONFIG=str(folder / "config.toml"), **environ),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


def configure(folder: Path, config: str, *, ledger_url: str = "", base: str = BASE) -> Path:
    """Write the configuration of a gateway whose folders all lie in ``folder``."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    head = f'state_dir = "{folder / "state"}"\nmodels_dir = "{folder / "models"}"\n'
    if ledger_url:
        base = base.replace("[ledger]", f'[ledger]\nurl = "{ledger_url}"')
    path = folder / "config.toml"
    path.write_text(head + base + config, encoding="utf-8")
    return path


def add_model(folder: Path, source: Path, name: str) -> None:
    """Make a model file available to a gateway in ``folder``."""
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    (models / f"{name}.gguf").symlink_to(source)


def launch(
    folder: Path,
    config: str,
    *,
    arguments: tuple[str, ...] = (),
    ledger_url: str = "",
    base: str = BASE,
    program: tuple[str, ...] = (sys.executable, "-m", "nearfar"),
    **environ: str,
) -> Gateway:
    """Start a gateway and wait until it is ready. Whoever calls must stop or kill it."""
    path = configure(folder, config, ledger_url=ledger_url, base=base)
    log = folder / "log.jsonl"
    words = log.open("ab")
    with words:
        process = subprocess.Popen(
            [*program, "serve", "--config", str(path), "--port", "0", "--json", *arguments],
            env=environment(folder, **environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
        )
    assert process.stdout is not None
    with process.stdout:
        watchdog = threading.Timer(WAIT, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
    if not line:
        process.kill()
        process.wait()
        raise AssertionError(f"the gateway did not start: {log.read_text()}")
    ready = json.loads(line)
    assert ready["pid"] == process.pid
    return Gateway(process, ready["url"], folder, ledger_url or f"sqlite:///{folder / 'state' / 'ledger.db'}", log)


@contextlib.contextmanager
def gateway(folder: Path, config: str, **more: Any) -> Iterator[Gateway]:
    """A gateway that runs until the block ends; then it is stopped, and must leave nothing."""
    running = launch(folder, config, **more)
    try:
        yield running
        if running.process.poll() is None:
            running.stop()
    finally:
        if running.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in running.children():
                    child.kill()
            running.process.kill()
        running.process.wait()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what outlives one test."""
    with tempfile.TemporaryDirectory(prefix="nearfar-test-") as folder:
        yield Path(folder)


def entry_cost(entries: list[Entry]) -> int:
    """What entries cost together, in nano-USD; every one of them must know."""
    assert all(entry.cost is not None for entry in entries)
    return sum(entry.cost or 0 for entry in entries)


def read_ledger(url: str) -> list[Entry]:
    """All entries of a ledger."""
    with closing(query.open_ledger(url)) as connection:
        return query.entries(connection, limit=1_000_000)


def _die_with_parent() -> None:
    _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
