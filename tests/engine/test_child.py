"""The child as a process: what it may do, and what the engine in it answers to requests that the wire has to map."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.engine.talk import CHAT, HELLO, ask, post
from tests.tiny_gguf import write_chat

from nearfar.core import install
from nearfar.core.engines import Endpoint
from nearfar.engine import child, machine
from nearfar.engine.messages import Config, Ready
from nearfar.engine.process import child_environment


class Running(msgspec.Struct, frozen=True):
    process: subprocess.Popen[bytes]
    config: Config
    ready: Ready

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(address=f"unix:{self.config.socket}", key=self.config.key, context=self.config.context)


def fields(model: Path, folder: Path) -> dict[str, Any]:
    return {
        "name": "the-name",
        "path": str(model),
        "socket": str(folder / "engine.sock"),
        "key": "secret",
        "context": 512,
        "slots": 2,
        "batch": 512,
        "threads": 1,
        "embedding": False,
        "checkpoints": 0,
        "prompt_cache_mb": 4,
        "data_limit": 2**31,
    }


@contextlib.contextmanager
def running(model: Path, folder: Path, *, environ: dict[str, str] | None = None, **changes: Any) -> Iterator[Running]:
    config = Config(**(fields(model, folder) | changes))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "nearfar.engine.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(environ or {}),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(config) + b"\n")
        process.stdin.flush()
        try:
            yield Running(process, config, msgspec.json.decode(process.stdout.readline(), type=Ready))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Iterator[Running]:
    with running(tiny_gguf, tmp_path_factory.mktemp("chat")) as started:
        yield started


@pytest.fixture(scope="module")
def embed(tmp_path_factory: pytest.TempPathFactory, tiny_embedding_gguf: Path) -> Iterator[Running]:
    with running(tiny_embedding_gguf, tmp_path_factory.mktemp("embed"), embedding=True, context=128) as started:
        yield started


# ---------------------------------------------------------------- the process


def test_it_is_ready_and_tells_no_path(chat: Running) -> None:
    assert chat.ready.ok
    status, answer = asyncio.run(ask(chat.endpoint, CHAT, {"messages": HELLO, "max_tokens": 4}))
    assert status == 200
    assert answer["model"] == "the-name"
    assert chat.config.path not in str(answer)


def test_it_is_the_first_to_go_when_memory_runs_out_and_leaves_no_dump(chat: Running) -> None:
    proc = Path(f"/proc/{chat.process.pid}")
    assert (proc / "oom_score_adj").read_text().strip() == "1000"
    limits = (proc / "limits").read_text()
    assert "Max core file size        0 " in limits
    assert f"Max data size             {chat.config.data_limit} " in limits


def test_its_socket_is_for_its_owner_alone_and_wants_the_key(chat: Running) -> None:
    assert stat.S_IMODE(os.stat(chat.config.socket).st_mode) & 0o077 == 0
    for key in ("", "wrong"):
        status, _ = asyncio.run(post(chat.endpoint, CHAT, {"messages": HELLO}, key=key))
        assert status == 401


ENGINE_THAT_CALLS_HOME = """
import errno, socket
class Anything:
    def __getattr__(self, name):
        return Anything()
CommonParams = Anything
def Server(_):
    try:
        socket.create_connection(("127.0.0.1", %d), timeout=5).close()
        raise RuntimeError("connected")
    except OSError as exc:
        raise RuntimeError("refused: " + errno.errorcode.get(exc.errno, str(exc)))
"""


def test_an_engine_cannot_call_home_when_the_child_says_it_has_no_network(tmp_path: Path, tiny_gguf: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "xllamacpp.py").write_text(ENGINE_THAT_CALLS_HOME % server.getsockname()[1])
        with running(tiny_gguf, tmp_path, environ={"PYTHONPATH": str(tmp_path)}) as started:
            ready = started.ready
    assert ready.error == "connected" if ready.network == "shared" else ready.error.startswith("refused")
    assert ready.network in {"none", "shared"}


ENGINE_THAT_LOOKS_AROUND = """
import os
class Anything:
    def __getattr__(self, name):
        return Anything()
