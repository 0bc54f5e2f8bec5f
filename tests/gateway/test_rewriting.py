"""Questions asked far away without private facts: real ledger, transport, masks and policy; models are scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.house import DONE, House, Out, error, event, house, plain, run, snapshot, stream, target
from tests.gateway.scripted import SEALER, Upstream, upstream

from nearfar.core.places import Class, Place
from nearfar.core.routing import Route
from nearfar.gateway import rewriting_prompts
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.guard import Guard
from nearfar.gateway.load import Loads
from nearfar.gateway.masking import Masking
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.rewriting import Rewriting
from nearfar.gateway.slots import Slots
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.privacy.scan import Scanner
from nearfar.settings.model import Policy, Settings
from nearfar.wire.anthropic_messages import CLIENT as ANTHROPIC

ID = "A123456789"
MAIL = "mei@example.org"
ASKED = f"The patient with ID {ID} has a cough. Which tea helps?"
QUESTION = "Which tea helps somebody with a cough?"
OUTSIDE = "Thyme tea."
MERGED = "Give the patient thyme tea."
RULES = msgspec.structs.replace(
    presets.rules(Settings(policy=Policy(preset="team"))),
    masked=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.LAN),
    rewritten=(Place.CLOUD, Place.CLOUD, Place.CLOUD, Place.LAN),
    audit=None,
)
"""Identifiers go to a cloud rewritten, contacts masked, secrets of article 6 never."""


def said(text: str, **more: object) -> bytes:
    """A whole reply."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return plain(
        json.dumps(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        ).encode()
    )


def rewriting(made: House, rules: Rules = RULES, slots: Slots | None = None) -> Pipeline:
    """The house with masks and rewriting, as ``build`` joins them."""
    guard = Guard(rules, lambda harmless: Scanner(detectors=(), harmless=harmless))
    masking = Masking(guard, rules, b"k" * 32)
    decider = Decider(made.fleet, made.health, rules, masks=True)
    attempts = Attempts(
        sealer=SEALER,
        transport=made.transport,
        ledger=made.ledger,
        health=made.health,
        metrics=made.metrics,
        engines=None,
        masking=masking,
        rewriting=Rewriting(
            decider=decider,
            fleet=made.fleet,
            masking=masking,
            metrics=made.metrics,
            rules=rules,
            prompts=rewriting_prompts.shipped(),
            slots=slots,
        ),
    )
    return Pipeline(fleet=made.fleet, decider=decider, attempts=attempts, metrics=made.metrics, guard=guard)


@asynccontextmanager
async def clinic(
    folder: Path, *replies: Any, far: bytes = said(OUTSIDE), rules: Rules = RULES, main: str = "cloud-only"
) -> AsyncIterator[tuple[House, Upstream, Upstream]]:
    """A house with a near model that says ``replies``, and a far one that says ``far``."""
    async with upstream(*replies) as near, upstream(every=far) as cloud:
        targets = (target("near", near.port, Place.DEVICE), target("far", cloud.port))
        local = Route(name="local", strategy="local-only", deployments=("near", "far"))
        async with house(folder, snapshot(*targets, routes={"local": local}, strategy=main)) as made:
            made.pipeline = rewriting(made, rules)
            yield made, near, cloud


def body(request: bytes) -> Any:
    return json.loads(request.partition(b"\r\n\r\n")[2])


async def ask(made: House, text: str = ASKED, **fields: Any) -> Out:
    return await made.chat(messages=[{"role": "user", "content": text}], **fields)


def test_the_far_model_answers_a_question_and_the_near_one_the_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with clinic(tmp_path, said(QUESTION), said(MERGED)) as (made, near, cloud):
            out = await ask(made, temperature=0.5, max_tokens=50)
            assert (out.status, json.loads(out.body)["choices"][0]["message"]["content"]) == (200, MERGED)
            (sent,) = cloud.requests
            assert body(sent) == {
                "model": "far-model",
                "messages": [{"role": "user", "content": QUESTION}],
                "temperature": 0.5,
                "max_tokens": 50,
            }
            first, last = map(body, near.requests)
            assert ID in first["messages"][1]["content"]
            assert ID in last["messages"][1]["content"]
            assert OUTSIDE in last["messages"][1]["content"]
            assert out.headers["x-nearfar-place"] == "cloud", "the reply's head names what its words reached"
            assert out.headers["x-nearfar-deployment"] == "far"
            assert out.headers["x-nearfar-deviations"] == "rewritten:far"
            assert out.headers["x-nearfar-attempts"] == "3"
            entries = made.entries()
            assert [(item.deployment, item.purpose) for item in entries] == [
                ("near", "rewrite"),
                ("far", "serve"),
                ("near", "merge"),
            ]
            assert [item.parent for item in entries] == ["", entries[0].attempt, entries[1].attempt]
            assert {item.request for item in entries} == {"req-1"}
            assert {item.class_ for item in entries} == {"confidential"}
            assert made.counted('nearfar_deviations_total{kind="rewritten"}')

    run(scenario())


