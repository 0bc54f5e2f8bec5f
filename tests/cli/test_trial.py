"""What answers prove, with scripted ones; and the embedded engine, tried for real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest
from tests.cli.conftest import Cli

from nearfar.cli import trial
from nearfar.cli.answer import Answer
from nearfar.cli.session import Show, Turn
from nearfar.cli.trial import PURPOSE, WORDS, Trial, Verdict
from nearfar.core.errors import BadRequestError, ContextTooLong, NearfarError, RateLimitError

GOOD = '{"city":"Taipei","number":7}'


def turn(
    text: str = "ready",
    *,
    calls: dict[int, tuple[str, str]] | None = None,
    finish: str = "stop",
    counted: int | None = 2000,
    told: str = "",
) -> Turn:
    answer = Answer()
    answer.text, answer.calls, answer.finish, answer.done = text, calls or {}, finish, True
    answer.input = answer.output = counted
    headers = {"x-nearfar-deployment": "d", "x-nearfar-deviations": told}
    return Turn(text=text, headers=headers, answer=answer, milliseconds=10)


CALL = {0: ("get_weather", '{"city":"Taipei"}')}


class Scripted:
    """Answers by what a question asks for."""

    where = "here"

    def __init__(self, **answers: Any) -> None:
        """``plain``, ``required``, ``tools``, ``schema``, ``long``: a turn, or the error to raise."""
        self.answers = answers
        self.asked: list[dict[str, Any]] = []
        self.left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def ask(self, body: dict[str, object], *, class_: str, show: Show, purpose: str = "") -> Turn:
        assert (class_, purpose) == ("public", PURPOSE)
        self.asked.append(body)
        kind = "plain"
        if "tool_choice" in body:
            kind = "required"
        elif "tools" in body:
            kind = "tools"
        elif "response_format" in body:
            kind = "schema"
        elif len(str(body["messages"])) > WORDS:
            kind = "long"
        answer = self.answers.get(kind, turn(GOOD, calls=CALL))
        if isinstance(answer, NearfarError):
            raise answer
        assert isinstance(answer, Turn)
        return answer

    def leave(self, body: dict[str, object], *, class_: str, purpose: str = "") -> bool:
        assert (class_, purpose) == ("public", PURPOSE)
        self.left += 1
        return bool(self.answers.get("leave", True))

    def account(self, given: Turn) -> Turn:
        return given


def verdicts(**answers: Any) -> dict[str, bool | None]:
    return {item.what: item.can for item in trial.run(Scripted(**answers), "name").verdicts}


def test_one_that_can_do_everything() -> None:
    session = Scripted()
    tried = trial.run(session, "route")
    assert {item.what: item.can for item in tried.verdicts} == dict.fromkeys(
        ("streaming", "stream_usage", "tools", "tool_choice", "json_schema", "long_prompt", "cancel"), True
    )
    assert tried.deployment == "d"
    assert [body["model"] for body in session.asked] == ["route", "d", "d", "d", "d"], "then the one that answered"
    assert all(body["max_tokens"] for body in session.asked), "every question bounds what it can cost"


def test_a_name_beyond_ascii_is_asked_again_by_its_own_letters() -> None:
    there = {"x-nearfar-deployment": "ollama/??:7b", "x-nearfar-deployment-encoded": "ollama/%E9%80%9A%E7%BE%A9:7b"}
    first = turn(GOOD)
    first = msgspec.structs.replace(first, headers={**first.headers, **there})
    session = Scripted(plain=first)
    assert trial.run(session, "route").deployment == "ollama/通義:7b"
    assert {body["model"] for body in session.asked[1:]} == {"ollama/通義:7b"}


def test_a_quick_one_asks_once() -> None:
    session = Scripted()
    assert [item.what for item in trial.run(session, "x", quick=True).verdicts] == ["streaming", "stream_usage"]
    assert (len(session.asked), session.left) == (1, 0)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"plain": turn(told="adapted:stream")}, {"streaming": False}),
        ({"plain": turn(counted=None)}, {"stream_usage": False}),
        ({"required": turn("It is sunny.")}, {"tools": None, "tool_choice": False}),
        ({"required": turn("It is", finish="length")}, {"tools": None, "tool_choice": None}),
        ({"required": turn(calls={0: ("get_weather", "{city")})}, {"tools": None, "tool_choice": False}),
        ({"required": turn(calls={0: ("other", "{}")})}, {"tools": None, "tool_choice": False}),
        ({"required": BadRequestError("no")}, {"tools": True, "tool_choice": False}),
        ({"required": BadRequestError("no"), "tools": turn("words")}, {"tools": None, "tool_choice": False}),
        ({"required": BadRequestError("no"), "tools": BadRequestError("no")}, {"tools": False, "tool_choice": False}),
        ({"required": BadRequestError("no"), "tools": RateLimitError("wait")}, {"tools": None, "tool_choice": False}),
        ({"required": RateLimitError("wait")}, {"tools": None, "tool_choice": None}),
        ({"schema": turn("Taipei 7")}, {"json_schema": False}),
        ({"schema": turn('{"city":"Taipei"}')}, {"json_schema": False}),
        ({"schema": turn('{"city":', finish="length")}, {"json_schema": None}),
        ({"schema": BadRequestError("no", code="unsupported")}, {"json_schema": False}),
        ({"schema": RateLimitError("wait")}, {"json_schema": None}),
        ({"long": turn(counted=512)}, {"long_prompt": False}),
        ({"long": turn(counted=None)}, {"long_prompt": None}),
        ({"long": ContextTooLong("no")}, {"long_prompt": False}),
        ({"long": RateLimitError("wait")}, {"long_prompt": None}),
        ({"leave": False}, {"cancel": None}),
    ],
)
def test_what_an_answer_proves(answers: dict[str, Any], expected: dict[str, bool | None]) -> None:
    found = verdicts(**answers)
    assert {what: found[what] for what in expected} == expected


def test_a_deployment_that_does_not_answer_at_all_is_an_error() -> None:
    with pytest.raises(RateLimitError):
        trial.run(Scripted(plain=RateLimitError("wait")), "x")


def test_no_verdict_holds_a_word_of_an_answer() -> None:
    secret = "hunter2"
    answers: dict[str, Callable[[], Turn]] = dict.fromkeys(
        ("plain", "required", "schema", "long"), lambda: turn(secret)
    )
    tried: Trial = trial.run(Scripted(**{name: make() for name, make in answers.items()}), "x")
    assert all(secret not in item.detail for item in tried.verdicts)
    assert all(isinstance(item, Verdict) for item in tried.verdicts)


def test_the_embedded_engine_is_tried_for_real(cli: Cli, tiny_gguf: Path) -> None:
    """Random weights: grammar makes the schema and the call possible, nothing makes them likely to end in time."""
    models = cli.home / ".local/share/nearfar/models"
    models.mkdir(parents=True)
    (models / "tiny-chat.gguf").symlink_to(tiny_gguf)
    sets = ("--set", "discovery.loopback=false", "--set", "discovery.keys=false")
    shown = cli("providers", "test", "tiny-chat", "--json", *sets)
    assert shown.code == 0, shown.err
    found = shown.json["capabilities"]
    assert found["streaming"]["can"] is True
    assert found["stream_usage"]["can"] is True
    assert found["tool_choice"]["can"] in {True, None}
    assert found["json_schema"]["can"] in {True, None}
    # A token per byte: the long prompt does not fit 2048 of them, and is refused instead of cut.
    assert found["long_prompt"] == {"can": False, "detail": "1200 words do not fit its context"}
    assert shown.json["kept"]
