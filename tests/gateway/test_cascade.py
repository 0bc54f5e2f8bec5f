"""Near first, judged: real ledger, transport, decisions and wires; models are scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.house import (
    COST,
    DONE,
    RULES,
    USAGE,
    House,
    Out,
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
from tests.gateway.scripted import Upstream, upstream

from nearfar.core.money import Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Capability, Cascade, Route
from nearfar.gateway.cascade import Cascades
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.load import Loads
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.slots import Slots
from nearfar.policy.rules import Rules
from nearfar.wire.anthropic_messages import CLIENT as ANTHROPIC
from nearfar.wire.openai_chat import CLIENT

GOOD, BAD, FAR = "The answer is 42.", "I'm sorry, I cannot help with that.", "It is 42, says the far one."
LOGPROBS = {"logprobs": {"content": [{"token": "x", "logprob": -0.01, "top_logprobs": []}] * 5}}
SURE = Capability(can=True, source="declared")
CHEAP = Price(id="cheap", input=1_000_000_000, output=1_000_000_000)


def said(text: str, **more: object) -> bytes:
    """A whole reply."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return plain(json.dumps(body).encode())


def streamed(text: str) -> bytes:
    """The same as a stream."""
    first, *rest = text.split(" ")
    words = [event(first), *(event(f" {word}") for word in rest)]
    return stream(*words, event(None, '"stop"'), USAGE, DONE)


def reply(text: str, streams: bool) -> bytes:
    return streamed(text) if streams else said(text)


def cascaded(made: House, rules: Rules = RULES, slots: Slots | None = None) -> Pipeline:
    """The house with cascades, as ``build`` joins them."""
    decider = Decider(made.fleet, made.health, rules)
    cascades = Cascades(
        made.attempts, straight=made.attempts, decider=decider, fleet=made.fleet, metrics=made.metrics, slots=slots
    )
    return Pipeline(fleet=made.fleet, decider=decider, attempts=cascades, metrics=made.metrics, slots=slots)


@asynccontextmanager
async def chain(
    folder: Path,
    near: Any,
    far: Any = None,
    opinion: Any = None,
    *,
    cascade: Cascade | None = None,
    rules: Rules = RULES,
    near_more: dict[str, Any] | None = None,
    opinion_place: Place = Place.DEVICE,
    routed: tuple[str, ...] = ("near", "far"),
) -> AsyncIterator[tuple[House, Upstream, Upstream, Upstream]]:
    """A house with a near, a far and an opinionated deployment, each with one scripted answer for all requests."""

    def replies(given: Any) -> Any:
        return {"every": given} if isinstance(given, bytes) else {}

    def scripted(given: Any) -> list[Any]:
        return [] if given is None or isinstance(given, bytes) else list(given)

    async with (
        upstream(*scripted(near), **replies(near)) as one,
        upstream(*scripted(far), **replies(said(FAR) if far is None else far)) as two,
        upstream(*scripted(opinion), **replies(opinion)) as third,
    ):
        targets = (
            target("near", one.port, Place.DEVICE, **(near_more or {})),
            target("far", two.port),
            target("other", third.port, opinion_place),
        )
        route = Route(name="main", strategy="cascade", deployments=routed, cascade=cascade)
        async with house(folder, snapshot(*targets, routes={"main": route})) as made:
            made.pipeline = cascaded(made, rules)
            yield made, one, two, third


def text(out: Out) -> str:
    """What the client reads."""
    if not out.headers["content-type"].startswith("text/event-stream"):
        return str(json.loads(out.body)["choices"][0]["message"]["content"])
    assert out.body.endswith(DONE), out.body
    events = [json.loads(line[6:]) for line in out.body.decode().splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for item in events for choice in item["choices"])


def steps(made: House) -> list[tuple[str, str, str]]:
    return [(entry.deployment, entry.purpose, entry.outcome) for entry in made.entries()]


