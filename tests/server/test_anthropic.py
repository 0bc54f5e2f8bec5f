"""Anthropic's dialect at the edge: bytes in, bytes out. What official clients make of it is tested in tests/sdk."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as sized
from hypothesis import strategies as st
from tests import running, stand_in
from tests.gateway.house import chunk
from tests.gateway.scripted import Script, Upstream, upstream
from tests.running import Reply
from tests.server.served import Served, loaded, run, served

GOLDEN = Path(__file__).parents[1] / "golden" / "anthropic_messages"
VERSION = {"anthropic-version": "2023-06-01"}
BODY: dict[str, Any] = {"max_tokens": 40, "messages": running.HELLO}


def claude(name: str, url: str, more: str = "") -> str:
    """A deployment that speaks Anthropic's dialect itself."""
    return (
        f'\n[deployments.{name}]\nprovider = "anthropic"\nmodel = "stand-in-large"\nbase_url = "{url}"\n'
        f'place = "device"\n{running.PRICE}\n{more}\n'
    )


async def ask(app: Served, model: str, **more: Any) -> Reply:
    headers = more.pop("headers", VERSION)
    return await app.ask("/v1/messages?beta=true", {"model": model, **BODY, **more}, headers=headers)


def events(reply: Reply) -> list[dict[str, Any]]:
    return [event for event in reply.events if event["type"] != "ping"]


def text_of(reply: Reply) -> str:
    return "".join(event["delta"].get("text", "") for event in events(reply) if "delta" in event)


def json_reply(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("model", ["far", "claude"])
def test_both_kinds_of_deployment_answer(tmp_path: Path, stand_in: stand_in.Running, model: str) -> None:
    async def scenario() -> None:
        config = running.far("far", stand_in.url) + claude("claude", stand_in.url)
        async with served(loaded(tmp_path, config)) as app:
            plain = await ask(app, model)
            assert (plain.status, plain.json["type"], plain.json["stop_reason"]) == (200, "message", "end_turn")
            assert plain.headers["request-id"] == plain.headers["x-nearfar-request"]
            assert plain.headers["x-nearfar-deployment"] == model
            assert "x-nearfar-deviations" not in plain.headers
            stream = await ask(app, model, stream=True)
            assert text_of(stream) == plain.json["content"][0]["text"]
            assert [event["type"] for event in events(stream)][-2:] == ["message_delta", "message_stop"]
            assert events(stream)[-2]["usage"]["output_tokens"] == plain.json["usage"]["output_tokens"]
            assert stream.clean

    run(scenario())


def test_what_only_anthropic_knows_travels_there_and_is_told_elsewhere(tmp_path: Path) -> None:
    body = (GOLDEN / "plain_text.json").read_bytes()
    openai = (GOLDEN.parent / "openai_chat" / "plain_text.json").read_bytes()
    more = {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "metadata": {"user_id": "u"},
    }
    betas = {"anthropic-version": "2026-10-21", "anthropic-beta": "context-management-2025-06-27"}

    async def scenario() -> None:
        async with upstream(json_reply(body)) as there, upstream(json_reply(openai)) as other:
            config = claude("claude", f"http://127.0.0.1:{there.port}")
            config += running.far("far", f"http://127.0.0.1:{other.port}")
            async with served(loaded(tmp_path, config)) as app:
                reply = await ask(app, "claude", headers=betas, **more)
                assert reply.body == body
                head, sent = parts(there)
                assert sent == {"model": "stand-in-large", **BODY, **more}
                assert b"post /v1/messages http/1.1" in head
                assert b"anthropic-version: 2026-10-21\r\n" in head
                assert b"anthropic-beta: context-management-2025-06-27\r\n" in head
                reply = await ask(app, "far", headers=betas, **more)
                assert reply.status == 200
                assert set(reply.tried) == {
                    "dropped:cache_control",
                    "dropped:context_management",
                    "adapted:thinking",
                    "adapted:output_config",
                }
                head, sent = parts(other)
                assert b"anthropic" not in head
                assert (sent["reasoning_effort"], sent["user"]) == ("low", "u")

    run(scenario())


AGENT: dict[str, Any] = {
    "max_tokens": 32000,
    "stream": True,
    "system": [
        {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}} for text in ("a", "b", "c")
    ],
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "<reminder>x</reminder>"}, {"type": "text", "text": "hi"}],
        },
        {"role": "system", "content": "mind this"},
    ],
    "tools": [
        {"name": f"tool_{number}", "description": "d", "input_schema": {"$schema": "s", "type": "object"}}
        for number in range(24)
    ],
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "medium"},
    "metadata": {"user_id": "user_1"},
}
"""The members that a coding agent of 2026-11 was seen to send, all at once."""


