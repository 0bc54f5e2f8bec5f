"""Keys and binds: who may call, on every worker, from the second on in which it was decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import running, stand_in
from tests.running import Gateway, eventually


def _new(folder: Path, name: str, *more: str) -> str:
    made = running.command(folder, "keys", "new", name, "--quiet", *more)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _status(gateway: Gateway, key: str = "") -> set[int]:
    """The statuses of many new connections, so that every worker is met."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return {gateway.ask("/v1/models", headers=headers).status for _ in range(12)}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_key_works_and_stops_working_everywhere(gateway: Callable[..., Gateway], workers: int) -> None:
    started = gateway("", arguments=("--workers", str(workers)))
    assert _status(started) == {200}, "without any key, loopback is open"
    began = time.monotonic()
    secret = _new(started.folder, "anna")
    eventually(lambda: _status(started) == {401})
    assert _status(started, secret) == {200}
    other = _new(started.folder, "bea")
    eventually(lambda: _status(started, other) == {200})
    assert _status(started, secret[:-1]) == {401}
    revoked = running.command(started.folder, "keys", "revoke", "anna")
    assert revoked.returncode == 0, revoked.stderr
    eventually(lambda: _status(started, secret) == {401})
    assert _status(started, other) == {200}
    assert running.command(started.folder, "keys", "revoke", "bea").returncode == 0
    eventually(lambda: _status(started, other) == {401})
    assert _status(started) == {401}, "revoking the last key closes the door"
    assert time.monotonic() - began < running.WAIT
    assert started.ask("/livez").status == 200
    assert secret not in started.words()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer {}"},
        {"x-api-key": "{}"},
        {"api-key": "{}"},
    ],
)
def test_where_clients_put_their_key(guarded: tuple[Gateway, str, str], headers: dict[str, str]) -> None:
    gateway, key, _ = guarded
    filled = {name: value.format(key) for name, value in headers.items()}
    assert gateway.ask("/v1/models", headers=filled).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/auto", "/metrics", "/nearfar/v1/ps", "/v1/chat/completions"]
)
def test_without_a_key_nothing_but_the_open_paths(guarded: tuple[Gateway, str, str], path: str) -> None:
    gateway, key, _ = guarded
    body = b"{}" if "chat" in path else None
    missing = gateway.ask(path, body)
    assert (missing.status, missing.error["code"]) == (401, "missing_api_key")
    wrong = gateway.ask(path, body, headers={"authorization": "Bearer nothing"})
    assert (wrong.status, wrong.error["code"]) == (401, "invalid_api_key")
    assert gateway.ask(path, body, headers={"authorization": f"Bearer {key}"}).status != 401


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz"])
def test_open_paths(guarded: tuple[Gateway, str, str], path: str) -> None:
    assert guarded[0].ask(path).status == 200


def test_a_key_carries_a_class_and_a_name_into_the_ledger(guarded: tuple[Gateway, str, str]) -> None:
    gateway, key, sensitive = guarded
    reply = gateway.chat("here", headers={"authorization": f"Bearer {key}"})
    assert reply.headers["x-nearfar-class"] == "internal"
    closed = gateway.chat("here", headers={"authorization": f"Bearer {sensitive}", "x-nearfar-class": "public"})
    assert (closed.status, closed.headers["x-nearfar-class"]) == (403, "restricted")
    (entry,) = gateway.attempts(reply)
    assert entry.caller.startswith("key_")
    assert key not in str(entry)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str, str]]:
    """A gateway that wants keys, one key, and one of a restricted caller."""
    folder = tmp_path_factory.mktemp("guarded")
    running.configure(folder, "")
    key, sensitive = _new(folder, "anna"), _new(folder, "carl", "--class", "restricted")
    with stand_in.running() as cloud, running.gateway(folder, running.far("here", cloud.url)) as gateway:
        yield gateway, key, sensitive


def _refused(folder: Path, *arguments: str) -> str:
    config = running.configure(folder, "")
    done = running.command(folder, "serve", "--config", str(config), "--port", "0", *arguments)
    assert done.returncode not in {0, -9}
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_beyond_loopback_nobody_is_served_without_a_key(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::"):
        assert "key" in _refused(tmp_path, "--host", host)
    assert "require_key" in _refused(tmp_path, "--host", "0.0.0.0", "--set", "server.require_key=false")


def test_a_port_that_is_taken_is_said(tmp_path: Path, gateway: Callable[..., Gateway]) -> None:
    port = gateway("").url.rpartition(":")[2]
    config = running.configure(tmp_path, "")
    done = running.command(tmp_path, "serve", "--config", str(config), "--port", port)
    assert done.returncode not in {0, -9}
    assert port in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_wrong_is_said(tmp_path: Path) -> None:
    for text, word in (("[server]\nprot = 1\n", "port"), ("[routes.a]\ndeployments = ['b']\n", "b"), ("= 1", "config")):
        config = running.configure(tmp_path, text)
        done = running.command(tmp_path, "serve", "--config", str(config), "--port", "0")
        assert done.returncode not in {0, -9}
        assert word in done.stderr
        assert "Traceback" not in done.stderr