def sent(upstream: Upstream, at: int = 0) -> Any:
    return json.loads(upstream.requests[at].partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_a_good_answer_is_kept(tmp_path: Path, streams: bool) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, reply(GOOD, streams)) as (made, _, far, _):
            out = await made.chat(stream=streams)
            assert (out.status, out.ended, text(out)) == (200, True, GOOD)
            assert out.headers["x-nearfar-deployment"] == "near"
            assert out.headers["x-nearfar-deviations"] == "cascade:kept"
            assert "confidence 0.60" in out.headers["x-nearfar-reason"]
            assert steps(made) == [("near", "serve", "ok")]
            assert not far.requests

    run(scenario())


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_a_bad_one_is_escalated(tmp_path: Path, streams: bool) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, reply(BAD, streams), reply(FAR, streams)) as (made, _, _, _):
            out = await made.chat(stream=streams)
            assert (out.status, out.ended, text(out)) == (200, True, FAR)
            assert (out.headers["x-nearfar-deployment"], out.headers["x-nearfar-place"]) == ("far", "cloud")
            assert out.headers["x-nearfar-deviations"] == "cascade:escalated:near"
            assert "it refuses" in out.headers["x-nearfar-reason"]
            assert out.headers["x-nearfar-attempts"] == "2"
            assert steps(made) == [("near", "serve", "ok"), ("far", "escalate", "ok")]
            first, second = made.entries()
            assert (second.parent, second.cost, first.request) == (first.attempt, COST, second.request)
            assert 'kind="cascade"' in made.counted("nearfar_deviations_total")[0]
            assert 'target="far"' in made.counted("nearfar_route_decisions_total")[0]

    run(scenario())


def test_a_kept_reply_has_the_bytes_in_which_it_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        odd = said(GOOD, nobody_knows={"x": [1, 2]})
        async with chain(tmp_path, odd) as (made, *_):
            out = await made.chat()
            assert out.body == odd.partition(b"\r\n\r\n")[2]

    run(scenario())


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_opinions_that_agree_keep_it(tmp_path: Path, streams: bool) -> None:
    rules = Cascade(opinions=("other",), answers="number")

    async def scenario() -> None:
        async with chain(tmp_path, reply(GOOD, streams), opinion=reply("So 42", streams), cascade=rules) as (
            made,
            near,
            far,
            other,
        ):
            out = await made.chat(stream=streams)
            assert text(out) == GOOD
            assert "1 of 1 opinions agree" in out.headers["x-nearfar-reason"]
            assert steps(made) == [("near", "serve", "ok"), ("other", "opinion", "ok")]
            first, second = made.entries()
            assert second.parent == first.attempt
            assert not far.requests
            assert sent(other)["messages"] == sent(near)["messages"]
            assert b"42" not in other.requests[0].partition(b"\r\n\r\n")[2], "it hears the question, not the answer"

    run(scenario())


def test_opinions_that_do_not_agree_escalate_it(tmp_path: Path) -> None:
    rules = Cascade(opinions=("other",), answers="number")

    async def scenario() -> None:
        async with chain(tmp_path, said(GOOD), opinion=said("So 41."), cascade=rules) as (made, *_):
            out = await made.chat()
            assert text(out) == FAR
            assert [purpose for _, purpose, _ in steps(made)] == ["serve", "opinion", "escalate"]
            first, *others = made.entries()
            assert {entry.parent for entry in others} == {first.attempt}
            assert len({entry.attempt for entry in made.entries()}) == 3
            assert out.headers["x-nearfar-attempts"] == "3"
            assert "0 of 1 opinions agree" in out.headers["x-nearfar-reason"]

    run(scenario())


def test_an_opinion_that_does_not_come_abstains(tmp_path: Path) -> None:
    rules = Cascade(opinions=("other",), answers="number")

    async def scenario() -> None:
        async with chain(tmp_path, said(GOOD), opinion=error(b"500 No"), cascade=rules) as (made, *_):
            out = await made.chat()
            assert text(out) == GOOD
            assert out.headers["x-nearfar-deviations"] == "cascade:no-opinion:other:upstream_error, cascade:kept"
            assert steps(made)[1] == ("other", "opinion", "error")

    run(scenario())