@pytest.mark.parametrize("model", ["far", "claude"])
def test_what_a_coding_agent_sends(tmp_path: Path, model: str) -> None:
    folder, mark = ("anthropic_messages", b"x-api-key") if model == "claude" else ("openai_chat", b"authorization")
    data = (GOLDEN.parent / folder / "stream_text.sse").read_bytes()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def scenario() -> None:
        async with upstream(head + chunk(data) + b"0\r\n\r\n") as there:
            url = f"http://127.0.0.1:{there.port}"
            config = running.far("far", url) + claude("claude", url)
            betas = {"anthropic-version": "2023-06-01", "anthropic-beta": "claude-code-20250219,effort-2025-11-24"}
            async with served(loaded(tmp_path, config)) as app:
                reply = await app.ask("/v1/messages?beta=true", {"model": model, **AGENT}, headers=betas)
                assert reply.status == 200
                assert text_of(reply).startswith("Hello")
                top, sent = parts(there)
                assert mark not in top, "no key was configured, and the client's own is not for others"
                if model == "claude":
                    assert sent == {"model": "stand-in-large", **AGENT}
                    assert b"anthropic-beta: claude-code-20250219,effort-2025-11-24" in top
                    return
                assert [message["role"] for message in sent["messages"]] == ["system", "user", "system"]
                assert len(sent["tools"]) == 24
                assert (sent["reasoning_effort"], sent["max_completion_tokens"]) == ("medium", 32000)
                assert set(reply.tried) == {
                    "dropped:cache_control",
                    "dropped:context_management",
                    "adapted:thinking",
                    "adapted:output_config",
                }

    run(scenario())


def parts(there: Upstream) -> tuple[bytes, dict[str, Any]]:
    head, _, body = there.requests[-1].partition(b"\r\n\r\n")
    found: dict[str, Any] = json.loads(body)
    return head.lower() + b"\r\n", found


@pytest.mark.parametrize("mode", ["cut", "close", "error-event", "invalid-json"])
@pytest.mark.parametrize("model", ["far", "claude"])
def test_a_broken_stream_ends_in_an_error_event(
    tmp_path: Path, stand_in: stand_in.Running, model: str, mode: str
) -> None:
    async def scenario() -> None:
        config = running.far("far", stand_in.url) + claude("claude", stand_in.url)
        async with served(loaded(tmp_path, config)) as app:
            stand_in.behave(mode)
            reply = await ask(app, model, stream=True)
            assert text_of(reply)
            last = events(reply)[-1]
            assert (last["type"], last["error"]["type"] in {"api_error", "overloaded_error"}) == ("error", True)
            assert "message_stop" not in reply.body.decode()
            assert not reply.clean

    run(scenario())


@pytest.mark.parametrize("model", ["far", "claude"])
def test_a_limit_is_told_with_its_wait(tmp_path: Path, stand_in: stand_in.Running, model: str) -> None:
    async def scenario() -> None:
        config = running.far("far", stand_in.url) + claude("claude", stand_in.url)
        async with served(loaded(tmp_path, config)) as app:
            stand_in.behave("429", retry_after=7)
            reply = await ask(app, model)
            assert (reply.status, reply.headers["retry-after"]) == (429, "7")
            assert reply.json["type"] == "error"
            assert reply.error["type"] == "rate_limit_error"
            assert reply.json["request_id"] == reply.headers["request-id"]

    run(scenario())


