"""Judges a near model's answer: keep it, ask for a second opinion, or escalate. Pure, and untrained by default.

It sends nothing and knows no deployment: the gateway and ``nearfar router cascade`` call the same functions.

The confidence is a probability from a small model of voters: each answer is right with the same chance, wrong ones
spread over a few traps, and checks of the answer itself (does it end, refuse, fit its form, add up; how probable were
its tokens) shift the odds of the first voter. Sums of log-probabilities are never used (they measure length), nor is
what a model says about its own confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from nearfar.policy import cascade_checks as checks
from nearfar.policy.cascade_answers import WRONG_ANSWERS, Kind, read, same

Action = Literal["keep", "ask", "escalate"]
MOST_OPINIONS: Final = 2
RIGHT: Final = 0.6
"""Chance that a voter is right, before anything is known. The order of prompts hardly depends on it."""
_NOTHING = 0.02
"""Confidence in an answer that cannot be read at all."""

_CUT = math.log(0.15)
_REFUSAL = math.log(0.05)
_FORM = math.log(0.05)
_SLIP = math.log(0.5)
_CODE = math.log(0.1)
"""Log odds. Mixtral's cut answers to GSM8K were right in 22 % instead of 65 %, those with a slip in about half."""
_LONG_FROM, _LONG_WEIGHT, _LONG_MOST = 100, 0.2, 2.5
"""Much work for a short result: the longer of Mixtral's answers to MMLU-Pro are wrong more often (AUROC 0.63 to 0.65),
and so in MATH, CRUX and GSM8K. Characters; log odds for each unit of the logarithm beyond them; units at most."""
_WORKED: Final = frozenset({"number", "choice", "literal"})
"""Where the length of an answer is that of the work; elsewhere it is what was asked for."""
_TYPICAL_LOGPROB = -0.25
_LOGPROB_WEIGHT = 3.0
_LOGPROB_MOST = 1.2
"""A mean log-probability parts right from wrong with an AUROC of 0.65 to 0.71 (arXiv 2605.02241): modest odds."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered, as far as judging it goes."""

    text: str
    finish: str = ""
    """The finish reason in OpenAI's words; empty when nobody said."""
    logprobs: Sequence[float] = ()
    """Natural log-probabilities of its tokens; empty when unknown."""
    margin: float | None = None
    """Log-probability of the first token less that of the runner-up."""


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer alone shows."""

    kind: Kind
    answer: str | None
    """The final answer in a form that can be compared."""
    length: int
    """Characters."""
    cut: bool
    refused: bool
    form: bool
    """Whether it has the form that was asked for: a readable answer, and the schema if there is one."""
    sums: int
    slips: int
    code: bool | None
    """Whether its Python parses; None where there is none."""
    mean: float | None = None
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    """Mean and 10, 50, 90 % quantiles of the log-probabilities."""
    margin: float | None = None

    @property
    def evidence(self) -> float:
        """Log odds that these checks add to the answer's being right."""
        total = _CUT * self.cut + _REFUSAL * self.refused + _FORM * (not self.form)
        total += _SLIP * (self.slips > 0) + _CODE * (self.code is False)
        if self.length > _LONG_FROM and self.kind in _WORKED:
            total -= _LONG_WEIGHT * min(_LONG_MOST, math.log(self.length / _LONG_FROM))
        if self.mean is not None:
            shift = _LOGPROB_WEIGHT * (self.mean - _TYPICAL_LOGPROB)
            total += max(-_LOGPROB_MOST, min(_LOGPROB_MOST, shift))
        return total


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When to keep, ask, escalate. Probabilities from 0 to 1."""

    sure: float = 0.97
    """Confidence from which no opinion is asked."""
    lost: float = 0.1
    """Confidence up to which no opinion is asked: one agreement would not save the answer."""
    threshold: float = 0.5
    """Confidence that an answer must have in the end to be kept."""
    opinions: int = MOST_OPINIONS
    """How many other models may be asked, at most two."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the answer, and why."""

    action: Action
    confidence: float
    reason: str


