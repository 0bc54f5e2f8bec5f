"""What an evaluation is to do, and the questions that follow from it. It asks nobody and scores nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nearfar.cli.errors import UsageError
from nearfar.cli.eval_asking import Named
from nearfar.core.money import upper_bound
from nearfar.evaluation.prompts import Prompt
from nearfar.evaluation.records import Job
from nearfar.evaluation.scores import Score

_OVERHEAD = 64
"""Tokens that a template may put around a message."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    on: list[str]
    opinions: list[str] = []
    judge: str = ""
    score: Score = "auto"
    repeat: int = 1
    concurrency: int = 1
    ceiling: int | None = None
    """Nano-USD for all of it."""
    max_tokens: int = 1024
    temperature: float | None = None
    system: str = ""
    class_: str = ""
    run_code: bool = False
    weigh: str = ""
    """The deployment that is asked for log-probabilities; empty for none."""


def jobs(plan: Plan, prompts: Sequence[Prompt], rows: Mapping[str, Named]) -> list[Job]:
    """Every question, prompt by prompt, so that a run that ends early has whole prompts."""
    made: list[Job] = []
    for prompt in prompts:
        messages: list[dict[str, object]] = [{"role": item.role, "content": item.content} for item in prompt.messages]
        if plan.system and messages[0]["role"] not in {"system", "developer"}:
            messages = [{"role": "system", "content": plan.system}, *messages]
        for repeat in range(plan.repeat):
            made += [
                Job(
                    id=prompt.id,
                    on=name,
                    role="answer" if name in plan.on else "opinion",
                    repeat=repeat,
                    body=body(name, messages, plan.max_tokens, plan.temperature),
                    class_=plan.class_,
                    bound=bound(messages, plan.max_tokens, rows[name]),
                    weigh=name == plan.weigh,
                )
                for name in (plan.on if repeat else (*plan.on, *plan.opinions))
            ]
    return made


def body(name: str, messages: list[dict[str, object]], limit: int, temperature: float | None = None) -> dict[str, Any]:
    """A chat request in OpenAI's dialect, streamed and counted."""
    made: dict[str, Any] = {
        "model": name,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": limit,
    }
    return made if temperature is None else {**made, "temperature": temperature}


def bound(messages: Sequence[Mapping[str, object]], limit: int, row: Named) -> int | None:
    """The most that it can cost if everybody behind the name is asked once: a token is at least a byte long."""
    tokens = sum(len(str(item["content"]).encode("utf-8", "replace")) + _OVERHEAD for item in messages)
    bounds = [upper_bound(price, tokens, limit) for price in row.prices]
    known = [item for item in bounds if item is not None]
    return sum(known) if len(known) == len(bounds) else None


def check_prices(plan: Plan, asked: Sequence[Job], rows: Mapping[str, Named]) -> None:
    """Raises UsageError where a ceiling could not be held, because a price is not known."""
    if plan.ceiling is None:
        return
    for name in dict.fromkeys(job.on for job in asked if job.bound is None):
        lacking = next(item.name for item in rows[name].behind if item.price is None)
        raise UsageError(
            f"--max-cost: no price is known for {lacking}, so no ceiling could be kept.",
            hint=f"Say it in the configuration: [deployments.{lacking}] price = {{ input = 2.5, output = 10 }}",
        )
