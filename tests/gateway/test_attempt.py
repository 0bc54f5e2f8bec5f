"""One attempt: two records in the journal whatever happens, and a cost only where somebody said what was used."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.gateway.house import (
    COST,
    WHOLE_STREAM,
    FakeEngines,
    House,
    closes,
    error,
    event,
    house,
    pauses,
    plain,
    run,
    snapshot,
    stream,
    target,
)
from tests.gateway.scripted import OK, read_request, upstream

from nearfar.core.errors import LedgerUnavailable
from nearfar.core.places import Place
from nearfar.gateway.fleet import Target
from nearfar.ledger.query import Entry
from nearfar.wire.registry import provider_wire


async def _entry(made: House, *, stream: bool = False) -> Entry:
    await made.chat(stream=stream)
    (entry,) = made.entries()
    return entry


def test_both_records_say_what_happened(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = await made.chat(max_tokens=100)
            (entry,) = made.entries()
            assert entry.request == out.headers["x-nearfar-request"]
            assert (entry.asked, entry.route, entry.deployment, entry.model) == ("main", "main", "far", "far-model")
            assert (entry.provider, entry.place, entry.class_, entry.price) == ("test", "cloud", "internal", "p")
            assert entry.bound == entry.input_estimate * 2500 + 100 * 10_000
            assert (entry.status, entry.answered, entry.finish) == (200, "m", "stop")
            assert entry.first_byte_ms is not None
            assert 0 < entry.first_byte_ms <= entry.total_ms
            assert entry.ended is not None
            assert entry.begun <= entry.ended

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "streaming", "outcome", "status", "cost"),
    [
        pytest.param(plain(), False, "ok", 200, COST, id="whole"),
        pytest.param(error(b"500 No"), False, "error", 500, 0, id="refused-costs-nothing"),
        pytest.param(error(b"429 Slow"), True, "error", 429, 0, id="limited-costs-nothing"),
        pytest.param(closes(b""), False, "error", 0, None, id="asked-and-closed-is-unknown"),
        pytest.param(closes(plain()[:-20]), False, "cut", 200, None, id="cut-is-unknown"),
        pytest.param(closes(stream(event("a"), end=False)), True, "cut", 200, None, id="cut-stream-is-unknown"),
        pytest.param(stream(event("a"), b"data: {\n\n"), True, "error", 200, None, id="malformed-is-unknown"),
        pytest.param(closes(WHOLE_STREAM[:-20]), True, "cut", 200, COST, id="cut-after-usage-is-known"),
        pytest.param(
            plain(b'{"choices":[{"index":0,"message":{}}]}'), False, "ok", 200, None, id="no-usage-is-unknown"
        ),
        pytest.param(closes(b"\xff" * 9), False, "error", 0, None, id="not-http"),
    ],
)
def test_what_it_costs(
    tmp_path: Path, reply: bytes, streaming: bool, outcome: str, status: int, cost: int | None
) -> None:
    async def scenario() -> None:
        async with upstream(reply) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            entry = await _entry(made, stream=streaming)
            assert (entry.outcome, entry.status, entry.cost) == (outcome, status, cost)
            assert bool(entry.error) is (outcome != "ok")

    run(scenario())


def test_nobody_there_costs_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream() as gone:
            port = gone.port
        async with house(tmp_path, snapshot(target("far", port))) as made:
            entry = await _entry(made)
            assert (entry.outcome, entry.error, entry.cost) == ("error", "connection_error", 0)

    run(scenario())


def test_it_is_journalled_before_a_byte_leaves(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[str] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend(path.read_text() for path in (tmp_path / "journal").iterdir())
            writer.write(plain())

        async with upstream(script) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            await made.chat()
            attempt = made.entries()[0].attempt
            assert attempt in "".join(seen)
            assert attempt.encode() in far.requests[0]

    run(scenario())


def test_what_cannot_be_journalled_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with upstream(every=plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:

            def full(_: object) -> None:
                raise LedgerUnavailable("No room.")

            monkeypatch.setattr(made.ledger, "begin", full)
            out = await made.chat()
            assert (out.status, out.headers["x-nearfar-error"]) == (503, "ledger_unavailable")
            assert far.connections == 0

    run(scenario())


def test_a_connection_that_went_stale_is_replaced_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        connections = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await read_request(reader)
            writer.write(plain())
            if connections == 1:
                await read_request(reader)  # the second request meets a closed door
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with house(tmp_path, snapshot(target("far", port))) as made:
                assert (await made.chat()).status == 200
                out = await made.chat()
                assert out.status == 200
                assert out.headers["x-nearfar-deviations"] == "retry:far"
                assert out.headers["x-nearfar-attempts"] == "2"
                first, stale, fresh = made.entries()
                assert (first.outcome, stale.outcome, fresh.outcome) == ("ok", "error", "ok")
                assert fresh.parent == stale.attempt
                assert fresh.attempt != stale.attempt
                assert stale.cost is None
                assert made.health.cooling("far")[0] == 0, "the upstream did nothing wrong"
                assert connections == 2

    run(scenario())


def test_the_engine_is_held_while_it_answers_and_asked_with_its_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        engines = FakeEngines(str(tmp_path / "engine.sock"))
        asked: list[bytes] = []
        held: list[int] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await read_request(reader))
            held.append(engines.held)
            writer.write(plain())
            writer.close()

        async with await asyncio.start_unix_server(serve, engines.socket):
            known = snapshot(target("near", 0, Place.DEVICE), strategy="local-first")
            async with house(tmp_path, known, engines=engines) as made:
                out = await made.chat()
                assert (out.status, out.headers["x-nearfar-cost-usd"]) == (200, "0.000000000")
                assert held == [1]
                assert engines.held == 0
                assert asked[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n")
                assert b"authorization: Bearer engine-key\r\n" in asked[0]

    run(scenario())


def test_the_engine_is_given_back_when_the_client_leaves(tmp_path: Path) -> None:
    async def scenario() -> None:
        engines = FakeEngines(str(tmp_path / "engine.sock"))
        asked = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            asked.set()
            await pauses(b"", b"", asyncio.Event())(reader, writer)
            writer.close()

        async with (
            await asyncio.start_unix_server(serve, engines.socket),
            house(tmp_path, snapshot(target("near", 0, Place.DEVICE)), engines=engines) as made,
        ):
            task = asyncio.create_task(made.chat())
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert engines.held == 0
            assert made.entries()[0].outcome == "cancelled"

    run(scenario())


@pytest.mark.parametrize("engines", [None, FakeEngines()])
def test_an_engine_that_does_not_start_is_a_failed_attempt(tmp_path: Path, engines: FakeEngines | None) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far:
            known = snapshot(target("near", 0, Place.DEVICE), target("far", far.port), strategy="local-first")
            async with house(tmp_path, known, engines=engines) as made:
                out = await made.chat()
                assert out.headers["x-nearfar-deployment"] == "far"
                near, _ = made.entries()
                assert (near.outcome, near.cost, near.status) == ("error", 0, 0)

    run(scenario())


def test_a_reply_of_nothing_is_no_reply(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(OK) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = await made.chat()
            assert out.status == 502
            assert made.entries()[0].outcome == "cut"

    run(scenario())


@pytest.mark.parametrize("status", [b"400 Bad Request", b"404 Not Found", b"500 Oops", b"429 Slow"])
def test_an_upstream_that_repeats_our_key_does_not_tell_the_client(tmp_path: Path, status: bytes) -> None:
    """AWS's refusals quote the authorization header, and pages for developers show every header there is."""
    key = "sk-not-for-clients"
    said = b'{"error":{"message":"bad header Bearer sk-not-for-clients, owner-secret-of-theirs","param":"%b"}}'
    made_target = target("far", 1)

    async def scenario() -> None:
        async with upstream(every=plain(said % key.encode(), status)) as far:
            headers = (("authorization", f"Bearer {key}"), ("x-owner", "owner-secret-of-theirs"))
            deployment = target("far", far.port).deployment
            async with house(tmp_path, snapshot(Target(deployment, made_target.wires, headers))) as made:
                out = await made.chat()
                assert out.status >= 400
                assert b"bad header" in out.body
                assert key.encode() not in out.body
                assert b"owner-secret" not in out.body

    run(scenario())


