"""The path of a request: what a client is told, and what ledger, health and counters keep of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from tests.gateway.house import (
    ANSWER,
    COST,
    DONE,
    RULES,
    WHOLE_STREAM,
    Out,
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
from tests.gateway.scripted import upstream

from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Capability, Route
from nearfar.gateway import pipeline
from nearfar.gateway.decider import Said
from nearfar.gateway.fleet import Target
from nearfar.settings.model import Deadlines
from nearfar.wire.openai_chat import CLIENT
from nearfar.wire.registry import provider_wire


def test_a_plain_answer_travels_as_it_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = await made.chat()
            assert (out.status, out.body, out.ended, out.aborted) == (200, ANSWER, True, False)
            assert out.headers["x-nearfar-route"] == "main"
            assert out.headers["x-nearfar-deployment"] == "far"
            assert out.headers["x-nearfar-place"] == "cloud"
            assert out.headers["x-nearfar-class"] == "internal"
            assert out.headers["x-nearfar-attempts"] == "1"
            assert "x-nearfar-deviations" not in out.headers
            assert float(out.headers["x-nearfar-cost-usd"]) == COST / 1e9
            (entry,) = made.entries()
            assert (entry.outcome, entry.cost, entry.input_tokens, entry.output_tokens) == ("ok", COST, 3, 2)
            assert made.counted('nearfar_route_decisions_total{target="far"')
            assert b"authorization: Bearer secret" in far.requests[0]
            assert b"x-request-id: " + entry.attempt.encode() in far.requests[0]

    run(scenario())


def test_a_stream_ends_when_the_upstream_said_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(WHOLE_STREAM) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = await made.chat(stream=True)
            assert out.body == event("a") + event("b") + event(None, '"stop"') + DONE
            assert out.ended
            assert "content-length" not in out.headers
            assert "x-nearfar-cost-usd" not in out.headers
            (entry,) = made.entries()
            assert (entry.cost, entry.stream, entry.finish) == (COST, True, "stop")

    run(scenario())


def test_before_the_first_content_the_next_one_is_tried(tmp_path: Path) -> None:
    async def scenario() -> None:
        cut = closes(stream(event(None), end=False))
        async with upstream(error(b"500 No")) as one, upstream(cut) as two, upstream(WHOLE_STREAM) as three:
            known = snapshot(target("one", one.port), target("two", two.port), target("three", three.port))
            async with house(tmp_path, known) as made:
                out = await made.chat(stream=True)
                assert out.status == 200
                assert out.body.endswith(DONE)
                told = "failover:one:upstream_error, failover:two:stream_cut"
                assert out.headers["x-nearfar-deviations"] == told
                assert out.headers["x-nearfar-attempts"] == "3"
                assert out.headers["x-nearfar-deployment"] == "three"
                entries = made.entries()
                assert [entry.outcome for entry in entries] == ["error", "cut", "ok"]
                assert [entry.parent for entry in entries] == ["", entries[0].attempt, entries[1].attempt]
                assert made.health.cooling("one")[0] > 0
                assert len(made.counted("nearfar_fallbacks_total")) == 2

    run(scenario())


def test_after_the_first_content_it_ends_in_an_error_and_unclean(tmp_path: Path) -> None:
    async def scenario() -> None:
        cut = closes(stream(event("a"), end=False))
        async with (
            upstream(cut) as one,
            upstream(WHOLE_STREAM) as two,
            house(tmp_path, snapshot(target("one", one.port), target("two", two.port))) as made,
        ):
            out = await made.chat(stream=True)
            assert out.status == 200
            assert out.aborted
            assert not out.ended
            first, last = out.body.split(b"\n\n")[0], out.body.split(b"\n\n")[-2]
            assert first + b"\n\n" == event("a")
            assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "stream_cut"
            assert b"[DONE]" not in out.body
            assert two.requests == []
            (entry,) = made.entries()
            assert (entry.outcome, entry.cost) == ("cut", None)

    run(scenario())


def test_what_is_the_clients_fault_is_not_tried_elsewhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            upstream(error(b"400 Bad")) as one,
            upstream(plain()) as two,
            house(tmp_path, snapshot(target("one", one.port), target("two", two.port))) as made,
        ):
            out = await made.chat()
            assert (out.status, out.ended) == (400, True)
            assert two.requests == []
            assert made.health.cooling("one")[0] == 0
            assert made.entries()[0].cost == 0, "what was refused costs nothing"

    run(scenario())


def test_when_all_fail_the_last_error_tells_of_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        limited, busy = error(b"429 Slow", b"retry-after: 9"), error(b"503 Busy", b"retry-after: 4")
        async with (
            upstream(limited) as one,
            upstream(busy) as two,
            house(tmp_path, snapshot(target("one", one.port), target("two", two.port))) as made,
        ):
            out = await made.chat()
            assert out.status == 503
            assert out.headers["retry-after"] == "4"
            message = json.loads(out.body)["error"]["message"]
            assert "one: rate_limit_exceeded; two: overloaded" in message
            assert out.headers["x-nearfar-deviations"] == "failover:one:rate_limit_exceeded", "two was the last"
            assert len(made.counted("nearfar_fallbacks_total")) == 1

    run(scenario())


def test_where_nothing_took_over_no_failover_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(error(b"503 Busy")) as one, house(tmp_path, snapshot(target("one", one.port))) as made:
            out = await made.chat()
            assert out.status == 503
            assert "x-nearfar-deviations" not in out.headers
            assert json.loads(out.body)["error"]["message"].startswith("one (")

    run(scenario())


@pytest.mark.parametrize("streaming", [False, True])
def test_a_class_that_must_stay_opens_no_socket(tmp_path: Path, streaming: bool) -> None:
    async def scenario() -> None:
        async with upstream(every=plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = await made.chat(stream=streaming, said=Said(header=Class.RESTRICTED))
            assert (out.status, out.headers["x-nearfar-error"]) == (403, "egress_denied")
            assert "restricted" in json.loads(out.body)["error"]["message"]
            assert far.connections == 0
            assert made.entries() == []
            assert made.counted('nearfar_rejected_requests_total{code="egress_denied"} 1')

    run(scenario())


def test_the_refusal_fits_the_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        small = target("small", 1, context=20)
        mute = target("mute", 1, operations=frozenset({"embeddings"}))
        routes = {
            "small": Route(name="small", strategy="cloud-only", deployments=("small",)),
            "mute": Route(name="mute", strategy="cloud-only", deployments=("mute",)),
            "none": Route(name="none", strategy="cloud-only", deployments=()),
            "wrong-side": Route(name="wrong-side", strategy="local-only", deployments=("small",)),
            "keyless": Route(name="keyless", strategy="cloud-only", deployments=("broken", "small")),
        }
        known = snapshot(small, mute, routes=routes)
        trouble = Candidate(deployment=target("broken", 1).deployment, state="unusable", trouble="no key at env:K")
        known.unusable = {"broken": trouble}
        async with house(tmp_path, known) as made:
            long = [{"role": "user", "content": "word " * 100}]
            found = {}
            for name in (*routes, "nowhere"):
                out = await made.chat(name, messages=long)
                found[name] = (out.status, out.headers["x-nearfar-error"])
                if name == "keyless":
                    told = json.loads(out.body)["error"]["message"]
                    assert "broken: no key at env:K" in told
            assert found == {
                "small": (400, "context_length_exceeded"),
                "mute": (400, "unsupported"),
                "none": (502, "no_deployment"),
                "wrong-side": (502, "no_deployment"),
                "keyless": (503, "deployment_unusable"),
                "nowhere": (404, "model_not_found"),
            }
            assert made.entries() == []

    run(scenario())


def test_the_first_member_that_nobody_can_do_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        never = Capability(can=False, source="catalogue")
        one = target("one", 1, capabilities={"choices": never, "logprobs": never})
        async with house(tmp_path, snapshot(one)) as made:
            for fields, param in (
                ({"n": 2}, "n"),
                ({"logprobs": True}, "logprobs"),
                ({"n": 2, "logprobs": True}, "n"),
            ):
                out = await made.chat(**fields)
                refused = json.loads(out.body)["error"]
                assert (out.status, refused["code"], refused["param"]) == (400, "unsupported", param)

    run(scenario())


def test_what_one_deployment_cannot_do_another_may(tmp_path: Path) -> None:
    async def scenario() -> None:
        anthropic = {"chat": provider_wire("anthropic.messages")}
        async with upstream(plain()) as one, upstream(plain()) as two:
            first = target("one", one.port)
            other = Target(first.deployment, anthropic, ())
            async with house(tmp_path, snapshot(other, target("two", two.port))) as made:
                out = await made.chat(n=2)  # Anthropic's API has one choice
                assert (out.status, out.body) == (200, ANSWER)
                assert out.headers["x-nearfar-deviations"] == "failover:one:unsupported"
                assert one.connections == 0
                assert [entry.deployment for entry in made.entries()] == ["two"], "nothing was tried, nothing is owed"
                assert made.health.cooling("one")[0] == 0

    run(scenario())


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (plain(b'{"error":{"message":"image input is not supported"}}', b"500 No"), "unsupported"),
        (plain(b'{"error":{"code":"context_length_exceeded"}}', b"400 Bad"), "context_length_exceeded"),
    ],
)
def test_when_one_is_busy_and_the_next_cannot_the_client_may_come_back(tmp_path: Path, reply: bytes, code: str) -> None:
    async def scenario() -> None:
        async with (
            upstream(error(b"503 Busy", b"retry-after: 4")) as one,
            upstream(reply) as two,
            house(tmp_path, snapshot(target("one", one.port), target("two", two.port))) as made,
        ):
            out = await made.chat()
            assert (out.status, out.headers["retry-after"]) == (503, "4"), "a 400 would say: never"
            assert f"one: overloaded; two: {code}" in json.loads(out.body)["error"]["message"]

    run(scenario())


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        (b"retry-after: 9", b"retry-after: 4", "4"),
        (b"retry-after: 3", b"x-other: 1", "3"),
        (b"x-a: 1", b"x-b: 1", None),
    ],
)
def test_the_shortest_wait_that_anybody_named_is_told(
    tmp_path: Path, first: bytes, second: bytes, waits: str | None
) -> None:
    async def scenario() -> None:
        async with (
            upstream(error(b"429 Slow", first)) as one,
            upstream(error(b"503 Busy", second)) as two,
            house(tmp_path, snapshot(target("one", one.port), target("two", two.port))) as made,
        ):
            out = await made.chat()
            assert (out.status, out.headers.get("retry-after")) == (503, waits)
            assert out.headers["x-should-retry"] == ("true" if waits else "false")

    run(scenario())


def test_a_failover_while_the_client_already_waits_is_still_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE", 0.05)

    async def scenario() -> None:
        proceed = asyncio.Event()
        slow = pauses(b"", error(b"503 Busy"), proceed)
        async with (
            upstream(slow) as one,
            upstream(WHOLE_STREAM) as two,
            house(tmp_path, snapshot(target("one", one.port), target("two", two.port))) as made,
        ):
            out = Out()
            asking = asyncio.create_task(made.pipeline.answer(made.request(stream=True), CLIENT, Said(), out))
            await out.wrote.wait()
            proceed.set()
            await asking
            assert out.ended
            events = [line for line in out.body.splitlines(keepends=True) if not line.startswith(b":")]
            assert b"".join(events) == event("a") + event("b") + event(None, '"stop"') + DONE
            assert [entry.outcome for entry in made.entries()] == ["error", "ok"]
            assert made.entries()[1].deviations == ("failover:one:overloaded",)

    run(scenario())


@pytest.mark.parametrize("streaming", [False, True])
def test_an_error_tells_where_it_happened(tmp_path: Path, streaming: bool) -> None:
    async def scenario() -> None:
        async with upstream(error(b"500 No")) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = await made.chat(stream=streaming)
            told = {name: out.headers[f"x-nearfar-{name}"] for name in ("route", "deployment", "attempts", "error")}
            assert told == {"route": "main", "deployment": "far", "attempts": "1", "error": "upstream_error"}
            assert made.counted('gen_ai_server_request_duration_count{gen_ai_operation_name="chat"')[0].endswith(
                'status="502"} 1'
            )

    run(scenario())


def test_offline_is_told_as_such(tmp_path: Path) -> None:
    async def scenario() -> None:
        rules = msgspec.structs.replace(RULES, offline=True)
        async with (
            upstream(every=plain()) as far,
            house(tmp_path, snapshot(target("far", far.port)), rules=rules) as made,
        ):
            out = await made.chat()
            assert (out.status, out.headers["x-nearfar-error"]) == (403, "egress_denied")
            assert json.loads(out.body)["error"]["message"].startswith(
                "nearfar runs with --offline: nothing goes beyond the local network, and route 'main' leads only there "
                "(far)."
            )
            assert far.connections == 0

    run(scenario())


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_cancels_and_is_settled(tmp_path: Path, streaming: bool) -> None:
    async def scenario() -> None:
        never = asyncio.Event()
        slow = pauses(stream(event("a"), end=False) if streaming else b"", b"", never)
        async with upstream(slow) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            task = asyncio.create_task(made.chat(stream=streaming))
            while not far.requests:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await far.gone.wait()
            (entry,) = made.entries()
            assert (entry.outcome, entry.error) == ("cancelled", "client_gone")
            assert entry.cost is None, "what was used until then, nobody said"
            assert not made.transport._active
            assert made.counted('nearfar_backend_inflight{deployment="far"} 0')

    run(scenario())


def test_a_client_that_waits_long_hears_that_we_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE", 0.05)

    async def scenario() -> None:
        proceed = asyncio.Event()
        slow = pauses(b"", WHOLE_STREAM, proceed)
        async with upstream(slow) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            out = Out()
            asking = asyncio.create_task(made.pipeline.answer(made.request(stream=True), CLIENT, Said(), out))
            await out.wrote.wait()
            assert out.status == 200
            assert out.body.startswith(b": keep-alive\n")
            proceed.set()
            await asking
            assert out.ended
            assert out.body.endswith(DONE)

    run(scenario())


def test_a_failure_after_keep_alives_is_an_error_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE", 0.05)

    async def scenario() -> None:
        slow = pauses(b"", b"", asyncio.Event())
        short = Deadlines(connect=1, first_byte=0.3, between_bytes=1, total=5)
        async with upstream(slow) as far, house(tmp_path, snapshot(target("far", far.port)), deadlines=short) as made:
            out = await made.chat(stream=True)
            assert out.status == 200
            assert out.aborted
            assert b'"code":"upstream_timeout"' in out.body
            assert b"[DONE]" not in out.body

    run(scenario())


def test_a_fault_of_our_own_is_told_settled_and_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:

            def broken(*_: object) -> None:
                raise RuntimeError("a fault")

            monkeypatch.setattr(made.transport, "_reuse", broken)
            out = Out()
            with pytest.raises(RuntimeError, match="a fault"):  # whoever serves HTTP logs it
                await made.pipeline.answer(made.request(), CLIENT, Said(), out)
            assert (out.status, out.headers["x-nearfar-error"]) == (500, "internal_error")
            assert b"a fault" not in out.body
            (entry,) = made.entries()
            assert (entry.outcome, entry.error) == ("error", "internal_error")

    run(scenario())


def test_near_first_asks_the_near_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, upstream(plain()) as near:
            known = snapshot(target("far", far.port), target("near", near.port, Place.DEVICE), strategy="local-first")
            async with house(tmp_path, known) as made:
                out = await made.chat()
                assert out.headers["x-nearfar-deployment"] == "near"
                assert out.headers["x-nearfar-cost-usd"] == "0.000000000"
                assert far.connections == 0

    run(scenario())
