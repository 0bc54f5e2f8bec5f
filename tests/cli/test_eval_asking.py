"""Questions of an evaluation at a running gateway: concurrent, timed, interruptible, priced."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import pytest
from tests import stand_in
from tests.cli import serving

from nearfar.cli.answer import Answer
from nearfar.cli.errors import UsageError
from nearfar.cli.eval_asking import Putting, heard, names
from nearfar.cli.session import Show, Turn
from nearfar.core.errors import BadRequestError, NearfarError
from nearfar.evaluation.records import Job
from nearfar.settings.load import Loaded, load


def loaded(tmp_path: Path, **environ: str) -> Loaded:
    return load(environ={"HOME": str(tmp_path), **environ})


def job(on: str = "near", *, weigh: bool = False) -> Job:
    return Job(id="1", on=on, body={"model": on}, weigh=weigh)


def turn(text: str = "yes", **headers: str) -> Turn:
    answer = Answer()
    answer.text, answer.done, answer.input, answer.output = text, True, 3, 1
    return Turn(
        text=text,
        headers={f"x-nearfar-{k.replace('_', '-')}": v for k, v in headers.items()},
        answer=answer,
        milliseconds=12,
    )


class Scripted:
    """A session whose answers are given; a running gateway as far as ``Putting`` can tell."""

    where = "here"

    def __init__(self, *, refuses: bool = False, waits: threading.Event | None = None) -> None:
        self.refuses = refuses
        self.waits = waits
        self.asked: list[dict[str, object]] = []
        self.stopped = threading.Event()
        self.purposes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def ask(self, body: dict[str, object], *, class_: str, show: Show, purpose: str = "") -> Turn:
        self.purposes.append(purpose)
        self.asked.append(body)
        if self.refuses and "logprobs" in body:
            raise BadRequestError("no log-probabilities")
        if body["model"] == "bad":
            raise BadRequestError("bad")
        if self.waits is not None:
            self.waits.wait(20)
            try:
                show("late")
            except Exception:
                self.stopped.set()
                raise
        show("yes")
        return turn()

    def leave(self, body: dict[str, object], *, class_: str, purpose: str = "") -> bool:
        raise NotImplementedError

    def account(self, turn: Turn) -> Turn:
        raise NotImplementedError


def test_log_probabilities_are_asked_for_until_they_are_refused() -> None:
    session = Scripted(refuses=True)
    putting = Putting(session)

    async def scenario() -> None:
        await putting.ask(job(weigh=True))
        await putting.ask(job(weigh=True))
        await putting.ask(job("far", weigh=False))

    putting.run(scenario())
    assert ["logprobs" in body for body in session.asked] == [True, False, False, False]
    with pytest.raises(BadRequestError, match="bad"):
        putting.run(putting.ask(job("bad", weigh=True)))


def test_a_judge_and_an_opinion_are_asked_as_such() -> None:
    """What a policy says of these purposes holds for them."""
    session = Scripted()
    putting = Putting(session)
    for role in ("answer", "opinion", "judge"):
        putting.run(putting.ask(msgspec.structs.replace(job(), role=role)))
    assert session.purposes == ["eval", "opinion", "judge"]


def test_questions_run_beside_each_other_and_whoever_stops_waiting_stops_them() -> None:
    release = threading.Event()
    session = Scripted(waits=release)
    putting = Putting(session)

    async def scenario() -> None:
        tasks = [asyncio.create_task(putting.ask(job())) for _ in range(2)]
        while len(session.asked) < 2:
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        release.set()
        assert (await tasks[1]).text == "yes"

    putting.run(scenario())
    assert session.stopped.wait(20)


def test_a_turn_becomes_what_a_record_keeps() -> None:
    found = heard(turn(cost_usd="0.000123000", place="cloud", deployment="far", deviations="a, b"), 7.04, 12.0)
    assert (found.cost, found.first_ms, found.place, found.deployment) == (123_000, 7.0, "cloud", "far")
    assert (found.attempts, heard(turn(attempts="2"), None, 1).attempts) == (1, 2)
    assert (found.deviations, found.input, found.output, found.total_ms) == (["a", "b"], 3, 1, 12)
    assert heard(turn(cost_usd="unknown"), None, 1).cost is None
    assert heard(turn(), None, 1).cost is None


def test_names_at_a_running_gateway(tmp_path: Path, server: serving.Server) -> None:
    rows = names(loaded(tmp_path), server.url, ["near", "far", "near-first"])
    assert [price and (price.input, price.output) for price in rows["far"].prices] == [(2_500_000_000, 10_000_000_000)]
    assert [price and price.id for price in rows["near"].prices] == ["free"]
    assert len(rows["near-first"].behind) == 2
    with pytest.raises(UsageError, match="There is no 'nera'") as caught:
        names(loaded(tmp_path), server.url, ["nera"])
    assert "near" in caught.value.hint


def test_names_in_this_process(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        "[discovery]\nloopback = false\nkeys = false\n[server]\nport = 1\n"
        '[deployments.far]\nprovider = "openai"\nmodel = "gpt-x"\nkey = "env:NO_SUCH_KEY"\n'
    )
    here = load(config=config, environ={"HOME": str(tmp_path)})
    with pytest.raises(UsageError, match=r"far cannot be asked: .*NO_SUCH_KEY"):
        names(here, "", ["far"])


def test_a_failure_is_told_with_its_code(tmp_path: Path, server: serving.Server, cloud: stand_in.Running) -> None:
    from nearfar.cli.session import open_session

    cloud.behave("401")
    try:
        with open_session(loaded(tmp_path), server.url) as session:
            putting = Putting(session)
            body = {"model": "far", "messages": [{"role": "user", "content": "x"}], "stream": True}
            with pytest.raises(NearfarError) as caught:
                putting.run(putting.ask(Job(id="1", on="far", body=body)))
        assert caught.value.code
    finally:
        cloud.behave()