def look(answer: Answer, kind: Kind, *, schema: dict[str, object] | None = None) -> Signals:
    """What the answer alone shows."""
    text = answer.text
    found = read(text, kind)
    # Arithmetic is checked where it is likely to matter; other answers hold dates and scores that look like sums.
    sums, wrong = checks.slips(text) if kind in {"number", "text"} else (0, 0)
    probabilities = sorted(value for value in answer.logprobs if math.isfinite(value))
    return Signals(
        kind=kind,
        answer=found,
        length=len(text),
        cut=answer.finish in {"length", "max_tokens"},
        refused=checks.refuses(text),
        form=found is not None and (schema is None or checks.fits(text, schema)),
        sums=sums,
        slips=wrong,
        code=checks.python(text) if kind in {"code", "text"} else None,
        mean=sum(probabilities) / len(probabilities) if probabilities else None,
        low=_quantile(probabilities, 0.1),
        middle=_quantile(probabilities, 0.5),
        high=_quantile(probabilities, 0.9),
        margin=answer.margin,
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def opinion(text: str, kind: Kind) -> str | None:
    """A second model's final answer, or None where none can be read."""
    return read(text, kind)


def confidence(near: Signals, opinions: Sequence[str | None]) -> float:
    """The probability that the near answer is right, given the opinions that were asked for.

    An opinion of None abstains. Two opinions that agree against the answer count more than two that scatter.
    """
    if near.answer is None:
        return _NOTHING
    votes = [found for found in opinions if found is not None]
    answers: list[str] = [near.answer]
    support: list[int] = [0]
    for vote in votes:
        for index, known in enumerate(answers):
            if same(known, vote, near.kind):
                support[index] += 1
                break
        else:
            answers.append(vote)
            support.append(1)
    astray = (1 - RIGHT) / (WRONG_ANSWERS[near.kind] - 1)
    agree = [RIGHT**count * astray ** (len(votes) - count) for count in support]
    # Someone must be right: the near model, a dissenter, or nobody here.
    mine = RIGHT * math.exp(near.evidence) * agree[0]
    others = astray * sum(agree[1:])
    nobody = max(0, WRONG_ANSWERS[near.kind] - len(answers)) * astray ** (len(votes) + 1)
    return mine / (mine + others + nobody)


def judge(near: Signals, opinions: Sequence[str | None], rules: Rules, *, trained: float | None = None) -> Verdict:
    """Keep, ask for one more opinion, or escalate.

    ``opinions`` are those asked so far, in the order fixed beforehand. ``trained`` is a learned confidence that takes
    the place of the untrained one in the end; whether to ask is always decided by the untrained one, so that a model
    learned on recorded answers meets the same answers later.
    """
    sure = confidence(near, opinions)
    allowed = min(rules.opinions, MOST_OPINIONS)
    if len(opinions) < allowed and rules.lost < sure < rules.sure:
        count = "a second opinion" if not opinions else "one more opinion"
        return Verdict(action="ask", confidence=sure, reason=f"confidence {sure:.2f}: {count} is asked")
    final = sure if trained is None else trained
    keep = final >= rules.threshold
    return Verdict(action="keep" if keep else "escalate", confidence=final, reason=_why(near, opinions, final, keep))


def _why(near: Signals, opinions: Sequence[str | None], sure: float, keep: bool) -> str:
    agreed = sum(same(near.answer, found, near.kind) for found in opinions)
    said = [f"confidence {sure:.2f}"]
    if opinions:
        said.append(f"{agreed} of {len(opinions)} opinions agree")
    if not keep:
        faults = (
            (near.answer is None, f"no {near.kind} can be read"),
            (near.answer is not None and not near.form, "it does not fit the schema"),
            (near.cut, "it was cut"),
            (near.refused, "it refuses"),
            (near.slips > 0, f"{near.slips} of {near.sums} sums are wrong"),
            (near.code is False, "its code does not parse"),
        )
        said += [text for holds, text in faults if holds]
    return ", ".join(said)
