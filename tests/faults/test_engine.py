"""The embedded engine dies at every moment: the next request is answered, and no stream pretends to be whole."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests import running
from tests import stand_in as stand_ins
from tests.running import HELLO, Gateway, Raw, Reply, eventually
from tests.tiny_gguf import write_chat

Both = tuple[Gateway, stand_ins.Running]


@pytest.fixture(scope="module")
def endless_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers end with the context only."""
    return write_chat(tmp_path_factory.mktemp("endless") / "endless.gguf", eos_bias=-100.0, context=2048)


@pytest.fixture
def both(endless_gguf: Path, stand_in: stand_ins.Running, tmp_path: Path) -> Iterator[Both]:
    """A gateway whose route ``first`` asks the embedded engine, then the stand-in."""
    running.add_model(tmp_path, endless_gguf, "near")
    config = running.far("far", stand_in.url) + running.near("here", "near")
    config += running.route("first", "here", "far", strategy="local-first")
    base = running.BASE.replace("context = 512", "context = 2048")
    with running.gateway(tmp_path, config, base=base) as gateway:
        yield gateway, stand_in


def _die(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    psutil.wait_procs([process], 30)


def test_killed_while_idle_it_is_started_again(both: Both) -> None:
    gateway, stand_in = both
    assert gateway.chat("near", max_tokens=2).status == 200
    pid = gateway.engines()["near"]
    _die(pid)
    reply = gateway.chat("first", max_tokens=2)
    assert reply.status == 200
    # Near again, or far when the death was noticed only by asking: both are answers, and both are told.
    assert reply.headers["x-nearfar-deployment"] in {"here", "far"}
    eventually(lambda: _answers(gateway))
    assert gateway.engines()["near"] != pid
    assert not os.path.exists(f"/proc/{pid}")
    assert stand_in.report().totals.requests <= 1


def _answers(gateway: Gateway) -> bool:
    reply = gateway.chat("near", max_tokens=2)
    return reply.status == 200 and bool(reply.text)


def test_killed_before_the_first_token_the_cloud_answers(both: Both) -> None:
    gateway, _ = both
    assert gateway.chat("near", max_tokens=2).status == 200
    pid = gateway.engines()["near"]
    os.kill(pid, signal.SIGSTOP)
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.append(gateway.chat("first", stream=True, max_tokens=5)))
    asking.start()
    eventually(lambda: [entry for entry in gateway.entries(outcome="open") if entry.deployment == "here"])
    _die(pid)
    asking.join(running.WAIT)
    (reply,) = replies
    assert reply.status == 200
    assert reply.clean
    assert reply.events[-1] == "[DONE]"
    assert reply.headers["x-nearfar-deployment"] == "far"
    first, second = gateway.attempts(reply, count=2)
    assert (first.deployment, first.outcome, first.cost) == ("here", "error", 0)
    assert (second.deployment, second.outcome) == ("far", "ok")
    assert reply.tried == [f"failover:here:{first.error}"]


def test_killed_in_mid_stream_the_stream_does_not_end_well(both: Both) -> None:
    gateway, stand_in = both
    assert gateway.chat("near", max_tokens=2).status == 200
    pid = gateway.engines()["near"]
    with gateway.raw() as raw:
        raw.post("/v1/chat/completions", {"model": "first", "stream": True, "messages": HELLO})
        raw.until(b'"content":"')
        os.kill(pid, signal.SIGSTOP)  # or it might end before it dies
        _die(pid)
        body = raw.rest()
    request = body.partition(b"x-nearfar-request: ")[2].partition(b"\r\n")[0].decode()
    assert b"[DONE]" not in body
    assert b'"error"' in body
    assert not body.endswith(b"0\r\n\r\n"), "the transfer coding must not end as if the reply were whole"
    (entry,) = gateway.attempts(request)
    assert (entry.deployment, entry.outcome, entry.error) == ("here", "cut", "stream_cut")
    assert stand_in.report().totals.requests == 0
    eventually(lambda: _answers(gateway))
    assert gateway.engines()["near"] != pid


def test_unloaded_in_mid_stream_it_is_told_the_same_way(both: Both) -> None:
    gateway, _ = both
    with gateway.raw() as raw:
        raw.post("/v1/chat/completions", {"model": "near", "stream": True, "messages": HELLO})
        raw.until(b'"content":"')
        os.kill(gateway.engines()["near"], signal.SIGSTOP)
        assert gateway.ask("/nearfar/v1/unload", {"model": "near"}).json == {"unloaded": "near"}
        body = raw.rest()
    assert b"[DONE]" not in body
    assert b'"error"' in body
    assert gateway.engines() == {}