def test_the_merged_answer_streams(tmp_path: Path) -> None:
    async def scenario() -> None:
        merged = stream(event("Thyme"), event(" tea."), event(None, '"stop"'), DONE)
        async with clinic(tmp_path, said(QUESTION), merged) as (made, near, cloud):
            out = await ask(made, stream=True)
            assert out.body == event("Thyme") + event(" tea.") + event(None, '"stop"') + DONE
            assert out.ended
            assert [body(item).get("stream", False) for item in (*near.requests, *cloud.requests)] == [
                False,
                True,
                False,
            ]

    run(scenario())


def test_a_client_of_another_dialect_gets_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with clinic(tmp_path, said(QUESTION), said(MERGED)) as (made, _, cloud):
            asked = {
                "model": "main",
                "max_tokens": 9,
                "messages": [{"role": "user", "content": ASKED}],
                "system": f"For {MAIL}",
            }
            out = Out()
            await made.pipeline.answer(ANTHROPIC.parse(msgspec.json.encode(asked), "req-9"), ANTHROPIC, Said(), out)
            reply = json.loads(out.body)
            assert (reply["type"], reply["content"][0]["text"]) == ("message", MERGED)
            assert MAIL.encode() not in cloud.requests[0]
            assert ID.encode() not in cloud.requests[0]

    run(scenario())


def test_what_the_near_model_adds_is_masked_and_restored(tmp_path: Path) -> None:
    async def scenario() -> None:
        question = f"Which tea may {MAIL} drink?"
        async with clinic(tmp_path, said(question), said(MERGED)) as (made, _, cloud):
            out = await ask(made)
            asked = body(cloud.requests[0])["messages"][0]["content"]
            assert MAIL not in asked
            assert asked.startswith("Which tea may ⟦EMAIL_")
            assert out.headers["x-nearfar-deviations"] == "masked:1, rewritten:far"

    run(scenario())


@pytest.mark.parametrize(
    "question",
    [
        ASKED,
        f"Is {ID} ill?",
        "Is Ａ１２３ ４５６７８９ ill?",
        "Is a123456789 ill?",
        "What does QTEyMzQ1Njc4OQ== say?",
        f"What does {b'A123456789'.hex()} say?",
        "What does %41%31%32%33456789 say?",
        "",
    ],
)
def test_a_question_that_tells_something_does_not_leave(tmp_path: Path, question: str) -> None:
    async def scenario() -> None:
        async with clinic(tmp_path, said(question)) as (made, _, cloud):
            out = await ask(made)
            assert cloud.requests == []
            assert out.status == 500
            assert json.loads(out.body)["error"]["code"] == "rewriting_failed"
            assert [item.purpose for item in made.entries()] == ["rewrite"]

    run(scenario())


def test_then_a_near_deployment_of_the_route_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with clinic(tmp_path, said(ASKED), said("near"), main="cloud-first") as (made, near, cloud):
            out = await ask(made)
            assert cloud.requests == []
            assert json.loads(out.body)["choices"][0]["message"]["content"] == "near"
            assert out.headers["x-nearfar-place"] == "device"
            assert out.headers["x-nearfar-deviations"] == "failover:far:rewriting_failed"
            assert body(near.requests[1])["messages"] == [{"role": "user", "content": ASKED}]

    run(scenario())


def test_words_that_were_called_confidential_do_not_leave_as_they_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        text = "Our plan is to buy the bakery next door before the summer begins."
        async with clinic(tmp_path, said(f"Somebody asks: {text}")) as (made, _, cloud):
            asked = made.request(messages=[{"role": "user", "content": text}])
            out = await made.answer(asked, Said(header=Class.CONFIDENTIAL))
            assert cloud.requests == []
            assert json.loads(out.body)["error"]["code"] == "rewriting_failed"

    run(scenario())


def test_what_is_more_sensitive_than_the_policy_rewrites_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with clinic(tmp_path) as (made, near, cloud):
            out = await ask(made, "病歷號：A40154823 的病人咳嗽")
            assert json.loads(out.body)["error"]["code"] == "pii_blocked"
            assert near.requests == cloud.requests == []

    run(scenario())


