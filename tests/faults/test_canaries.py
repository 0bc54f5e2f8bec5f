"""No word of a request is found where nobody put it: not in logs, metrics, traces, crash output, databases, chains.

Every dialect is asked, plain and streamed, with errors of every kind; an engine's child and the gateway itself crash in
the middle of answers, with Python's own crash output on. Then every byte of every file that is left is looked at.
"""

from __future__ import annotations

import base64
import copy
import http.server
import json
import os
import resource
import signal
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import running
from tests import stand_in as stand_ins
from tests.faults.conftest import LATE, PLAIN
from tests.faults.test_dialects import DOORS, places
from tests.running import Gateway, eventually
from tests.tiny_gguf import write_chat

pytestmark = pytest.mark.slow

WORD = "quasiflubber"
"""In every canary, and in nothing else: no detector knows it, so nothing is masked because of it."""
TEXTS = frozenset({"content", "text", "x", "prompt", "system", "output", "description", "input", "name", "a", "user"})
PROVIDER_KEY, CALLER_KEY = f"sk-{WORD}-provider", f"sk-{WORD}-caller"


class Canaries:
    """Numbered values: one that detectors find, and a word that they do not."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"{WORD}{self.count:04} mail {WORD}{self.count:04}@example.org"


class Quoting(http.server.BaseHTTPRequestHandler):
    """Stands for a cloud whose errors quote what it was asked, as some do."""

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["content-length"])).decode()
        status = 500 if "stream" in said else 400
        body = json.dumps({"error": {"message": f"cannot do {said}", "type": said[:200], "code": said[:200]}}).encode()
        self.send_response(status, said[:60].replace("\n", " "))
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", f"{WORD}-upstream")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def quoting() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quoting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class House:
    """The gateway under test, started again where it died."""

    def __init__(self, folder: Path, cloud: stand_ins.Running, quoting: str) -> None:
        self.folder = folder
        self.cloud = cloud
        (folder / "tmp").mkdir()
        policy = folder / "policy.toml"
        policy.write_text(
            'name = "own"\ndate = 2026-11-22\nextends = "team"\naudit = "public"\nreplies = "tell"\n'
            '[classes.internal]\nclear = "private-cloud"\nmasked = "cloud"\nmedia = "cloud"\n'
        )
        config = f'[policy]\nfile = "{policy}"\n[responses]\nkeep_hours = 1\nhighest_class = "restricted"\n'
        config += "[server]\nbody_timeout = 1.0\n[deadlines]\nfirst_byte = 5.0\nbetween_bytes = 4.0\n"
        config += running.far("well", cloud.url) + running.far("quoting", quoting)
        config += running.far("slow", cloud.url, behaviour={"chunks": 200, "chunk_ms": 20})
        config += f"""