def test_the_same_model_is_asked_in_another_style(tmp_path: Path) -> None:
    rules = Cascade(opinions=("near",), answers="number")

    async def scenario() -> None:
        async with chain(tmp_path, [said(GOOD), said("42")], cascade=rules) as (made, near, _, _):
            out = await made.chat()
            assert text(out) == GOOD
            first, second = sent(near), sent(near, 1)
            assert [message["role"] for message in second["messages"]] == ["system", "user"]
            assert second["messages"][1:] == first["messages"]
            assert steps(made) == [("near", "serve", "ok"), ("near", "opinion", "ok")]

    run(scenario())


def test_what_a_class_forbids_is_neither_asked_nor_escalated_to(tmp_path: Path) -> None:
    rules = Cascade(opinions=("other",), answers="number")

    async def scenario() -> None:
        async with chain(
            tmp_path, [said(BAD), streamed(BAD)], opinion=said("41"), cascade=rules, opinion_place=Place.CLOUD
        ) as (
            made,
            _,
            far,
            other,
        ):
            out = await made.chat(said=Said(header=Class.RESTRICTED))
            assert (out.status, text(out)) == (200, BAD)
            assert out.headers["x-nearfar-deviations"] == "cascade:kept:nobody_else"
            assert "restricted (header) stays at device" in out.headers["x-nearfar-reason"]
            streaming = await made.chat(stream=True, said=Said(header=Class.RESTRICTED))
            assert streaming.headers["x-nearfar-deviations"] == "cascade:unjudged:nobody_else"
            assert not far.requests + other.requests

    run(scenario())


@pytest.mark.parametrize("purpose", ["escalate", "opinion"])
def test_a_policy_may_narrow_each_purpose(tmp_path: Path, purpose: str) -> None:
    device = (Place.DEVICE,) * 4
    narrow = msgspec.structs.replace(RULES, purposes={purpose: device})
    rules = Cascade(opinions=("other",), answers="number")

    async def scenario() -> None:
        async with chain(
            tmp_path, said(GOOD), opinion=said("41"), cascade=rules, rules=narrow, opinion_place=Place.CLOUD
        ) as (made, _, far, other):
            out = await made.chat()
            assert text(out) == GOOD
            told = out.headers["x-nearfar-deviations"]
            if purpose == "escalate":
                assert told == "cascade:kept:place"
                assert (len(other.requests), len(far.requests)) == (1, 0)
            else:
                assert told == "cascade:no-opinion:other:place, cascade:kept"
                assert not far.requests + other.requests

    run(scenario())


def test_the_ceiling_of_a_chain(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, said(BAD), cascade=Cascade(max_cost=1000)) as (made, _, far, _):
            out = await made.chat(max_tokens=10)
            assert text(out) == BAD
            assert out.headers["x-nearfar-deviations"] == "cascade:kept:max_cost"
            assert not far.requests

    run(scenario())


def test_an_opinion_is_charged_to_the_ceiling(tmp_path: Path) -> None:
    rules = Cascade(opinions=("other",), answers="number", max_cost=300_000)

    async def scenario() -> None:
        async with chain(tmp_path, said(GOOD), opinion=said("41"), cascade=rules, opinion_place=Place.CLOUD) as (
            made,
            _,
            far,
            _,
        ):
            # One attempt far away costs about 175 000 nano-USD at most, and 27 500 in fact: two fit, and three do not.
            out = await made.chat(max_tokens=10)
            assert (text(out), out.headers["x-nearfar-cost-usd"]) == (FAR, f"{2 * COST / 1e9:.9f}")
            made.pipeline._fleet.adopt(_dearer(made))
            again = await made.chat(max_tokens=10)
            assert text(again) == GOOD
            assert again.headers["x-nearfar-deviations"] == "cascade:kept:max_cost"
            assert len(far.requests) == 1

    run(scenario())


