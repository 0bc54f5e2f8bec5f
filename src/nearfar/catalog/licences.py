"""What the licences of weights grant and ask, as dated data, and whether a use is within them. It is no legal advice.

A model can be under several licences: its own and those that it inherits from what it was made of. All of them bind.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from nearfar.catalog.models import Model
from nearfar.core.data import decode
from nearfar.core.errors import BadRequestError

Verdict = Literal["yes", "conditional", "no"]
_Say = Callable[[Verdict, str], None]
_ORDER: tuple[Verdict, ...] = ("yes", "conditional", "no")


class Exclusion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A territory in which nothing is granted."""

    territory: str
    of: Literal["all", "multimodal"]
    """Which of the models."""
    who: str


class Licence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One licence."""

    id: str
    name: str
    spdx: str
    osi: bool
    """Whether the Open Source Initiative has approved it."""
    commercial: Verdict
    mau_limit: int = 0
    """Monthly active users above which another licence is needed; 0: none."""
    mau_when: str = ""
    attribution: str = ""
    name_rule: str = ""
    pass_down: tuple[str, ...] = ()
    """What those who get the weights must get with them."""
    conditions: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    source: str
    checked_on: dt.date
    unverified: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    licence: list[Licence]
    territories: dict[str, tuple[str, ...]]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The licences, and the words for territories."""

    licences: dict[str, Licence]
    territories: dict[str, tuple[str, ...]]


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do."""

    commercial: bool = False
    territories: tuple[str, ...] = ()
    """Where they are at home: a territory of the table, or a place as it was said."""
    users: int = 0
    """Monthly active users; 0: not said."""
    redistribute: bool = False
    """Pass weights on, or a product that contains them."""
    derive: bool = False
    """Fine-tune, distill or train with its outputs."""
    end_user: bool = False
    """Only use a product that others have made of it."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that speaks for or against, or is asked."""

    verdict: Verdict
    licence: str
    text: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model may be used so, and why."""

    model: str
    repo: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    unverified: tuple[str, ...]
    sources: tuple[str, ...]


def load(text: bytes) -> Table:
    """Read a table of licences strictly; ValueError says what is wrong."""
    file = decode(text, _File, "not a table of licences")
    licences: dict[str, Licence] = {}
    for licence in file.licence:
        if licence.id in licences:
            raise ValueError(f"{licence.id} is there twice")
        if not licence.source:
            raise ValueError(f"{licence.id} names no source")
        licences[licence.id] = licence
    return Table(licences=licences, territories=file.territories)


@functools.cache
def table() -> Table:
    """The table that comes with nearfar: data/licences.toml, read once."""
    return load((Path(__file__).parent / "data" / "licences.toml").read_bytes())


def shipped() -> dict[str, Licence]:
    """The licences that come with nearfar."""
    return table().licences


def osi(model: Model) -> bool:
    """Whether every licence of the model is approved by the Open Source Initiative."""
    return all(shipped()[each].osi for each in model.licences)


def commercial(model: Model) -> Verdict:
    """Whether the model may be used commercially: the strictest of its licences decides."""
    return max((shipped()[each].commercial for each in model.licences), key=_ORDER.index)


_WORDS: tuple[tuple[str, str], ...] = (
    (r"non[- ]?commercial(?: use)?|research|academic|personal(?: use)?|hobby|private use", "free"),
    (r"commercial(?:ly)?(?: use| product| service)?|business|company|sell|product", "commercial"),
    (r"redistribut\w*|distribut\w*|ship|pass on|embed", "redistribute"),
    (r"fine-?tun\w*|derive\w*|derivative|distil\w*|train\w*|modif\w*", "derive"),
    (r"end users?|end-user", "end_user"),
)
_USERS = re.compile(r"(\d[\d,_.]*)\s*(k|m|b|thousand|million|billion)?\s*(?:monthly\s+)?(?:active\s+)?(?:users?|mau)\b")
_SCALE = {"k": 10**3, "thousand": 10**3, "m": 10**6, "million": 10**6, "b": 10**9, "billion": 10**9}


def use(text: str, territories: Mapping[str, Sequence[str]] | None = None) -> Use:
    """The use that ``commercial, EU, 2M users`` describes. Raises BadRequestError for a part it does not know."""
    places = territories if territories is not None else table().territories
    found: dict[str, bool] = {}
    where: list[str] = []
    users = 0
    for said in re.split(r",(?!\d{3}\b)", text.lower()):
        part = re.sub(r"^(?:in|from|for|within|with|the) +(?:the +)?", "", said.strip())
        if not part:
            continue
        counted = _USERS.fullmatch(part)
        place = _place(part, places)
        words = [name for pattern, name in _WORDS if re.fullmatch(pattern, part)]
        if counted and not words:
            users = _count(counted)
        elif words:
            found[words[0]] = True
        elif place:
            where.append(place)
        else:
            raise BadRequestError(
                f"{part!r} is not understood as a part of a use.",
                code="use_unknown",
                param="for",
                hint="Say it as in: --for 'commercial, EU, 2M users, fine-tune, redistribute' "
                "(also: research, end user, a country).",
            )
    return Use(
        commercial=found.get("commercial", False),
        territories=tuple(where),
        users=users,
        redistribute=found.get("redistribute", False),
        derive=found.get("derive", False),
        end_user=found.get("end_user", False),
    )


def _place(part: str, places: Mapping[str, Sequence[str]]) -> str:
    for name, members in places.items():
        if part == name.lower() or part in members:
            return name if name != "elsewhere" else part.upper() if len(part) <= 3 else part.title()
    return ""


def _count(found: re.Match[str]) -> int:
    digits = found[1].replace(",", "").replace("_", "")
    return int(float(digits) * _SCALE.get(found[2] or "", 1))


def judge(model: Model, wanted: Use, licences: Mapping[str, Licence] | None = None) -> Answer:
    """Whether ``model`` may be used as ``wanted``. What was not said is answered with the condition."""
    known = shipped() if licences is None else licences
    bound = [known[each] for each in model.licences]
    reasons = [reason for licence in bound for reason in _reasons(model, licence, wanted)]
    verdicts: list[Verdict] = [reason.verdict for reason in reasons]
    verdict = max(verdicts, key=_ORDER.index, default=_ORDER[0])
    unverified = [f"{licence.name}: {each}" for licence in bound for each in licence.unverified]
    if any("licence" in each for each in model.unverified):
        # A yes that rests on a guess is none: the condition is that the guess is right.
        verdict = max(verdict, "conditional", key=_ORDER.index)
        unverified.insert(0, f"which licence {model.repo} is under: read its card before you rely on this")
    return Answer(
        model=model.id,
        repo=model.repo,
        verdict=verdict,
        reasons=tuple(reasons),
        unverified=tuple(unverified),
        sources=tuple(f"{licence.name}: {licence.source} (checked {licence.checked_on})" for licence in bound),
    )


def _reasons(model: Model, licence: Licence, wanted: Use) -> list[Reason]:
    made: list[Reason] = []

    def say(verdict: Verdict, text: str) -> None:
        made.append(Reason(verdict=verdict, licence=licence.name, text=text))

    if licence.osi:
        say("yes", "approved by the Open Source Initiative: any use, by anyone")
    elif wanted.commercial:
        _say_commercial(licence, say)
    else:
        say("yes", "use that is not commercial is granted")
    _say_users(licence, wanted, say)
    _say_places(model, licence, wanted, say)
    if wanted.redistribute or wanted.derive:
        for each in licence.pass_down:
            say("conditional", f"who gets the weights or a product with them must get {each}")
        if licence.name_rule:
            say("conditional", licence.name_rule)
    if licence.attribution and (wanted.commercial or wanted.redistribute or wanted.derive):
        say("conditional", licence.attribution)
    for each in licence.conditions:
        say("yes" if licence.osi else "conditional", each)
    return made


def _say_commercial(licence: Licence, say: _Say) -> None:
    if licence.commercial == "no":
        say("no", "commercial use is not granted")
    else:
        say("yes" if licence.commercial == "yes" else "conditional", "commercial use is granted, on conditions")


def _say_users(licence: Licence, wanted: Use, say: _Say) -> None:
    if not licence.mau_limit:
        return
    limit, when = f"{licence.mau_limit:,}", f" {licence.mau_when}" if licence.mau_when else ""
    if not wanted.users:
        say("conditional", f"up to {limit} monthly active users{when}; above, a licence must be asked for")
    elif wanted.users > licence.mau_limit:
        say("no", f"{wanted.users:,} monthly active users are more than {limit}{when}: a licence must be asked for")
    else:
        say("yes", f"{wanted.users:,} monthly active users are within {limit}{when}")


def _say_places(model: Model, licence: Licence, wanted: Use, say: _Say) -> None:
    for excluded in licence.exclusions:
        applies = excluded.of == "all" or model.multimodal
        if excluded.territory in wanted.territories:
            if not applies:
                say("yes", f"{excluded.territory}: only multimodal models are excluded there, and this one reads text")
            elif wanted.end_user:
                say("yes", f"{excluded.territory}: end users of a product are exempt from the exclusion")
            else:
                say("no", f"{excluded.territory}: nothing is granted there ({excluded.who})")
        elif applies and not wanted.territories:
            say("conditional", f"not granted in {excluded.territory} ({excluded.who})")