def test_a_file_that_is_no_model_is_a_typed_refusal(
    gateway: Callable[..., Gateway], tmp_path: Path, tiny_gguf: Path
) -> None:
    folder = tmp_path / "g"
    models = folder / "models"
    models.mkdir(parents=True)
    (models / "text.gguf").write_text("I am no model.\n" * 100)
    (models / "empty.gguf").write_bytes(b"")
    (models / "cut.gguf").write_bytes(tiny_gguf.read_bytes()[:100_000])
    config = running.near("one", "text") + running.near("two", "empty") + running.near("three", "cut")
    started = gateway(config + running.near("four", "absent"), folder=folder)
    codes = {}
    for name in ("one", "two", "three", "four"):
        reply = started.chat(name)
        assert reply.status == 503, (name, reply)
        assert reply.error["type"] == "upstream_error"
        codes[name] = reply.error["code"]
    assert codes == {"one": "not_gguf", "two": "not_gguf", "three": "gguf_truncated", "four": "engine_model_missing"}
    assert started.engines() == {}
    assert started.entries() == [], "what cannot be used is not tried"
    rows = json.loads(running.command(folder, "route", "ls", "--url", started.url, "--json").stdout)["routes"]
    (absent,) = (row["deployments"] for row in rows if row["name"] == "four")
    assert (absent[0]["usable"], absent[0]["code"]) == (False, "unusable")
    assert absent[0]["trouble"].startswith("there is no local model 'absent'")
    assert started.chat("text").status == 404
    added = running.command(folder, "models", "add", str(models / "text.gguf"), "--name", "other")
    assert added.returncode != 0
    assert "GGUF" in added.stderr
    assert "Traceback" not in added.stderr


def test_the_engine_leaves_with_the_gateway(both: Both) -> None:
    gateway, _ = both
    assert gateway.chat("near", max_tokens=2).status == 200
    pid = gateway.engines()["near"]
    gateway.kill()
    eventually(lambda: not psutil.pid_exists(pid))


LONG = 20_000
"""Tokens of a prompt that takes an engine with one thread many seconds to read: it looks between batches, and about
once a second, whether somebody is still there."""


def letters(seed: int) -> str:
    """About LONG tokens, and another text for each seed, so that nothing of it is remembered from before."""
    return "".join(random.Random(seed).choices("bcdfghjklmnpqrsvwxyz", k=LONG))


def used(pid: int) -> float:
    """Seconds of CPU of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_hanging_up_while_the_prompt_is_read_ends_the_reading(
    tmp_path: Path, gateway: Callable[..., Gateway], stream: bool
) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    running.add_model(folder, write_chat(folder / "long.gguf", eos_bias=-100.0, context=32_768), "near")
    base = running.BASE.replace("context = 512", "context = 32768").replace("slots = 2", "slots = 1")
    house = gateway(running.near("here", "near"), folder=folder, base=base)
    assert house.chat("near", max_tokens=2).status == 200
    pid = house.engines()["near"]
    before = used(pid)
    whole = house.chat("near", content=letters(1), max_tokens=1)
    assert whole.status == 200
    cost = used(pid) - before
    before = used(pid)
    with house.raw() as raw:
        question = [{"role": "user", "content": letters(2)}]
        raw.post("/v1/chat/completions", {"model": "near", "stream": stream, "max_tokens": 1, "messages": question})
        eventually(lambda: used(pid) - before > cost / 10)
    # One slot: whoever is answered now has not waited for the end of what nobody wants any more.
    assert house.chat("near", max_tokens=2).status == 200
    spent = used(pid) - before
    assert spent < cost * 0.7, f"{spent:.1f} s of the {cost:.1f} s that reading all of it takes"
    eventually(lambda: all(not row["in_flight"] for row in house.ask("/nearfar/v1/ps").json["models"]))
    (ended,) = eventually(lambda: house.entries(outcome="cancelled"))
    assert (ended.error, ended.cost) == ("client_gone", 0)
    assert house.engines()["near"] == pid, "and it was not killed for it"


def test_hanging_up_frees_the_slot(both: Both) -> None:
    gateway, _ = both
    for _ in range(3):  # two slots
        raw = Raw(gateway.url)
        raw.post("/v1/chat/completions", {"model": "near", "stream": True, "messages": HELLO})
        raw.until(b'"content":"')
        raw.close()
    eventually(lambda: all(not row["in_flight"] for row in gateway.ask("/nearfar/v1/ps").json["models"]))
    assert gateway.chat("near", max_tokens=2).status == 200