CommonParams = Anything
def Server(_):
    try:
        with open(f"/proc/{os.getppid()}/environ", "rb") as file:
            said = "read" if b"SECRET" in file.read() else "empty"
    except OSError as exc:
        said = type(exc).__name__
    with open("/proc/self/status") as file:
        said += "".join(line.split()[1] for line in file if line.startswith("CapEff"))
    raise RuntimeError(said)
"""
GATEWAY = """
import subprocess, sys
from nearfar.engine.process import child_environment
from nearfar.server.harden import hide_memory
hide_memory()
environ = child_environment({"PYTHONPATH": sys.argv[1]})
command = [sys.executable, "-P", "-m", "nearfar.engine.child"]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as child:
    child.stdin.write(sys.stdin.buffer.read())
    child.stdin.flush()  # and left open: its end would be the child's end
    sys.stdout.buffer.write(child.stdout.readline())
"""


def test_an_engine_cannot_read_its_parents_environment(tmp_path: Path, tiny_gguf: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text(ENGINE_THAT_LOOKS_AROUND)
    config = Config(**fields(tiny_gguf, tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", GATEWAY, str(tmp_path)],
        input=msgspec.json.encode(config) + b"\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, PROVIDER_KEY="SECRET"),
        timeout=60,
        check=True,
    )
    ready = msgspec.json.decode(done.stdout, type=Ready)
    assert ready.error == "PermissionError" + "0" * 16


def test_it_ends_with_its_standard_input(tmp_path: Path, tiny_gguf: Path) -> None:
    with running(tiny_gguf, tmp_path) as started:
        assert started.process.stdin is not None
        started.process.stdin.close()
        assert started.process.wait(30) == 0


def test_a_stale_socket_is_no_obstacle(tmp_path: Path, tiny_gguf: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "engine.sock"))
    with running(tiny_gguf, tmp_path) as started:
        assert started.ready.ok


def test_an_old_processor_is_refused_before_the_engine_is_imported(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "missing_features_here", lambda: ("avx2", "fma"))
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # importing it would raise
    ready, server = child._load(NOTHING)
    assert server is None
    assert (ready.code, ready.error) == (
        "cpu_unsupported",
        "This processor lacks avx2, fma, which the embedded engine needs.",
    )


def test_a_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "missing_features_here", lambda: ())
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    ready, _ = child._load(NOTHING)
    assert (ready.code, ready.hint) == ("engine_missing", f"Install it with: {install.command('local')}")


NOTHING: Any = None
"""A configuration that nobody may look at."""

# ---------------------------------------------------------------- what the wire relies on

LONG = [{"role": "user", "content": "x " * 600}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "s",
        "schema": {"type": "object", "properties": {"a": {"type": "string", "maxLength": 12}}, "required": ["a"]},
    },
}
BROKEN_UTF8 = {"messages": HELLO, "response_format": SCHEMA, "max_tokens": 200, "logit_bias": {str(5 + 0xFF): 40}}
"""Prefers the byte FF, which no UTF-8 text contains; the grammar lets it pass, the engine's parser does not."""
UNPARSED = "The model produced output that does not match the expected peg-native format"

CASES: list[tuple[str, str, object, int, str, str]] = [
    (
        "chat",
        CHAT,
        {"messages": LONG},
        400,
        "exceed_context_size_error",
        "exceeds the available context size (512 tokens)",
    ),
    ("chat", CHAT, {"messages": LONG, "stream": True}, 400, "exceed_context_size_error", "exceeds the available"),
    ("chat", CHAT, b"{nope", 400, "invalid_request_error", "parse error"),
    ("chat", CHAT, {}, 400, "invalid_request_error", "'messages' is required"),
    ("chat", CHAT, {"messages": HELLO, "max_tokens": "x"}, 400, "invalid_request_error", "max_tokens"),
    ("chat", CHAT, {"messages": HELLO, "n": 3}, 400, "invalid_request_error", "'n'"),
    ("chat", CHAT, {"messages": IMAGE}, 500, "server_error", "image input is not supported"),
    ("chat", CHAT, BROKEN_UTF8, 500, "server_error", UNPARSED),
    ("chat", "/v1/embeddings", {"input": "a"}, 501, "not_supported_error", "does not support embeddings"),
    ("chat", "/v1/nothing", {}, 404, "not_found_error", "File Not Found"),
    ("embed", CHAT, {"messages": HELLO}, 500, "server_error", "does not support logits computation"),
    ("embed", "/v1/embeddings", {"input": "a " * 200}, 400, "exceed_context_size_error", "larger than the max context"),
    ("embed", "/v1/embeddings", {"input": "a " * 900}, 500, "server_error", "is too large to process"),
    ("embed", "/v1/embeddings", {"input": []}, 400, "invalid_request_error", "must not be empty"),
    ("embed", "/v1/embeddings", {"input": [-5]}, 400, "invalid_request_error", "invalid tokens"),
]