CORRUPT = plain(
    b'{"error":{"code":400,"message":"Corrupted thought signature.","status":"INVALID_ARGUMENT"}}', b"400 Bad Request"
)
GEMINI = plain(
    b'{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],'
    b'"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4},"modelVersion":"g"}'
)
SIGNED = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "Rm9yZWlnbg=="}},
        }
    ],
}
TOLD: list[object] = [
    {"role": "user", "content": "hello"},
    SIGNED,
    {"role": "tool", "tool_call_id": "call_1", "content": "42"},
]


def _google(port: int) -> Target:
    deployment = target("google", port, wire="gemini.generate", model="gemini-3-pro").deployment
    return Target(deployment, {"chat": provider_wire("gemini.generate")}, ())


def test_a_history_that_another_account_signed_goes_once_more_without_signatures(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(CORRUPT, GEMINI) as far, house(tmp_path, snapshot(_google(far.port))) as made:
            out = await made.chat(messages=TOLD)
            assert out.status == 200
            assert out.headers["x-nearfar-deviations"] == "retry:google, dropped:thought_signature"
            first, second = far.requests
            assert b"Rm9yZWlnbg==" in first
            assert b"Rm9yZWlnbg==" not in second
            assert b"skip_thought_signature_validator" in second
            entries = made.entries()
            assert [entry.error for entry in entries] == ["signature_refused", ""]
            assert entries[1].parent == entries[0].attempt
            assert made.health.quiet, "the deployment is well"

    run(scenario())


def test_signatures_are_dropped_once_and_not_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(CORRUPT, CORRUPT) as far, house(tmp_path, snapshot(_google(far.port))) as made:
            out = await made.chat(messages=TOLD)
            assert (out.status, out.headers["x-nearfar-error"]) == (400, "signature_refused")
            assert len(far.requests) == 2

    run(scenario())


def test_a_request_without_signatures_is_not_sent_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(CORRUPT) as far, house(tmp_path, snapshot(_google(far.port))) as made:
            out = await made.chat()
            assert (out.status, out.headers["x-nearfar-error"]) == (400, "signature_refused")
            assert len(far.requests) == 1

    run(scenario())