[deployments.claude]
provider = "anthropic"
model = "stand-in-large"
base_url = "{cloud.url}"
key = "env:STAND_IN_KEY"
"""
        for kind, failures in (("plain", PLAIN), ("late", LATE)):
            for name, failure in failures.items():
                config += running.far(f"{kind}-{name}", cloud.url, behaviour=failure.behaviour)
        config += running.near("here", "near")
        self.config = config
        base = running.BASE.replace("context = 512", "context = 2048")
        self.base = base.replace('format = "json"', 'format = "json"\nlevel = "debug"\naccess = true')

    def start(self) -> Gateway:
        return running.launch(
            self.folder,
            self.config,
            base=self.base,
            STAND_IN_KEY=PROVIDER_KEY,
            TMPDIR=str(self.folder / "tmp"),
            PYTHONFAULTHANDLER="1",
            PYTHONASYNCIODEBUG="1",
        )


@pytest.fixture
def house(tmp_path: Path, quoting: str) -> Iterator[House]:
    folder = tmp_path / "house"
    folder.mkdir()
    model = write_chat(tmp_path / "endless.gguf", eos_bias=-100.0, context=2048)
    running.add_model(folder, model, "near")
    # Whoever may write core dumps writes them: none must come.
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with stand_ins.running(keep_bodies=True) as cloud:
            yield House(folder, cloud, quoting)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def planted(body: dict[str, Any], canaries: Canaries) -> dict[str, Any]:
    """``body`` with a canary in each of its texts."""
    made = copy.deepcopy(body)
    for path in places(body):
        holder: Any = made
        for step in path[:-1]:
            holder = holder[step]
        value = holder[path[-1]]
        if isinstance(value, str) and path[-1] in TEXTS and value != "weather":
            holder[path[-1]] = f"{value} {canaries.new()}"
    return made


def ask_everything(gateway: Gateway, canaries: Canaries) -> None:
    for path, (_, good) in DOORS.items():
        for stream in (False, True):
            body = planted(good, canaries) | ({"stream": True} if stream else {})
            gateway.ask(path, body, headers={"x-canary": canaries.new(), "x-request-id": f"{WORD}-client"})
    gateway.ask("/v1/responses", {"model": "well", "input": canaries.new(), "store": True})
    for model in ("claude", "quoting", "here", *(f"plain-{name}" for name in PLAIN)):
        gateway.chat(model, content=canaries.new(), max_tokens=4)
    for model in ("claude", "quoting", "here", *(f"late-{name}" for name in LATE)):
        gateway.chat(model, content=canaries.new(), stream=True, max_tokens=4)


def ask_wrongly(gateway: Gateway, canaries: Canaries) -> None:
    """Requests that are refused, each for another reason, with words in places where none belong."""
    said = canaries.new()
    turn = [{"role": "user", "content": said}]
    bodies: list[bytes] = [
        b'{"model": "well", "messages": ' + json.dumps(turn).encode(),
        b'{"model": "well", "%b": 1, "%b": 2}' % (said.encode(), said.encode()),
        b'{"model": "well", "messages": "%b"}' % said.encode(),
        b"\xff\xfe" + said.encode(),
        b"[" * 100_000 + said.encode(),
        json.dumps({"model": f"none {said}", "messages": turn}).encode(),
        json.dumps({"model": "well", "messages": turn, said: said, "api_base": f"http://{WORD}.example"}).encode(),
        json.dumps({"model": "well", "messages": [{"role": said, "content": said}]}).encode(),
        json.dumps({"model": "well", "messages": turn, "temperature": said, "tools": said}).encode(),
        json.dumps({"model": "well", "messages": turn, "n": 10**30}).encode() + said.encode(),
        json.dumps({"model": "well", "messages": turn}).replace(WORD, f"\\ud800{WORD}").encode(),
    ]
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat", "/v1/embeddings"):
        for body in bodies:
            gateway.ask(path, body, headers={"authorization": f"Bearer {CALLER_KEY}"})
    gateway.ask(f"/v1beta/models/well:generateContent?key={CALLER_KEY}&q={WORD}", {"contents": said})
    gateway.ask("/v1/chat/completions", b"", headers={"x-nearfar-class": said, "cookie": said, "x-api-key": CALLER_KEY})
    with gateway.raw() as raw:  # a body that never comes whole
        raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n" + said.encode())
        raw.rest()
    with gateway.raw() as raw:  # no HTTP at all
        raw.send(said.encode() * 3 + b"\r\n\r\n")
        raw.rest()


def streaming(gateway: Gateway, model: str, canaries: Canaries) -> running.Raw:
    """A connection on which an answer has begun to come; a busy machine may need more than one try."""

    def begun() -> running.Raw | None:
        raw = gateway.raw()
        body = {"model": model, "messages": [{"role": "user", "content": canaries.new()}], "stream": True}
        raw.post("/v1/chat/completions", body)
        if raw.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 "):
            raw.until(b"data: ")
            return raw
        raw.close()
        return None

    found = eventually(begun, f"an answer of {model}", timeout=120.0)
    assert found is not None
    return found


def crash_child(gateway: Gateway, canaries: Canaries, sign: int) -> None:
    """An engine's child dies while it answers, and says so in its own way."""
    with streaming(gateway, "here", canaries) as raw:
        os.kill(gateway.engines()["near"], sign)
        raw.rest()