def test_only_plain_text_is_rewritten(tmp_path: Path) -> None:
    async def scenario() -> None:
        tools = [{"type": "function", "function": {"name": "mail", "parameters": {}}}]
        async with clinic(tmp_path) as (made, near, cloud):
            out = await ask(made, tools=tools)
            assert json.loads(out.body)["error"]["code"] == "pii_blocked"
            assert "cannot be rewritten here" in json.loads(out.body)["error"]["message"]
            assert near.requests == cloud.requests == []

    run(scenario())


def test_errors_of_each_step_are_typed_and_paid_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with clinic(tmp_path / "a", error(b"500 No")) as (made, _, cloud):
            out = await ask(made)
            assert (json.loads(out.body)["error"]["code"], cloud.requests) == ("rewriting_failed", [])
        async with clinic(tmp_path / "b", said(QUESTION), far=error(b"503 No")) as (made, near, _):
            out = await ask(made)
            assert (json.loads(out.body)["error"]["code"], len(near.requests)) == ("overloaded", 1)
        async with clinic(tmp_path / "c", said(QUESTION), error(b"500 No")) as (made, _, cloud):
            out = await ask(made)
            assert json.loads(out.body)["error"]["code"] == "rewriting_failed"
            assert len(cloud.requests) == 1
            assert "rewritten:far" in out.headers["x-nearfar-deviations"], "the question did leave"
            assert [(item.purpose, item.outcome) for item in made.entries()] == [
                ("rewrite", "ok"),
                ("serve", "ok"),
                ("merge", "error"),
            ]

    for name in "abc":
        (tmp_path / name).mkdir()
    run(scenario())


NARROW: dict[str, dict[str, Any]] = {
    "the class stays on the device": {"furthest": (Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE)},
    "the purpose does": {"purposes": {"rewrite": (Place.DEVICE,) * 4}},
    "the route has none": {"rewriter": "main"},
    "there is no such route": {"rewriter": "nobody"},
}


@pytest.mark.parametrize("why", NARROW)
def test_who_may_not_see_the_request_is_not_asked_to_rewrite_it(tmp_path: Path, why: str) -> None:
    async def scenario() -> None:
        rules = msgspec.structs.replace(RULES, **NARROW[why])
        async with upstream(every=said(QUESTION)) as near, upstream(every=said(OUTSIDE)) as cloud:
            targets = (target("near", near.port, Place.LAN), target("far", cloud.port))
            local = Route(name="local", strategy="local-only", deployments=("near", "far"))
            only = Route(name="main", strategy="cloud-only", deployments=("far",))
            async with house(tmp_path, snapshot(*targets, routes={"local": local, "main": only})) as made:
                made.pipeline = rewriting(made, rules)
                out = await ask(made)
                assert json.loads(out.body)["error"]["code"] in {"rewriting_failed", "pii_blocked"}
                assert near.requests == cloud.requests == []

    run(scenario())


def test_a_busy_near_model_is_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        loads = Loads()
        async with upstream(said(QUESTION), said(MERGED)) as near, upstream(every=said(OUTSIDE)) as cloud:
            targets = (target("near", near.port, Place.DEVICE, slots=1), target("far", cloud.port))
            local = Route(name="local", strategy="local-only", deployments=("near",))
            only = Route(name="main", strategy="cloud-only", deployments=("far",))
            async with house(tmp_path, snapshot(*targets, routes={"local": local, "main": only})) as made:
                slots = Slots(loads, made.metrics, longest=4, seconds=20.0)
                made.pipeline = rewriting(made, slots=slots)
                line = loads.of(targets[0].deployment).line
                line.busy = 1  # somebody else is being answered
                asking = asyncio.create_task(ask(made))
                while not line.waiting:
                    await asyncio.sleep(0)
                assert near.requests == []
                slots.give(line)
                assert (await asking).status == 200
                assert (len(near.requests), line.busy) == (2, 0)

    run(scenario())


def test_a_client_that_leaves_ends_the_step_that_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        asked = asyncio.Event()

        async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read()

        async with clinic(tmp_path, waits) as (made, near, cloud):
            answering = asyncio.create_task(ask(made, stream=True))
            await asked.wait()
            answering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answering
            await near.gone.wait()
            assert cloud.requests == []
            assert [(item.purpose, item.outcome) for item in made.entries()] == [("rewrite", "cancelled")]

    run(scenario())


def test_no_near_model_means_no_rewriting(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            upstream(every=said(OUTSIDE)) as cloud,
            house(tmp_path, snapshot(target("far", cloud.port))) as made,
        ):
            made.pipeline = rewriting(made)
            out = await ask(made)
            assert json.loads(out.body)["error"]["code"] == "pii_blocked"
            assert cloud.requests == []

    run(scenario())
