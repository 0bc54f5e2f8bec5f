"""Judges recorded answers with the gateway's own decision code, and turns what it saw into numbers to learn from."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearfar.policy.cascade import MOST_OPINIONS, Answer, Rules, Signals, Verdict, confidence, judge, look, opinion
from nearfar.policy.cascade_answers import same
from nearfar.tuning.labels import BadLabels, Label

Floats = NDArray[np.float32]
_MODELS_TOLD = 6
_FLIP: Final = 3**-0.5
"""Scale of a yes or no: one that differs makes two answers alike to e^(-1/3)."""
_LENGTH, _LOGPROB, _MARGIN = 0.3, 0.8, 0.1
"""Scales of the logarithm of the length, of a mean log-probability, of a first token's margin."""
_PLACE, _KIND = 0.6, 0.5
"""Scales of where a chosen option stands, and of what kind it is."""
_OPTION = re.compile(r"^[ \t]*\(?([A-Za-z])[.):\u3001][ \t]*(\S.*)$", re.MULTILINE)
_OTHERS = re.compile(r"\b(?:none|all|both|neither|any) of\b|\babove\b|以上", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_LONGEST = 20_000
"""Characters of a prompt whose options are looked for: its end."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded prompt, judged."""

    near: Signals
    opinions: list[str | None]
    """Those that were asked, in the fixed order."""
    confidence: float
    """Untrained, with these opinions."""
    option: tuple[float, float, bool, bool] | None = None
    """Of a chosen option: its place among all, that of its length, whether it speaks of others or has digits."""


def chosen(labels: Sequence[Label], wanted: Sequence[str] = ()) -> list[str]:
    """The models whose opinions are asked, in order, fixed before anything is judged.

    Without a wish: those of the first line that has any. Raises ``BadLabels`` for more than two, or unknown ones.
    """
    known = list(dict.fromkeys(item.model for label in labels for item in label.opinions))
    if missing := [name for name in wanted if name not in known]:
        told = ", ".join(known[:_MODELS_TOLD]) or "none"
        raise BadLabels(f"No line has an opinion of {missing[0]!r}.", hint=f"There are opinions of: {told}.")
    if len(wanted) > MOST_OPINIONS or len(set(wanted)) < len(wanted):
        raise BadLabels(f"At most {MOST_OPINIONS} different opinions are asked.")
    if wanted:
        return list(wanted)
    first = next((label for label in labels if label.opinions), None)
    return [item.model for item in first.opinions[:MOST_OPINIONS]] if first else []


def signals(label: Label) -> Signals:
    """What the near answer alone shows."""
    local = label.local
    answer = Answer(
        text=local.answer or "", finish=local.finish or "", logprobs=local.logprobs or (), margin=local.margin
    )
    found = look(answer, label.answer_type)
    return found if local.length is None else msgspec.structs.replace(found, length=local.length)


def seen(label: Label, models: Sequence[str], rules: Rules) -> Seen:
    """A recorded prompt as the gateway would go through it: opinions are asked one by one, while it is uncertain.

    The threshold does not matter here: whoever has the confidence can set it afterwards.
    """
    near = signals(label)
    said = {item.model: item.answer for item in label.opinions}
    asked: list[str | None] = []
    for model in models:
        if judge(near, asked, rules).action != "ask":
            break
        asked.append(opinion(said.get(model) or "", label.answer_type))
    return Seen(near=near, opinions=asked, confidence=confidence(near, asked), option=option(label.prompt, near))


def option(prompt: str, near: Signals) -> tuple[float, float, bool, bool] | None:
    """What can be told of the chosen option (see ``Seen``); places are from 0 to 1. None where it is not found."""
    if near.kind != "choice" or near.answer is None:
        return None
    options = {letter.upper(): text for letter, text in _OPTION.findall(prompt[-_LONGEST:])}
    text = options.get(near.answer)
    if text is None:
        return None
    place = (list(options).index(near.answer) + 0.5) / len(options)
    lengths = sorted(map(len, options.values()))
    size = (lengths.index(len(text)) + 0.5) / len(lengths)
    return place, size, bool(_OTHERS.search(text)), bool(_DIGIT.search(text))


def verdict(item: Seen, rules: Rules, *, trained: float | None = None) -> Verdict:
    """Keep or escalate, once no more opinions are asked."""
    final = msgspec.structs.replace(rules, opinions=len(item.opinions))
    return judge(item.near, item.opinions, final, trained=trained)


def numbers(item: Seen) -> list[float]:
    """What was seen, scaled so that the squared distance between two prompts says how differently they went."""
    near, kind = item.near, item.near.kind
    said = [*item.opinions, *[None] * (MOST_OPINIONS - len(item.opinions))]
    flags = [
        *(same(near.answer, found, kind) for found in said),
        *(found is None for found in said),
        *(index < len(item.opinions) for index in range(MOST_OPINIONS)),
        same(said[0], said[1], kind),
        near.answer is None,
        not near.form,
        near.cut,
        near.refused,
        near.slips > 0,
        near.code is False,
        near.mean is not None,
    ]
    mean, low = near.mean or 0.0, near.low or 0.0
    place, size, others, digits = item.option or (0.0, 0.0, False, False)
    return [
        *(_FLIP * flag for flag in flags),
        _LENGTH * math.log1p(near.length),
        _LOGPROB * max(mean, -2.0),
        _LOGPROB / 3 * max(low, -4.0),
        _MARGIN * min(near.margin or 0.0, 10.0),
        _PLACE * place,
        _PLACE * size,
        _KIND * others,
        _KIND * digits,
    ]
