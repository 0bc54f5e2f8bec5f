"""From what was said about a request and what was found in it to its class, with every reason. Pure.

It sees kinds and counts, never a text: the scanner's findings come in as ``Seen``, one for each part of a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from nearfar.core.places import Class
from nearfar.core.routing import Reason
from nearfar.policy.classify_kinds import Kinds
from nearfar.policy.rules import Rules, classify

FOUND = "found"
"""In what the client wrote now; the other parts are ``history``, ``passage`` and ``tool``."""
PARTS = (FOUND, "history", "passage", "tool")
_PEOPLE = frozenset({"identifier", "financial", "personal", "contact"})
_TOLD = 8
"""Kinds that one reason names."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan saw in one part of a request."""

    part: str = FOUND
    kinds: dict[str, int] = {}
    """Kind → how many."""
    unknown: int = 0
    """Pieces that nobody could read."""
    harmless: int = 0
    """Values that the owner lists as harmless on this route; they are in no other number."""
    floor: Class | None = None
    """The class that the part itself carries, as a labelled passage or tool result does."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The class of a request, and everything that a record says of it. It holds no value."""

    class_: Class
    reason: str
    """In a word or two: for headers and the ledger."""
    reasons: tuple[Reason, ...]
    """All that was said, the highest first."""
    kinds: dict[str, int] = {}
    """Kind → how many, over all parts, by name."""
    unknown: int = 0
    harmless: int = 0
    guard: str = ""
    """Why the content could not be looked at; empty when it was."""


def counted(findings: Iterable[str]) -> dict[str, int]:
    """Kinds of findings → how many."""
    counts: dict[str, int] = {}
    for kind in findings:
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def totals(seen: Iterable[Seen]) -> tuple[dict[str, int], int, int]:
    """Over all parts: kinds with their numbers by name, what nobody could read, what is listed as harmless."""
    kinds: dict[str, int] = {}
    unknown = harmless = 0
    for part in seen:
        unknown += part.unknown
        harmless += part.harmless
        for kind, count in part.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    return dict(sorted(kinds.items())), unknown, harmless


def verdict(
    rules: Rules,
    *,
    route: Class,
    caller: Class | None = None,
    header: Class | None = None,
    stored: Class | None = None,
    seen: Sequence[Seen] = (),
    guard: str = "",
) -> Verdict:
    """The highest of caller, route, header, conversation, findings, passages and tool results.

    ``guard``: why a detector failed. Then nothing is known about the content, so it counts as restricted.
    """
    said = _said(rules, route=route, caller=caller, header=header, stored=stored)
    found = [reason for part in seen for reason in _found(rules, part)]
    kinds, unknown, harmless = totals(seen)
    found += _joint(rules.kinds, kinds)
    if guard:
        found.append(Reason(class_=Class.RESTRICTED, source="guard", detail=guard))
    # A stable sort: of two equal ones, what was said stands before what was found.
    reasons = tuple(sorted((*said, *found), key=lambda item: -item.class_))
    return Verdict(
        class_=reasons[0].class_,
        reason=_short(reasons[0]),
        reasons=reasons,
        kinds=kinds,
        unknown=unknown,
        harmless=harmless,
        guard=guard,
    )


def _said(
    rules: Rules, *, route: Class, caller: Class | None, header: Class | None, stored: Class | None
) -> list[Reason]:
    class_, who = classify(rules, route=route, caller=caller, header=header)
    reasons = [Reason(class_=class_, source=who)]
    for name, value in (("route", route), ("caller", caller), ("header", header), ("conversation", stored)):
        if value is not None and name != who:
            reasons.append(Reason(class_=value, source=name))
    return reasons


def _found(rules: Rules, part: Seen) -> list[Reason]:
    reasons = []
    if part.floor is not None:
        reasons.append(Reason(class_=part.floor, source=part.part, detail="labelled"))
    by_why: dict[tuple[Class, str], list[str]] = {}
    for kind, count in sorted(part.kinds.items()):
        means = rules.kinds.of(kind)
        by_why.setdefault((means.class_, means.why), []).append(kind if count == 1 else f"{kind} ({count})")
    for (class_, why), names in by_why.items():
        told = ", ".join(names[:_TOLD]) + (", …" if len(names) > _TOLD else "")
        reasons.append(Reason(class_=class_, source=part.part, detail=f"{told}: {why}"))
    if part.unknown:
        detail = f"{part.part}: {part.unknown} not readable, which may hold anything"
        reasons.append(Reason(class_=rules.unknown, source="unknown", detail=detail))
    return reasons


def _joint(kinds: Kinds, counts: Mapping[str, int]) -> list[Reason]:
    """What kinds mean together, wherever in the request each of them stands."""
    if not counts:
        return []
    groups = {kind: kinds.of(kind).group for kind in counts}
    present = {*counts, *groups.values()}
    reasons = [
        Reason(class_=item.class_, source=FOUND, detail=f"{' with '.join(item.all)}: {item.why}")
        for item in kinds.together
        if present.issuperset(item.all)
    ]
    people = sum(count for kind, count in counts.items() if groups[kind] in _PEOPLE)
    if kinds.many and people >= kinds.many:
        detail = f"{people} pieces of personal data: a list of people"
        reasons.append(Reason(class_=kinds.many_class, source=FOUND, detail=detail))
    return reasons


def _short(reason: Reason) -> str:
    """``found tw.national_id``: at most one kind, so that equal requests have equal reasons."""
    if reason.source not in PARTS:
        return reason.source
    first = reason.detail.partition(":")[0].partition(",")[0].partition(" (")[0]
    return f"{reason.source} {'many' if first[:1].isdigit() else first}"