@pytest.mark.parametrize(("which", "path", "body", "status", "kind", "says"), CASES)
def test_refusals(
    request: pytest.FixtureRequest, which: str, path: str, body: object, status: int, kind: str, says: str
) -> None:
    started: Running = request.getfixturevalue(which)
    answer = asyncio.run(ask(started.endpoint, path, body))
    assert answer[0] == status
    assert answer[1]["error"]["type"] == kind
    assert says in answer[1]["error"]["message"]


def test_an_unparsed_answer_ends_a_stream_with_an_error_and_without_done(chat: Running) -> None:
    status, body = asyncio.run(post(chat.endpoint, CHAT, BROKEN_UTF8 | {"stream": True}))
    assert status == 200
    event = b'data: {"error":{"code":500,"message":"' + UNPARSED.encode() + b'","type":"server_error"}}\n\n'
    assert event in body
    assert b"[DONE]" not in body


def test_an_answer_cut_by_its_limit_is_no_error(chat: Running) -> None:
    body = {"messages": HELLO, "response_format": SCHEMA, "max_tokens": 8}
    status, answer = asyncio.run(ask(chat.endpoint, CHAT, body))
    assert (status, answer["choices"][0]["finish_reason"]) == (200, "length")


def test_embeddings_come_in_order_of_their_inputs(embed: Running) -> None:
    def vectors(inputs: list[str]) -> list[list[float]]:
        status, answer = asyncio.run(ask(embed.endpoint, "/v1/embeddings", {"input": inputs}))
        assert status == 200
        assert [item["index"] for item in answer["data"]] == list(range(len(inputs)))
        return [item["embedding"] for item in answer["data"]]

    ab, ba = vectors(["a b c", "x y"]), vectors(["x y", "a b c"])
    assert [len(vector) for vector in ab] == [32, 32]
    assert ab[0] == pytest.approx(ba[1], abs=1e-3)
    assert ab[0] != pytest.approx(ab[1], abs=1e-2)


def test_the_context_is_per_slot(tmp_path: Path) -> None:
    model = write_chat(tmp_path / "m.gguf", context=300)
    with running(model, tmp_path, context=300, slots=3) as started:
        _, answer = asyncio.run(ask(started.endpoint, CHAT, {"messages": LONG}))
        assert answer["error"]["n_ctx"] == 300


@pytest.mark.slow
def test_the_prompt_cache_is_bounded(tmp_path: Path) -> None:
    """Each of these prompts leaves 1 MB of state; the default bound of 8 GiB would keep all of them."""
    model = write_chat(tmp_path / "m.gguf", width=256, layers=4, context=1024)
    resident: Callable[[int], int] = machine.resident_bytes
    with running(model, tmp_path, context=1024, slots=1, prompt_cache_mb=4) as started:

        async def fill(first: int, last: int) -> None:
            for turn in range(first, last):
                prompt = f"{turn:04}" + " x" * 250
                await ask(started.endpoint, CHAT, {"messages": [{"role": "user", "content": prompt}], "max_tokens": 1})

        asyncio.run(fill(0, 15))
        before = resident(started.process.pid)
        asyncio.run(fill(15, 60))
        assert resident(started.process.pid) - before < 16 * 1024 * 1024


def test_a_model_in_parts_answers(tmp_path: Path) -> None:
    folder = tmp_path / "tiny.parts"
    folder.mkdir()
    write_chat(folder / "tiny.gguf", tensors_per_part=10)
    names = tuple(sorted(path.name for path in folder.iterdir()))
    assert len(names) > 2
    with running(folder, tmp_path, files=names) as started:
        assert started.ready.ok, started.ready.error
        status, told = asyncio.run(ask(started.endpoint, CHAT, {"messages": HELLO, "max_tokens": 3}))
    assert status == 200
    assert told["choices"][0]["message"]["content"]