def crash(gateway: Gateway, canaries: Canaries) -> None:
    """The gateway dies while it answers."""
    with streaming(gateway, "slow", canaries) as raw:
        family = [*gateway.children(), psutil.Process(gateway.pid)]
        os.kill(gateway.pid, signal.SIGABRT)
        raw.rest()
    gateway.process.wait(running.WAIT)
    _, alive = psutil.wait_procs(family, running.WAIT)
    assert not alive


def forms(value: str) -> list[bytes]:
    """How a value may stand in a file: as it is, escaped, in base64 at any offset, in hexadecimal, in UTF-16."""
    data = value.encode()
    found = [data, data.upper(), urllib.parse.quote(value).encode(), data.hex().encode(), value.encode("utf-16-le")]
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + data)
        found.append(coded[4 if offset else 0 : -4])
    return found


def sweep(folder: Path) -> list[str]:
    """Files in which the word of all canaries stands in some form, the whole history of SQLite's pages included."""
    wanted = forms(WORD)
    return [
        f"{path.relative_to(folder)}: {form[:40]!r}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
        for form in wanted
        if form in path.read_bytes()
    ]


def test_the_sweep_sees_what_it_looks_for(tmp_path: Path) -> None:
    for number, form in enumerate(forms(WORD)):
        (tmp_path / f"{number}.db-wal").write_bytes(b"\0page\0" + form + b"\0")
    (tmp_path / "other").write_bytes(b"nothing")
    (tmp_path / "b64").write_bytes(base64.b64encode(f"ab {WORD} cd".encode()))
    named = {line.partition(":")[0] for line in sweep(tmp_path)}
    assert named == {f"{number}.db-wal" for number in range(len(forms(WORD)))} | {"b64"}


def test_nothing_of_any_request_is_left_anywhere(house: House) -> None:
    canaries = Canaries()
    cores = {path for path in Path.cwd().iterdir() if path.name.startswith("core")}
    gateway = house.start()
    try:
        ask_everything(gateway, canaries)
        ask_wrongly(gateway, canaries)
        crash_child(gateway, canaries, signal.SIGSEGV)
        crash_child(gateway, canaries, signal.SIGABRT)
        told = [gateway.ask(path).body for path in ("/metrics", "/readyz", "/nearfar/v1/ps", "/v1/models")]
        (house.folder / "told.txt").write_bytes(b"\n".join(told))
        crash(gateway, canaries)
    finally:
        if gateway.process.poll() is None:
            gateway.kill()
    words = gateway.words()
    assert "Fatal Python error: Aborted" in words, "the crash said what it had to say"
    assert '"event":"request"' in words, "the access log was on"
    # Whatever lay in journal and write-ahead logs is read and written anew by the next start.
    with running.gateway(house.folder, house.config, base=house.base, STAND_IN_KEY=PROVIDER_KEY) as again:
        assert again.chat("well", content=canaries.new()).status == 200
        assert again.entries(outcome="unknown"), "the attempts that the crash ended"
    seen = "".join(seen.body for seen in house.cloud.report().requests)
    assert seen.count(WORD) > 20, "it did go through the gateway"
    assert f"{WORD}0001@" not in seen, "and what detectors know went masked"
    assert canaries.count > 80
    assert list(house.folder.rglob("ledger.db")), "what is looked at is where it should be"
    assert list(house.folder.rglob("*.jsonl"))
    assert sweep(house.folder) == []
    assert {path for path in Path.cwd().iterdir() if path.name.startswith("core")} == cores
