"""The programs of a run: nginx as upstream and as proxy, the upstream of streams, the gateway, and their loads."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PATIENCE = 30.0
"""Seconds in which a program must be ready."""

REPLY = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 64}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 420, "completion_tokens": 64, "total_tokens": 484},
    }
)

COMMON = """
{user}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_buffer_size 64k; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {servers}
}}
"""
UPSTREAM = "server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 '{reply}'; }} }}"
PROXY = """
  upstream u{port} {{ server 127.0.0.1:{to}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{
    proxy_pass http://u{port}; proxy_http_version 1.1; proxy_set_header connection ""; {more} }} }}
"""


class Missing(RuntimeError):
    """A program that the bench needs is not installed."""


def find(name: str, package: str) -> str:
    """Where a system program is. Raises Missing with the Debian package's name."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{name} is not installed. On Debian: apt-get install {package}")
    return path


def free_port() -> int:
    """A loopback port that nobody used a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def program(arguments: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is gone when the block ends; what it says goes to ``log``."""
    with (
        log.open("ab") as out,
        subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options) as child,
    ):
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()


def scratch() -> Path:
    """A folder for a run's files: on the disk of the checkout, because the ledger's writes are part of the cost."""
    folder = ROOT / ".build"
    folder.mkdir(exist_ok=True)
    return folder


def wait_for_port(port: int, child: subprocess.Popen[bytes], log: Path, patience: float = PATIENCE) -> None:
    """Return when ``port`` accepts connections. Raises RuntimeError with the log when it never does."""
    end = time.monotonic() + patience
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.001)
    raise RuntimeError(f"{child.args!r} did not get ready:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def nginx(folder: Path, servers: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Nginx with one worker and ``servers``."""
    folder.mkdir()
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(COMMON.format(folder=folder, servers=servers, user=user))
    log = folder / "log"
    with program([find("nginx", "nginx-light"), "-e", "stderr", "-p", str(folder), "-c", str(config)], log) as child:
        wait_for_port(port, child, log)
        yield child


class Ports(NamedTuple):
    """Where everything listens."""

    upstream: int
    streams: int
    proxy: int
    proxy_streams: int
    gateway: int


@contextlib.contextmanager
def surroundings(folder: Path, *, chunks: int, gap_ms: float) -> Iterator[tuple[Ports, int]]:
    """Both upstreams and nginx as proxy; yields (ports, pid of the proxy)."""
    ports = Ports(*(free_port() for _ in range(5)))
    plain = UPSTREAM.format(port=ports.upstream, reply=REPLY)
    proxies = PROXY.format(port=ports.proxy, to=ports.upstream, more="")
    proxies += PROXY.format(port=ports.proxy_streams, to=ports.streams, more="proxy_buffering off;")
    arguments = [sys.executable, "-m", "bench.upstream", str(ports.streams), str(chunks), str(gap_ms)]
    log = folder / "upstream.log"
    with (
        nginx(folder / "upstream", plain, ports.upstream),
        nginx(folder / "proxy", proxies, ports.proxy) as proxy,
        program(arguments, log, cwd=ROOT) as streams,
    ):
        wait_for_port(ports.streams, streams, log)
        yield ports, proxy.pid


CONFIG = """
state_dir = "{folder}/state"
[server]
port = {port}
require_key = true
[discovery]
loopback = false
keys = false
[deployments.plain]
provider = "openai-compatible"
base_url = "http://127.0.0.1:{upstream}/v1"
model = "bench"
price = {{ input = 2.5, output = 10.0 }}
[deployments.streams]
provider = "openai-compatible"
base_url = "http://127.0.0.1:{streams}/v1"
model = "bench"
price = {{ input = 2.5, output = 10.0 }}
[routes.plain]
deployments = ["plain"]
strategy = "cloud-only"
[routes.streams]
deployments = ["streams"]
strategy = "cloud-only"
"""


HELLO = json.dumps({"model": "plain", "messages": [{"role": "user", "content": "hello"}]})


def status(port: int, key: str, path: str, body: str | None = None) -> int:
    """The status of one request: a POST if there is a body."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        reply = connection.getresponse()
        reply.read()
        return reply.status


class Gateway:
    """nearfar as its users run it: a key, the ledger on disk, metrics."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self.folder = folder
        self.port = ports.gateway
        self.command = str(Path(sys.executable).with_name("nearfar"))
        self.environment = {"HOME": str(folder), "PATH": os.environ.get("PATH", "")}
        self.config = folder / "nearfar.toml"
        self.config.write_text(
            CONFIG.format(folder=folder, port=ports.gateway, upstream=ports.upstream, streams=ports.streams)
        )
        self.key = str(self.ask("keys", "new", "bench")["key"])

    def ask(self, *arguments: str) -> dict[str, Any]:
        """What a nearfar command answers as JSON."""
        done = subprocess.run(
            [self.command, *arguments, "--config", str(self.config), "--json"],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[int, float, float]]:
        """A running gateway: (pid, ms until /readyz answered 200, ms until it had answered a first request)."""
        log = self.folder / "gateway.log"
        begun = time.perf_counter()
        with program([self.command, "serve", "--config", str(self.config)], log, env=self.environment) as child:
            wait_for_port(self.port, child, log)
            while status(self.port, self.key, "/readyz") != 200:
                if child.poll() is not None or time.perf_counter() - begun > PATIENCE:
                    raise RuntimeError(f"the gateway is not ready:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.001)
            ready = (time.perf_counter() - begun) * 1000
            first = status(self.port, self.key, "/v1/chat/completions", HELLO)
            if first != 200:
                raise RuntimeError(f"the first answer had status {first}:\n{log.read_text(errors='replace')[-2000:]}")
            yield child.pid, ready, (time.perf_counter() - begun) * 1000


class Wrk(NamedTuple):
    """What wrk counted; latencies in microseconds."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float


def parse_wrk(output: str) -> Wrk:
    """The line that post.lua writes at the end. Raises ValueError when it is missing."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            requests, duration, errors, p50, p99 = (int(field) for field in line.split()[1:])
            return Wrk(requests, duration / 1e6, errors, p50, p99)
    raise ValueError(f"wrk gave no result:\n{output[-2000:]}")


def wrk(port: int, key: str, model: str, *, connections: int, seconds: float) -> Wrk:
    """Load ``port`` with plain requests, as many as it answers."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    arguments = [find("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    done = subprocess.run(
        [*arguments, "-s", str(HERE / "post.lua"), url, "--", key, model],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    return parse_wrk(done.stdout)


class Streamed(NamedTuple):
    """What bench.streams counted."""

    streams: int
    chunks: int
    reads: int
    failed: int


def streams(port: int, key: str, model: str, *, count: int, seconds: float) -> Streamed:
    """Load ``port`` with ``count`` concurrent streams."""
    arguments = [sys.executable, "-m", "bench.streams", str(port), key, model, str(count), str(seconds)]
    done = subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True, timeout=seconds + 90)
    return Streamed(**json.loads(done.stdout))
