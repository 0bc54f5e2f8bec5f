"""The one list of routes, the admission of callers, and what is said when something goes wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests import running, stand_in
from tests.server.served import loaded, run, served

from nearfar.server import operations


def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            reply = await app.ask("/livez", method="HEAD")
            assert (reply.status, reply.body) == (200, b"")

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST, OPTIONS"),
        ("DELETE", "/v1/models", "GET, HEAD, OPTIONS"),
        ("PUT", "/v1/models/some", "GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_know_is_told_those_it_does(
    tmp_path: Path, method: str, path: str, allow: str
) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            reply = await app.ask(path, {} if method in {"POST", "PUT"} else None, method=method)
            assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
            assert reply.error["type"] == "invalid_request_error"
            assert reply.headers["allow"] == allow

    run(scenario())


@pytest.mark.parametrize(
    ("path", "header", "member"),
    [
        ("/v1/chat/completions", "x-request-id", "error"),
        ("/v1/messages", "request-id", ""),
        ("/model/m/converse", "x-amzn-requestid", None),
        ("/api/chat", "x-nearfar-request", None),
        ("/nowhere", "x-request-id", "error"),
    ],
)
def test_every_refusal_has_a_request_id(tmp_path: Path, path: str, header: str, member: str | None) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            for how in ({"body": ["no", "request"]}, {"method": "PUT", "body": {}}):
                reply = await app.ask(path, **how)
                told = reply.headers["x-nearfar-request"]
                assert reply.status >= 400
                assert told.startswith("req-")
                assert reply.headers[header] == told
                if member is not None:
                    assert (reply.json[member] if member else reply.json)["request_id"] == told

    run(scenario())


def test_a_request_that_is_refused_after_its_id_was_told_keeps_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            reply = await app.chat("auto", headers={"x-nearfar-class": "secret"})
            assert reply.status == 400
            assert reply.error["request_id"] == reply.headers["x-request-id"] == reply.headers["x-nearfar-request"]

    run(scenario())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_a_compressed_body_is_refused_by_its_name(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            reply = await app.ask(path, {}, headers={"content-encoding": "gzip"})
            assert reply.status == 400
            assert b"content encoding 'gzip'" in reply.body
            plain = await app.ask("/livez", headers={"content-encoding": "identity"})
            assert plain.status == 200

    run(scenario())


def test_a_query_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            assert (await app.ask("/v1/models?limit=2&x=%00")).status == 200

    run(scenario())


def test_an_unforeseen_failure_is_logged_and_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(operations, "reply", broken)

    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            with caplog.at_level(logging.ERROR, "nearfar"):
                reply = await app.ask("/livez")
            assert (reply.status, reply.error["code"]) == (500, "internal_error")
            assert b"secret detail" not in reply.body
            assert "secret detail" in caplog.text
            monkeypatch.undo()
            assert (await app.ask("/livez")).status == 200

    run(scenario())


def test_an_unforeseen_failure_in_the_pipeline_is_logged_too(
    tmp_path: Path,
    stand_in: stand_in.Running,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:

            def broken(*_: object) -> None:
                raise RuntimeError("secret detail")

            monkeypatch.setattr(app.gateway.decider, "decide", broken)
            with caplog.at_level(logging.ERROR, "nearfar"):
                reply = await app.chat("far")
            assert (reply.status, reply.error["code"]) == (500, "internal_error")
            assert "secret detail" not in str(reply)
            assert "secret detail" in caplog.text

    run(scenario())


@pytest.mark.parametrize("access", ["true", "false"])
def test_the_access_log_is_on_request_and_holds_no_content(
    tmp_path: Path, stand_in: stand_in.Running, caplog: pytest.LogCaptureFixture, access: str
) -> None:
    async def scenario() -> None:
        config = running.far("far", stand_in.url)
        async with served(loaded(tmp_path, config, log__access=access)) as app:
            with caplog.at_level(logging.INFO, "nearfar"):
                await app.chat("far")
            lines = [record for record in caplog.records if record.name == "nearfar.access"]
            assert len(lines) == (1 if access == "true" else 0)
            assert all(record.__dict__["status"] == 200 for record in lines)
            assert "hello" not in caplog.text

    run(scenario())


def test_an_origin_that_is_our_own_needs_no_list(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            assert (await app.ask("/livez", headers={"origin": app.url})).status == 200
            assert (await app.ask("/livez", headers={"origin": "http://localhost:1"})).status == 403

    run(scenario())


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("[::1]", 200), ("", 200), ("a.example", 403), ("127.0.0.1@a.example", 403), ("::1", 403)],
)
def test_host_names(tmp_path: Path, host: str, status: int) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path)) as app:
            assert (await app.ask("/livez", headers={"host": host})).status == status

    run(scenario())