def test_failover_from_one_dialect_to_the_other_is_told(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        async with upstream(every=b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n") as busy:
            config = claude("claude", f"http://127.0.0.1:{busy.port}") + running.far("far", stand_in.url)
            config += running.route("both", "claude", "far", strategy="local-first")
            async with served(loaded(tmp_path, config)) as app:
                for stream in (False, True):
                    reply = await ask(app, "both", stream=stream)
                    assert (reply.status, reply.headers["x-nearfar-deployment"]) == (200, "far")
                first = await ask(app, "both")
                assert first.json["type"] == "message"

    run(scenario())


def test_a_client_that_leaves_ends_the_upstreams_work(tmp_path: Path) -> None:
    begin = (GOLDEN / "stream_text.sse").read_bytes().partition(b"event: content_block_stop")[0]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def scenario() -> None:
        async with upstream(endless(head + chunk(begin))) as there:
            settings = loaded(tmp_path, claude("claude", f"http://127.0.0.1:{there.port}"))
            async with served(settings) as app:
                await asyncio.to_thread(leave_early, app.url)
                await there.gone.wait()

    run(scenario())


def endless(data: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await reader.read()  # until the other side hangs up

    return script


def leave_early(url: str) -> None:
    with running.Raw(url) as raw:
        raw.post("/v1/messages", {"model": "claude", "stream": True, **BODY})
        raw.until(b"Hello")


def test_counting(tmp_path: Path) -> None:
    count = {"messages": running.HELLO}

    async def scenario() -> None:
        no = b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"
        async with upstream(json_reply(b'{"input_tokens": 2095}'), every=None) as there, upstream(every=no) as less:
            config = claude("claude", f"http://127.0.0.1:{there.port}") + claude(
                "less", f"http://127.0.0.1:{less.port}"
            )
            config += running.far("far", "http://127.0.0.1:9")
            async with served(loaded(tmp_path, config)) as app:

                async def counted(model: str) -> Reply:
                    return await app.ask("/v1/messages/count_tokens", {"model": model, **count}, headers=VERSION)

                reply = await counted("claude")
                assert (reply.json, reply.tried) == ({"input_tokens": 2095}, [])
                assert b"/v1/messages/count_tokens" in parts(there)[0]
                for model in ("far", "less"):
                    reply = await counted(model)
                    assert (reply.status, reply.tried[-1]) == (200, "estimated:input_tokens")
                    assert 0 < reply.json["input_tokens"] < 100
                    assert "x-nearfar-error" not in reply.headers
                assert not list(app.gateway.cooling())
                assert (await counted("nobody")).status == 404
                bad = await app.ask("/v1/messages/count_tokens", {"model": "far"}, headers=VERSION)
                assert (bad.status, bad.error["type"]) == (400, "invalid_request_error")

    run(scenario())


def test_content_that_may_not_leave_is_not_counted_elsewhere(tmp_path: Path, stand_in: stand_in.Running) -> None:
    async def scenario() -> None:
        config = claude("claude", stand_in.url).replace('place = "device"', 'place = "cloud"')
        async with served(loaded(tmp_path, config)) as app:
            headers = {**VERSION, "x-nearfar-class": "restricted"}
            body = {"model": "claude", "messages": running.HELLO}
            reply = await app.ask("/v1/messages/count_tokens", body, headers=headers)
            assert (reply.status, reply.tried) == (200, ["estimated:input_tokens"])
            assert reply.headers["x-nearfar-class"] == "restricted"
            assert stand_in.report().totals.requests == 0
            refused = await ask(app, "claude", headers=headers)
            assert (refused.status, refused.error["type"]) == (403, "permission_error")

    run(scenario())


def test_the_list_of_models_has_pages(tmp_path: Path) -> None:
    config = "".join(running.far(f"m{number}", "http://127.0.0.1:9") for number in range(5))

    async def scenario() -> None:
        async with served(loaded(tmp_path, config)) as app:

            async def page(query: str) -> Any:
                return (await app.ask(f"/v1/models?{query}", headers=VERSION)).json

            whole = await page("limit=1000")
            ids = [row["id"] for row in whole["data"]]
            assert {"m0", "m4", "auto"} <= set(ids)
            assert (whole["has_more"], whole["first_id"], whole["last_id"]) == (False, ids[0], ids[-1])
            first = await page("limit=2")
            assert ([row["id"] for row in first["data"]], first["has_more"]) == (ids[:2], True)
            after = await page(f"limit=2&after_id={ids[1]}")
            assert [row["id"] for row in after["data"]] == ids[2:4]
            before = await page(f"limit=2&before_id={ids[3]}")
            assert ([row["id"] for row in before["data"]], before["has_more"]) == (ids[1:3], True)
            last = await page(f"after_id={ids[-1]}")
            assert (last["data"], last["has_more"], last["first_id"], last["last_id"]) == ([], False, None, None)
            for query in (
                "limit=0",
                "limit=1001",
                "limit=x",
                "limit=%C2%B2",
                "limit=00001" + "9" * 5000,
                "after_id=nobody",
                "before_id=nobody",
            ):
                reply = await app.ask(f"/v1/models?{query}", headers=VERSION)
                assert (reply.status, reply.json["type"]) == (400, "error")
            one = await app.ask("/v1/models/m3", headers=VERSION)
            assert (one.json["type"], one.json["id"], one.json["lifecycle"]) == ("model", "m3", "active")
            none = await app.ask("/v1/models/nobody", headers=VERSION)
            assert (none.status, none.error["type"]) == (404, "not_found_error")

    run(scenario())


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_keys_in_either_header_and_refusals_in_the_dialect(tmp_path: Path, header: str) -> None:
    settings = loaded(tmp_path, running.far("far", "http://127.0.0.1:9"), server__require_key="true")

    async def scenario() -> None:
        async with served(settings) as app:
            for headers in ({}, {header: "Bearer no" if header == "authorization" else "no"}):
                reply = await ask(app, "far", headers={**VERSION, **headers})
                assert (reply.status, reply.error["type"]) == (401, "authentication_error")
                assert reply.json["type"] == "error"
            reply = await app.ask("/v1/messages", method="GET")
            assert (reply.status, reply.error["type"]) == (405, "invalid_request_error")
            reply = await app.ask("/v1/messages/nothing", {}, headers=VERSION)
            assert (reply.status, reply.error["type"]) == (404, "not_found_error")
            assert (await app.ask("/", method="HEAD")).status == 200

    run(scenario())


def test_hostile_bodies_are_refused_in_the_dialect(tmp_path: Path, stand_in: stand_in.Running) -> None:
    members = st.sampled_from(
        ["model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "thinking"]
    )
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "content"]), inner),
        max_leaves=8,
    )
    whole = st.dictionaries(members, value).map(
        lambda found: json.dumps({"model": "far", "max_tokens": 5, "messages": running.HELLO, **found}).encode()
    )
    hostile = st.binary(max_size=60) | whole | whole.map(lambda body: body[:-1])

    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far("far", stand_in.url))) as app:
            bodies: list[bytes] = []

            @sized(max_examples=120, deadline=None, database=None)
            @given(hostile)
            def gather(body: bytes) -> None:
                bodies.append(body)

            gather()
            for body in (*bodies, b"[" * 100_000, b'{"model":"far","model":"far"}', b"\xff", b""):
                for path in ("/v1/messages", "/v1/messages/count_tokens"):
                    reply = await app.ask(path, body, headers=VERSION)
                    assert reply.status < 500, (body, reply)
                    if reply.status != 200:
                        assert reply.json["type"] == "error"
                        assert reply.error["type"] in {"invalid_request_error", "not_found_error"}
                        assert reply.error["message"]

    run(scenario())