def _dearer(made: House) -> Any:
    known = made.fleet.snapshot
    route = known.routes["main"]
    assert route.cascade is not None
    rules = msgspec.structs.replace(route.cascade, max_cost=190_000)
    return snapshot(*known.targets.values(), routes={"main": msgspec.structs.replace(route, cascade=rules)})


def test_an_escalation_that_fails_leaves_the_near_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, said(BAD), error(b"503 No")) as (made, *_):
            out = await made.chat()
            assert (out.status, text(out), out.headers["x-nearfar-deployment"]) == (200, BAD, "near")
            told = out.headers["x-nearfar-deviations"]
            assert told == "failover:far:overloaded, cascade:kept:overloaded"
            assert steps(made) == [("near", "serve", "ok"), ("far", "escalate", "error")]

    run(scenario())


def test_one_that_breaks_off_in_the_middle_ends_honestly(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, streamed(BAD), [stream(event("It"), end=False)]) as (made, _, _, _):
            made.attempts._transport._deadlines = msgspec.structs.replace(
                made.attempts._transport._deadlines, between_bytes=0.2
            )
            out = await made.chat(stream=True)
            assert (out.ended, out.aborted) == (False, True)
            assert b"sorry" not in out.body

    run(scenario())


def test_near_down_goes_far_directly(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, error(b"500 No")) as (made, *_):
            out = await made.chat()
            assert (text(out), out.headers["x-nearfar-deviations"]) == (FAR, "failover:near:upstream_error")
            assert steps(made) == [("near", "serve", "error"), ("far", "serve", "ok")]

    run(scenario())


def test_streams_may_go_straight_through(tmp_path: Path) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        first = stream(event("I'm"), event(" sorry"), end=False)
        rest = streamed("").removeprefix(stream(end=False))
        async with chain(tmp_path, [pauses(first, rest, proceed)], cascade=Cascade(buffers=False)) as (made, *_):
            out = Out()
            asking = asyncio.create_task(made.pipeline.answer(made.request(stream=True), CLIENT, Said(), out))
            await out.wrote.wait()
            assert out.headers["x-nearfar-deviations"] == "cascade:unjudged:stream"
            proceed.set()
            await asking
            assert (out.ended, out.headers["x-nearfar-deployment"]) == (True, "near")

    run(scenario())


def test_a_client_that_waits_is_kept_alive_and_told_in_the_stream(tmp_path: Path) -> None:
    async def scenario() -> None:
        proceed = asyncio.Event()
        near = [pauses(b"", streamed(BAD), proceed)]
        async with chain(tmp_path, near, streamed(FAR)) as (made, one, _, _):
            from nearfar.gateway import pipeline

            out = Out()
            patience, pipeline.PATIENCE = pipeline.PATIENCE, 0.02
            try:
                asking = asyncio.create_task(made.pipeline.answer(made.request(stream=True), CLIENT, Said(), out))
                await out.wrote.wait()
                assert out.headers["x-nearfar-place"] == "pending"
                proceed.set()
                await asking
            finally:
                pipeline.PATIENCE = patience
            assert out.ended
            assert text(out) == FAR
            assert b": x-nearfar-deployment: far" in out.body.replace(b"; ", b"\n: ")
            assert b"cascade:escalated:near" in out.body
            assert one.requests

    run(scenario())


@pytest.mark.parametrize("who", ["near", "other", "far"])
def test_a_client_that_leaves_ends_all(tmp_path: Path, who: str) -> None:
    rules = Cascade(opinions=("other",), answers="number")

    async def scenario() -> None:
        never = [pauses(b"", b"", asyncio.Event())]
        near = never if who == "near" else said(GOOD)
        opinion = never if who == "other" else said("41")
        far = never if who == "far" else said(FAR)
        async with chain(tmp_path, near, far, opinion, cascade=rules) as (made, one, two, third):
            asking = asyncio.create_task(made.chat())
            waiting = {"near": one, "other": third, "far": two}[who]
            while not waiting.requests:
                await asyncio.sleep(0.005)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await waiting.gone.wait()
            last = steps(made)[-1]
            assert last[0] == who
            assert last[2] == "cancelled"

    run(scenario())


