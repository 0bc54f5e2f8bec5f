"""Both answers are kept where classes may be, scored, and told of with how likely they came to be; else nothing is."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.classroom import prefers, room, scanner
from tests.gateway.house import RULES, run

from nearfar.core.places import Class, Place
from nearfar.gateway.decider import Said
from nearfar.gateway.guard import Guard
from nearfar.policy.rules import Rules

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_shadows_answer_is_kept_with_the_served_one_and_judged(tmp_path: Path, stream: bool) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=prefers("far", "good")) as it:
            out = await it.made.chat(stream=stream, max_tokens=50)
            assert out.ended
            assert out.headers["x-nearfar-deviations"] == "shadow:far"
            await it.done()
            (kept,) = it.kept()
            content = kept.content
            assert (content.prompt, content.conversation, content.kind) == ("hello", "hello", "text")
            texts = (content.near.text, content.far.text)
            assert texts == (("anearanswer", "afaranswer") if stream else ("a near answer", "a far answer"))
            assert (content.near.deployment, content.far.deployment, kept.served) == ("near", "far", "near")
            assert kept.scores is not None
            assert (kept.scores.near, kept.scores.far, kept.scores.judge, kept.scores.trusted) == (
                0.2,
                0.9,
                "third",
                True,
            )
            (outcome,) = it.outcomes
            assert (outcome.request, outcome.route, outcome.privacy) == (content.request, "main", "internal")
            assert (outcome.near, outcome.far, outcome.propensity, outcome.score) == (0.2, 0.9, 1.0, None)
            assert it.counted() == {"waiting": 1, "judged": 1}

    run(scenario())


def test_a_judgement_is_an_attempt_like_any_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=prefers("far", "good")) as it:
            await it.made.chat(max_tokens=50)
            await it.done()
            entries = [entry for entry in it.made.entries() if entry.route]
            assert [(entry.deployment, entry.purpose, entry.outcome) for entry in entries] == [
                ("near", "serve", "ok"),
                ("far", "shadow", "ok"),
                ("third", "judge", "ok"),
                ("third", "judge", "ok"),
            ]
            assert len({entry.attempt for entry in entries}) == 4
            served, shadow, first, second = entries
            assert {entry.request for entry in entries} == {served.request}
            assert (shadow.parent, first.parent, second.parent) == (served.attempt, shadow.attempt, shadow.attempt)
            assert first.cost, "it is paid for"
            anchors = [entry for entry in it.made.entries() if not entry.route]
            assert len(anchors) == 10
            assert {(entry.purpose, entry.class_) for entry in anchors} == {("judge", "public")}

    run(scenario())


def test_what_comparing_decides_needs_no_judge(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(
            tmp_path, answers="number", near=lambda _: "It is 41.", far=lambda _: "So it is 42.", judge=prefers("good")
        ) as it:
            await it.made.chat(max_tokens=50)
            await it.done()
            (kept,) = it.kept()
            assert kept.scores is not None
            assert (kept.scores.near, kept.scores.far, kept.scores.judge) == (0.0, 1.0, "checks")
            assert (it.outcomes[0].near, it.outcomes[0].trusted) == (0.0, True)
            assert not it.judge.heard
            assert it.counted() == {"compared": 1}

    run(scenario())


def test_what_nobody_can_score_is_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path) as it:
            await it.made.chat()
            await it.done()
            assert it.kept() == []
            assert it.counted() == {"open": 1}

    run(scenario())


@pytest.mark.parametrize(
    ("class_", "keep"),
    [
        (Class.CONFIDENTIAL, (Class.PUBLIC, Class.INTERNAL)),
        (Class.INTERNAL, (Class.PUBLIC,)),
        (Class.RESTRICTED, ()),
    ],
)
def test_a_class_that_nobody_named_is_not_even_heard(tmp_path: Path, class_: Class, keep: tuple[Class, ...]) -> None:
    everywhere = Rules(name="test", furthest=(Place.CLOUD,) * 4, default=Class.INTERNAL)

    async def scenario() -> None:
        async with room(tmp_path, rules=everywhere, keep=keep, judge=prefers("far", "good")) as it:
            out = await it.made.chat(said=Said(header=class_))
            await it.done()
            assert out.headers["x-nearfar-deviations"] == "shadow:far", "the policy lets it have a shadow"
            assert it.kept() == []
            assert not it.judge.heard
            assert it.counted() == {}

    run(scenario())


def test_even_a_learner_that_was_told_to_keeps_nothing_confidential(tmp_path: Path) -> None:
    everywhere = Rules(name="test", furthest=(Place.CLOUD,) * 4, default=Class.INTERNAL)

    async def scenario() -> None:
        async with room(tmp_path, rules=everywhere, keep=list(Class), judge=prefers("far", "good")) as it:
            await it.made.chat(said=Said(header=Class.CONFIDENTIAL))
            await it.done()
            assert it.kept() == []
            assert not it.judge.heard

    run(scenario())


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"tools": [TOOL]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
            ]
        },
    ],
    ids=["choices", "tools", "image"],
)
def test_what_is_more_than_words_is_not_kept(tmp_path: Path, fields: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with room(tmp_path, judge=prefers("far", "good")) as it:
            await it.made.chat(**fields)
            await it.done()
            assert it.kept() == []

    run(scenario())


def test_a_shadow_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, far=lambda _: "", judge=prefers("far", "good")) as it:
            await it.made.chat()
            await it.done()
            assert it.kept() == []

    run(scenario())


def test_an_escalated_answer_needs_no_shadow_where_comparing_decides(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(
            tmp_path,
            strategy="cascade",
            answers="number",
            share=0.001,
            near=lambda _: "I cannot say",
            far=lambda _: "It is 42.",
        ) as it:
            out = await it.made.chat()
            assert out.headers["x-nearfar-deployment"] == "far"
            await it.done()
            (kept,) = it.kept()
            assert (kept.served, kept.propensity) == ("far", 1.0)
            assert (kept.content.near.text, kept.content.far.text) == ("I cannot say", "It is 42.")
            assert kept.scores is not None
            assert (kept.scores.near, kept.scores.far) == (0.0, 1.0)
            assert it.purposes() == [("near", "serve"), ("far", "escalate")]

    run(scenario())


def test_an_escalated_answer_that_takes_a_judge_counts_when_it_was_drawn(tmp_path: Path) -> None:
    async def scenario() -> None:
        says = {"near": "I cannot help with that.", "far": "a far answer"}
        for number, (share, count) in enumerate([(1.0, 1), (0.001, 0)]):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with room(
                folder,
                strategy="cascade",
                share=share,
                near=lambda _: says["near"],
                far=lambda _: says["far"],
                judge=prefers("far", "good"),
            ) as it:
                out = await it.made.chat(max_tokens=50)
                assert out.headers["x-nearfar-deployment"] == "far"
                await it.done()
                assert len(it.kept()) == count
                assert len(it.far.heard) == 1, "who has answered already is not asked again"
                assert [kept.served for kept in it.kept()] == ["far"] * count

    run(scenario())


def test_a_cascade_without_a_shadow_is_not_learned_from(tmp_path: Path) -> None:
    """Only what was escalated would be seen: labels of doubtful answers alone say nothing of the others."""

    async def scenario() -> None:
        async with room(
            tmp_path, strategy="cascade", answers="number", share=0.0, near=lambda _: "?", far=lambda _: "42"
        ) as it:
            await it.made.chat()
            await it.done()
            assert it.kept() == []

    run(scenario())


def test_a_kept_answer_of_a_cascade_is_compared_with_its_shadow(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(
            tmp_path, strategy="cascade", answers="number", near=lambda _: "It is 42.", far=lambda _: "42"
        ) as it:
            out = await it.made.chat(stream=True)
            assert out.headers["x-nearfar-deployment"] == "near"
            await it.done()
            (kept,) = it.kept()
            assert (kept.served, kept.propensity) == ("near", 1.0)
            assert kept.scores is not None
            assert (kept.scores.near, kept.scores.far) == (1.0, 1.0)

    run(scenario())


@pytest.mark.parametrize("where", ["near", "far"])
def test_an_answer_that_holds_more_than_the_question_is_not_kept(tmp_path: Path, where: str) -> None:
    number = "her number is A123456789"

    async def scenario() -> None:
        says = {"near": "a near answer", "far": "a far answer"} | {where: number}
        async with room(
            tmp_path, near=lambda _: says["near"], far=lambda _: says["far"], judge=prefers("far", "good")
        ) as it:
            it.learner._guard = Guard(RULES, lambda _: scanner())
            await it.made.chat(max_tokens=50)
            await it.done()
            assert it.kept() == []
            assert not it.judge.heard
            assert it.counted() == {"class": 1}

    run(scenario())


def test_a_share_is_judged_and_that_is_part_of_the_chance(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, share_judged=0.5, judge=prefers("far", "good")) as it:
            for _ in range(24):
                await it.made.chat(max_tokens=50)
                await asyncio.gather(*it.shadows._tasks)
            await it.done()
            kept = it.kept()
            assert 4 < len(kept) < 20
            assert {item.propensity for item in kept} == {0.5}
            assert it.counted()["undrawn"] == 24 - len(kept)

    run(scenario())


def test_whoever_hears_may_fail(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(tmp_path, answers="number", near=lambda _: "1", far=lambda _: "1") as it:

            def fails(_: object) -> None:
                raise RuntimeError("no")

            it.learner._outcomes = [fails, it.outcomes.append]
            await it.made.chat()
            await it.done()
            assert len(it.outcomes) == 1

    run(scenario())


def test_the_database_holds_no_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with room(
            tmp_path,
            near=lambda _: "zebra crossing",
            far=lambda _: "far xylophone",
            judge=prefers("far", "good"),
        ) as it:
            await it.made.chat(messages=[{"role": "user", "content": "quetzal feathers"}])
            await it.done()
            assert len(it.kept()) == 1
            held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
            for word in (b"zebra", b"xylophone", b"quetzal"):
                assert word not in held

    run(scenario())


@pytest.mark.slow
def test_weighed_by_its_chance_a_cascades_labels_tell_the_mean_of_all_requests(tmp_path: Path) -> None:
    """Escalated answers always count, kept ones with the shadow's share: unweighed, the loss would look far larger."""
    count, share = 400, 0.3

    def number(messages: list[dict[str, str]]) -> int:
        return int(messages[-1]["content"].split()[-1])

    def near(messages: list[dict[str, str]]) -> str:
        asked = number(messages)
        if asked % 5 == 0:
            return "I cannot say"  # escalated, and lost
        return f"It is {asked + (asked % 5 == 1)}."  # kept; one in five is wrong, and nobody sees that

    async def scenario() -> None:
        async with room(
            tmp_path,
            strategy="cascade",
            answers="number",
            share=share,
            near=near,
            far=lambda messages: f"It is {number(messages)}.",
            daily=10**15,
        ) as it:
            for asked in range(count):
                request = it.made.request(messages=[{"role": "user", "content": f"What is {asked}"}], max_tokens=50)
                # The draw rests on the id, which is random in a gateway; numbers in a row are not.
                request.id = f"req-{sha256(request.id.encode()).hexdigest()[:29]}"
                await it.made.answer(request)
                await asyncio.gather(*it.shadows._tasks)
                await asyncio.gather(*it.learner._tasks)
            lost = [max(0.0, item.far - item.near) for item in it.outcomes]
            chances = [item.propensity for item in it.outcomes]
            assert set(chances) == {share, 1.0}
            weighed = sum(loss / chance for loss, chance in zip(lost, chances, strict=True)) / count
            assert weighed == pytest.approx(0.4, abs=0.09), "three standard errors"
            assert sum(lost) / len(lost) > 0.5

    run(scenario())
