"""The official ollama client, unmodified, current and previous minor, against a gateway with every kind of target."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests import fake_ollama, running
from tests import stand_in as stand_ins
from tests.sdk import ollama_checks as checks
from tests.tiny_gguf import write_chat

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "openai_chat"


class Doors(NamedTuple):
    gateway: running.Gateway
    key: str
    fake: fake_ollama.FakeOllama


@contextlib.contextmanager
def golden() -> Iterator[str]:
    """A server of OpenAI's dialect that answers with the golden bytes of two tool calls."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = (GOLDEN / ("stream_tools.sse" if asked.get("stream") else "plain_tools.json")).read_bytes()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def doors(tiny_gguf: Path, tiny_embedding_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A gateway over the embedded engine, a stand-in for a cloud and a fake Ollama; it wants a key."""
    folder = tmp_path_factory.mktemp("doors")
    running.add_model(folder, tiny_gguf, "tiny")
    running.add_model(folder, tiny_embedding_gguf, "tiny-embed")
    running.add_model(folder, write_chat(folder / "endless.gguf", eos_bias=-100.0, context=4096), "endless")
    with (
        stand_ins.running() as cloud,
        golden() as tools,
        fake_ollama.beside({"llama3.2:latest": 8192}, capabilities=("completion", "tools", "vision")) as fake,
    ):
        real = (
            f'[deployments.real]\nprovider = "ollama"\nmodel = "llama3.2"\nbase_url = "{fake.url}"\nplace = "device"\n'
        )
        config = (
            real
            + running.far("far", cloud.url)
            + running.far("limited", cloud.url, behaviour={"mode": "429", "retry_after": 3})
            + running.far("cut", cloud.url, behaviour={"mode": "cut", "after": 3})
            + running.far("tools", tools)
        )
        running.configure(folder, config)
        made = running.command(folder, "keys", "new", "sdk", "--operator", "--quiet")
        assert made.returncode == 0, made.stderr
        base = running.BASE.replace("context = 512", "context = 4096")
        with running.gateway(folder, config, base=base) as gateway:
            yield Doors(gateway, made.stdout.strip(), fake)


@pytest.fixture
def client(doors: Doors) -> Iterator[Any]:
    with checks.connected(doors.gateway.url, doors.key) as made:
        yield made


@pytest.fixture(scope="module")
def previous(doors: Doors) -> dict[str, str]:
    """What the previous minor's run of every check found: {name: traceback or ""}."""
    folder = ROOT / ".build" / "sdk" / "ollama-0.5"
    assert (folder / "ollama").is_dir(), f"{folder} is missing: make sdk"
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error::ResourceWarning", checks.__file__, doors.gateway.url, doors.key],
        env=running.environment(doors.gateway.folder, PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_two_minors_differ(previous: dict[str, str]) -> None:
    assert previous["version"].startswith("0.5.")


@pytest.mark.parametrize("name", checks.CHECKS)
def test_current_minor(client: Any, name: str) -> None:
    checks.CHECKS[name](client)


@pytest.mark.slow
@pytest.mark.parametrize("name", checks.CHECKS)
def test_previous_minor(previous: dict[str, str], name: str) -> None:
    assert not previous[name], previous[name]


def test_what_a_web_interface_asks_first(doors: Doors) -> None:
    headers = {"authorization": f"Bearer {doors.key}"}
    version = doors.gateway.ask("/api/version", headers=headers).json
    assert version["version"].count(".") == 2
    names = [row["name"] for row in doors.gateway.ask("/api/tags", headers=headers).json["models"]]
    assert "tiny" in names
    assert doors.gateway.ask("/api/ps", headers=headers).status == 200
    for path in ("/api/version", "/api/tags", "/api/chat"):
        refused = doors.gateway.ask(path, None if path != "/api/chat" else {})
        assert (refused.status, type(refused.json["error"])) == (401, str)


def test_between_like_wires_the_bytes_travel_and_the_context_is_asked_for(doors: Doors, client: Any) -> None:
    client.chat(
        model="real", messages=[{"role": "user", "content": "hi"}], options={"seed": 4}, keep_alive="7m", think=False
    )
    path, sent = doors.fake.asked[-1]
    assert path == "/api/chat"
    assert sent["model"] == "llama3.2"
    assert sent["options"] == {"seed": 4, "num_ctx": 4096}
    assert (sent["keep_alive"], sent["tools"], sent["think"]) == ("7m", [], False)
    assert (sent["truncate"], sent["shift"]) == (False, False)


def test_the_context_grows_in_steps_and_never_shrinks(doors: Doors, client: Any) -> None:
    client.generate(model="real", keep_alive=0)
    before = len(doors.fake.loads)
    for words in (3, 50, 1500, 3, 900):
        client.chat(model="real", messages=[{"role": "user", "content": "word " * words}])
    assert [context for _, context in doors.fake.loads[before:]] == [4096, 8192], "loaded twice for five requests"


def test_requests_and_their_deviations_are_in_the_ledger(doors: Doors) -> None:
    headers = {"authorization": f"Bearer {doors.key}"}
    body = {"model": "far", "messages": checks.ASK, "stream": False, "keep_alive": "5m", "options": {"num_gpu": 1}}
    reply = doors.gateway.ask("/api/chat", body, headers=headers)
    assert reply.tried == ["dropped:options.num_gpu", "dropped:keep_alive"]
    (entry,) = doors.gateway.attempts(reply)
    assert entry.outcome == "ok"
    assert (entry.input_tokens, entry.output_tokens) == (reply.json["prompt_eval_count"], reply.json["eval_count"])
    assert {"dropped:options.num_gpu", "dropped:keep_alive"} <= set(entry.deviations)


def test_a_cut_stream_breaks_its_connection_too(doors: Doors) -> None:
    headers = {"authorization": f"Bearer {doors.key}"}
    reply = doors.gateway.ask("/api/chat", {"model": "cut", "messages": checks.ASK}, headers=headers)
    assert reply.status == 200
    assert not reply.clean
    *pieces, last = [json.loads(line) for line in reply.body.splitlines()]
    assert isinstance(last["error"], str)
    assert not any(piece["done"] for piece in pieces)
    (entry,) = doors.gateway.attempts(reply)
    assert entry.outcome in {"cut", "error"}


def test_leaving_a_stream_is_a_cancelled_attempt(doors: Doors, client: Any) -> None:
    stream = client.chat(model="endless", messages=checks.ASK, stream=True)
    next(stream)
    stream.close()
    running.eventually(lambda: [entry for entry in doors.gateway.entries() if entry.outcome == "cancelled"])


@pytest.mark.parametrize("path", ["chat", "generate", "embed", "embeddings", "show"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"model":3}',
        b'{"model":"tiny","model":"far"}',
        b'{"model":"tiny","messages":3,"prompt":[],"input":{}}',
        b'{"model":"tiny","options":[],"messages":[],"prompt":"","input":""}',
        b'{"model":"nobody","messages":[],"keep_alive":0}',
        b'{"model":"tiny","messages":[{}],"prompt":3,"input":[3]}',
        b'{"base_url":"http://elsewhere","model":"tiny"}',
        b'{"name":{"a":1}}',
    ],
)
def test_hostile_bodies_are_refused_in_the_dialect(doors: Doors, path: str, body: bytes) -> None:
    reply = doors.gateway.ask(f"/api/{path}", body, headers={"authorization": f"Bearer {doors.key}"})
    if reply.status != 200:  # /api/show needs no more than a name it knows
        assert 400 <= reply.status < 500, reply.body
        assert isinstance(reply.json["error"], str)
    else:
        assert path == "show"