def test_logprobs_are_asked_for_and_not_passed_on(tmp_path: Path) -> None:
    able = {"capabilities": {"logprobs": SURE}}

    async def scenario() -> None:
        async with chain(tmp_path, said(GOOD, **LOGPROBS), near_more=able) as (made, near, _, _):
            out = await made.chat()
            assert sent(near)["logprobs"] is True
            assert (text(out), b"logprob" in out.body.replace(b'"logprobs":null', b"")) == (GOOD, False)
            assert "confidence 0.7" in out.headers["x-nearfar-reason"]
            own = await made.chat(logprobs=True)
            assert b'"logprob": -0.01' in own.body, "whoever asks gets them"

    run(scenario())


@pytest.mark.parametrize("can", [False, None])
def test_logprobs_are_not_asked_of_whom_it_is_not_known(tmp_path: Path, can: bool | None) -> None:
    known = {} if can is None else {"logprobs": Capability(can=can, source="declared")}

    async def scenario() -> None:
        async with chain(tmp_path, said(GOOD), near_more={"capabilities": known}) as (made, near, _, _):
            await made.chat()
            assert "logprobs" not in sent(near)

    run(scenario())


def test_json_that_does_not_fit_is_escalated(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    async def scenario() -> None:
        near = [said('{"age": 3}'), said('{"age": "three"}')]
        async with chain(tmp_path, near, said('{"age": 4}')) as (made, *_):
            assert text(await made.chat(response_format=shape)) == '{"age": 3}'
            out = await made.chat(response_format=shape)
            assert text(out) == '{"age": 4}'
            assert "does not fit the schema" in out.headers["x-nearfar-reason"]

    run(scenario())


def test_calls_of_tools_are_kept_if_they_can_be_read(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

    def calling(arguments: str) -> bytes:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return said("", message=message, finish_reason="tool_calls")

    async def scenario() -> None:
        async with chain(tmp_path, [calling('{"x": 1}'), calling('{"x": ')]) as (made, *_):
            kept = await made.chat(tools=tools)
            assert json.loads(kept.body)["choices"][0]["message"]["tool_calls"]
            assert text(await made.chat(tools=tools)) == FAR

    run(scenario())


def test_another_dialect(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, [said(GOOD), said(BAD)]) as (made, *_):
            for expected in (GOOD, FAR):
                body = {"model": "main", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
                request = ANTHROPIC.parse(json.dumps(body).encode(), f"req-{expected[:3]}")
                out = Out()
                await made.pipeline.answer(request, ANTHROPIC, Said(), out)
                assert json.loads(out.body)["content"][0]["text"] == expected

    run(scenario())


def test_a_slot_is_given_back_before_others_are_asked(tmp_path: Path) -> None:
    rules = Cascade(opinions=("near",), answers="number")

    async def scenario() -> None:
        # With its only slot held, the near model's own opinion would wait for ever.
        async with chain(tmp_path, [said(GOOD), said("42")], cascade=rules, near_more={"slots": 1}) as (made, *_):
            slots = Slots(Loads(), made.metrics, longest=1, seconds=1.0)
            made.pipeline = cascaded(made, slots=slots)
            assert text(await made.chat()) == GOOD

    run(scenario())


def test_several_choices_are_not_judged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, said(BAD)) as (made, *_):
            out = await made.chat(n=2)
            assert (text(out), out.headers["x-nearfar-deviations"]) == (BAD, "cascade:unjudged:choices")

    run(scenario())


def test_other_strategies_are_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with chain(tmp_path, said(BAD)) as (made, *_):
            route = Route(name="main", strategy="local-first", deployments=("near", "far"))
            made.fleet.adopt(snapshot(*made.fleet.snapshot.targets.values(), routes={"main": route}))
            out = await made.chat()
            assert (text(out), out.headers.get("x-nearfar-deviations")) == (BAD, None)

    run(scenario())
