"""A customer's cases: what goes in, what must come out, run through the functions that decide real requests. Pure.

It scans nothing: whoever runs cases brings the scan. Deployments are one invented one for each place that a case
names, so that a case speaks about the policy and not about what happens to be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from nearfar.core.data import decode
from nearfar.core.errors import EgressDenied, NearfarError
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Candidate, Decision, Deployment, Facts, Route
from nearfar.policy.classify import Seen, Verdict, verdict
from nearfar.policy.decide import decide
from nearfar.policy.decide_refusal import refusal
from nearfar.policy.rules import Rules

PLACES = tuple(place.label for place in Place)


class Expect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must come out. Only what is given is compared."""

    class_: str | None = msgspec.field(name="class", default=None)
    furthest: str | None = None
    """The furthest place that the request may reach in any form."""
    place: str | None = None
    """Where it would run first."""
    treatment: dict[str, str] | None = None
    """Place → ``clear``, ``masked``, ``rewritten`` or ``never``."""
    refused: str | bool | None = None
    """The code of the error, or only whether there is one."""
    kinds: tuple[str, ...] | None = None
    """Kinds that must be found, among others."""
    reason: str | None = None
    """Words that one of the reasons must hold."""
    audit: bool | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request."""

    name: str
    text: str | None = None
    body: Any = None
    """A whole request body in any dialect, as text or as a table: what stands in it is read as a gateway reads it,
    earlier answers of a model as history, and images, sounds and documents in it count as such."""
    history: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    tool_results: tuple[str, ...] = ()
    caller: str | None = None
    """The class of the caller's key."""
    header: str | None = None
    """The class that the header says."""
    route: str = ""
    """A route of the configuration, for its class and its harmless values."""
    route_class: str | None = None
    """The route's class; unset: that of ``route``, else public."""
    harmless: tuple[str, ...] = ()
    """The owner's own values, beside those of policy and route."""
    operation: str = "chat"
    purpose: str = "serve"
    needs: tuple[str, ...] = ()
    """``images``, ``audio``, ``documents``, ``tools``, …"""
    elsewhere: tuple[str, ...] = ()
    """``file_id``, ``web_search``, …"""
    strategy: str = "local-first"
    deployments: tuple[str, ...] = PLACES
    """Places in which there is a deployment."""
    masks: bool = True
    """Whether this request can be masked."""
    rewrites: bool = False
    """Whether a near model can rewrite it."""
    guard: str = ""
    """Why a detector failed, to try what happens then."""
    expect: Expect = Expect()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    case: tuple[Case, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a case came to."""

    name: str
    wrong: list[str]
    """What differs from what was expected; empty when nothing does."""
    class_: str = msgspec.field(name="class")
    reasons: list[str]
    furthest: str
    place: str
    """Empty when it would be refused."""
    treatment: dict[str, str]
    refused: str
    """The code of the error; empty when it would be answered."""
    kinds: dict[str, int]
    unknown: int
    harmless: int
    audit: bool

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.wrong


Scan = Callable[[str, str, Sequence[str]], Seen]
"""(part, text, harmless values) → what was seen in it. Raises GuardError when a detector fails."""
Look = Callable[[bytes, Sequence[str], list[str]], Sequence[Seen]]
"""(body, harmless values, paths of media to add to) → what was seen in it. Raises a NearfarError when it cannot."""


def parse(data: bytes, *, json: bool) -> tuple[Case, ...]:
    """The cases of a file, read strictly; ValueError says what is wrong."""
    file = decode(data, _File, "not a file of cases", json=json)
    if not file.case:
        raise ValueError("holds no [[case]]")
    for item in file.case:
        if not any((item.text, item.body, item.history, item.passages, item.tool_results, item.guard)):
            raise ValueError(f"case {item.name!r} has neither text nor body")
        try:
            _check(item)
        except ValueError as error:
            raise ValueError(f"case {item.name!r}: {error}") from error
    return file.case


def _check(case: Case) -> None:
    for text in (case.caller, case.header, case.route_class, case.expect.class_):
        if text is not None:
            Class.parse(text)
    for text in (*case.deployments, case.expect.furthest, case.expect.place, *(case.expect.treatment or ())):
        if text:
            Place.parse(text)
    for text in (case.expect.treatment or {}).values():
        if text != "never":
            Treatment.parse(text)
    if case.strategy not in {"local-only", "local-first", "cloud-first", "cloud-only"}:
        raise ValueError(f"unknown strategy {case.strategy!r}")


def run(
    case: Case, rules: Rules, scan: Scan, *, routes: Mapping[str, Class] | None = None, look: Look | None = None
) -> Outcome:
    """Run one case. ``routes``: the classes of the configured routes. ValueError for a route that is none of them.

    ``look`` reads whole bodies; without it each string of a body is a text by itself.
    """
    known = routes or {}
    if case.route and case.route_class is None and case.route not in known:
        raise ValueError(f"case {case.name!r}: there is no route {case.route!r}: give route_class, or configure it")
    floor = Class.parse(case.route_class) if case.route_class else known.get(case.route, Class.PUBLIC)
    harmless = (*rules.harmless_on(case.route), *case.harmless)
    media: list[str] = []
    seen, guard = _seen(case, scan, look, harmless, media)
    found = verdict(
        rules,
        route=floor,
        caller=None if case.caller is None else Class.parse(case.caller),
        header=None if case.header is None else Class.parse(case.header),
        seen=seen,
        guard=guard,
    )
    decision = _decide(case, rules, found, frozenset(map(_need, media)))
    return _outcome(case, rules, found, decision)


def strings(value: object) -> list[str]:
    """Every string in a JSON value, keys included, in order."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            for key, inner in reversed(item.items()):
                waiting += [inner, key]
        elif isinstance(item, list | tuple):
            waiting += reversed(item)
    return found


def _need(path: str) -> str:
    """What a request needs that carries what stands at ``path`` and is no text."""
    for word, need in (("audio", "audio"), ("video", "video"), ("file", "documents"), ("document", "documents")):
        if word in path.lower():
            return need
    return "images"


def _seen(
    case: Case, scan: Scan, look: Look | None, harmless: Sequence[str], media: list[str]
) -> tuple[list[Seen], str]:
    texts = [("found", case.text)] if case.text else []
    whole = b""
    if case.body is not None and look is not None:
        whole = case.body.encode() if isinstance(case.body, str) else msgspec.json.encode(case.body)
    elif case.body is not None:
        body = msgspec.json.decode(case.body) if isinstance(case.body, str) else case.body
        texts += [("found", text) for text in strings(body)]
    texts += [("history", text) for text in case.history]
    texts += [("passage", text) for text in case.passages]
    texts += [("tool", text) for text in case.tool_results]
    try:
        seen = [] if look is None or not whole else list(look(whole, harmless, media))
        # What lies elsewhere is content that nobody could read, here as in the gateway.
        unread = [Seen(unknown=len(case.elsewhere))] if case.elsewhere else []
        return [*seen, *(scan(part, text, harmless) for part, text in texts), *unread], case.guard
    except NearfarError as error:
        return [], error.message


def _decide(case: Case, rules: Rules, found: Verdict, carried: frozenset[str]) -> Decision:
    able = Treatment.REWRITTEN if case.rewrites and case.masks else Treatment.MASKED if case.masks else Treatment.CLEAR
    able = Treatment.CLEAR if case.elsewhere else able
    operations = frozenset({case.operation})
    deployments = [
        Deployment(
            name=place,
            provider="case",
            model="case",
            wire="case",
            base_url="",
            place=Place.parse(place),
            operations=operations,
        )
        for place in case.deployments
    ]
    facts = Facts(
        operation=case.operation,
        class_=found.class_,
        class_reason=found.reason,
        purpose=case.purpose,
        input_tokens=0,
        max_output=None,
        needs=carried.union(case.needs),
        stream=False,
        reasons=found.reasons,
        elsewhere=frozenset(case.elsewhere),
        guard=found.guard,
        able=able,
    )
    route = Route(name=case.route or "case", strategy=case.strategy, deployments=case.deployments)
    return decide(facts, route, [Candidate(deployment=item) for item in deployments], rules, decision_id="dec-case")


def _outcome(case: Case, rules: Rules, found: Verdict, decision: Decision) -> Outcome:
    treatment = dict.fromkeys(case.deployments, "never")
    for ranked in decision.ranked:
        treatment[ranked.candidate.deployment.name] = ranked.treatment.label
    error = refusal(decision)
    code = "" if decision.ranked else error.code if error is not None else EgressDenied.default_code
    made = Outcome(
        name=case.name,
        wrong=[],
        class_=found.class_.label,
        reasons=[f"{item.class_.label}: {item.text}" for item in found.reasons],
        furthest=decision.furthest.label,
        place=decision.ranked[0].candidate.deployment.name if decision.ranked else "",
        treatment=treatment,
        refused=code,
        kinds=found.kinds,
        unknown=found.unknown,
        harmless=found.harmless,
        audit=rules.audited(found.class_),
    )
    return msgspec.structs.replace(made, wrong=_wrong(case.expect, made))


def _wrong(expect: Expect, made: Outcome) -> list[str]:
    wrong = []
    for name in ("class_", "furthest", "place", "audit"):
        wanted = getattr(expect, name)
        if wanted is not None and wanted != getattr(made, name):
            wrong.append(f"{name.rstrip('_')} is {getattr(made, name) or 'nowhere'}, not {wanted}")
    for place, form in (expect.treatment or {}).items():
        got = made.treatment.get(place, "never")
        if got != form:
            wrong.append(f"treatment at {place} is {got}, not {form}")
    if isinstance(expect.refused, bool):
        if expect.refused != bool(made.refused):
            wrong.append(f"is refused ({made.refused})" if made.refused else "is not refused")
    elif expect.refused is not None and expect.refused != made.refused:
        wrong.append(f"is refused with {made.refused or 'nothing'}, not {expect.refused}")
    wrong += [f"{kind} was not found" for kind in expect.kinds or () if kind not in made.kinds]
    if expect.reason is not None and not any(expect.reason in reason for reason in made.reasons):
        wrong.append(f"no reason says {expect.reason!r}")
    return wrong
