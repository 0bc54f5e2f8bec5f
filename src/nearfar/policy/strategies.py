"""Strategies as data: which side may answer, and by what candidates are ordered. Pure; it knows no request's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from nearfar.core.routing import Candidate, Facts, Route

LONG = 2.0
"""Seconds of loading that are worth answering elsewhere for; a smaller model is simply waited for."""
UNKNOWN = float("inf")


class Outlook(msgspec.Struct, frozen=True):
    """What is expected of one candidate, as far as an order needs it."""

    wait: float = 0.0
    """Seconds until it begins, seldom more."""
    seconds: float = 0.0
    """Until the first content of a stream, or the end of a plain reply."""
    saved: float = 0.0
    """Seconds that a prompt in its cache would save."""
    price: float = UNKNOWN
    """Nano-USD for this request."""
    first: float = 0.0
    """Seconds until the first content, seldom more: also of a plain reply, which is not seen before its end."""


NOTHING = Outlook()
Column = Callable[[Facts, Route, Sequence[Candidate], Sequence[Outlook]], list[float]]
"""A column of the order, a value for each candidate: smaller goes first."""


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """One way to order candidates."""

    about: str
    keep: str = ""
    """``near`` or ``far``: the other side is excluded."""
    order: tuple[str, ...] = ("near",)
    """Names of columns, the most important first. What is equal in all of them stays in the configured order."""
    shared: bool = False
    """Whether any deployment of one side may answer, so that whichever has a free slot does."""
    branch: str = ""
    """What happens to the share of traffic that the route's ``branch`` names, if it names one: ``first`` or ``shadow``.
    """


STRATEGIES: dict[str, Strategy] = {
    "local-only": Strategy(about="Near deployments alone.", keep="near", shared=True),
    "local-first": Strategy(about="Near ones first, the others behind them.", shared=True),
    "cloud-first": Strategy(about="Far ones first, near ones behind them.", order=("far",), shared=True),
    "cloud-only": Strategy(about="Far deployments alone.", keep="far", order=("far",), shared=True),
    "cheapest": Strategy(
        about="Whatever costs least for this request; unknown prices last, equal ones by speed.",
        order=("price", "seconds", "near"),
    ),
    "fastest": Strategy(
        about="Whoever is expected to answer soonest: queue, loading, prompt and answer counted.",
        order=("seconds", "near"),
        shared=True,
    ),
    "quality": Strategy(about="The best first, as their owner rates them.", order=("quality",)),
    "cascade": Strategy(about="Near first, to be judged before others are asked.", branch="shadow"),
    "weighted": Strategy(about="Drawn by weight, the others behind by weight.", order=("drawn", "weight")),
    "canary": Strategy(
        about="In the configured order, but a share of traffic asks another one first.",
        order=("branch",),
        branch="first",
    ),
    "shadow": Strategy(
        about="In the configured order; a share of traffic is asked again, unseen, elsewhere.",
        order=("aside",),
        branch="shadow",
    ),
}
"""By the name that configuration uses."""


def of(route: Route) -> Strategy:
    """The strategy of ``route``."""
    return STRATEGIES[route.strategy]


def hurries(route: Route) -> bool:
    """Whether what is expected of both sides is compared, so that ``spill_after`` is by how much near may be later."""
    return of(route).order[0] == "seconds"


def live(route: Route) -> bool:
    """Whether its order depends on what is under way at this moment."""
    return route.balance == "wait" or route.spill_after is not None or "seconds" in of(route).order


def varies(route: Route) -> bool:
    """Whether two requests that ask for the same may be ordered differently while nothing in the fleet changes."""
    strategy = of(route)
    return route.affinity or bool(strategy.branch) or live(route) or not _PER_REQUEST.isdisjoint(strategy.order)


def far_first(route: Route) -> bool:
    """Whether far deployments go before near ones."""
    return "far" in of(route).order


def is_passed_over(route: Route, candidate: Candidate) -> bool:
    """Whether others go first because the candidate's model would take long to load: it may be warmed meanwhile."""
    return candidate.wait > LONG and route.cold == "warm"


def arrange(
    facts: Facts, route: Route, allowed: Sequence[Candidate], outlooks: Mapping[str, Outlook]
) -> list[Candidate]:
    """``allowed``, best first; see ``order``."""
    return [allowed[number] for number in order(facts, route, allowed, outlooks)]


def order(
    facts: Facts,
    route: Route,
    allowed: Sequence[Candidate],
    outlooks: Mapping[str, Outlook],
    *,
    calm: bool = False,
    names: Sequence[str] | None = None,
) -> list[int]:
    """Where the best of ``allowed`` stands, the second best, and so on. What cools down goes last, the soonest ready
    first; before it what would take long to load.

    ``outlooks``: by deployment; nothing is expected of those that are not in it. ``calm``: nobody rests or is loaded.
    ``names``: of the deployments of ``allowed``, where they are at hand.
    """
    numbers = list(range(len(allowed)))
    if len(numbers) < 2:
        return numbers
    if outlooks:
        get = outlooks.get
        expected = [get(name, NOTHING) for name in names or [c.deployment.name for c in allowed]]
    else:
        expected = [NOTHING] * len(allowed)
    columns: list[list[float]] = []
    if not calm:
        columns.append([c.cooling for c in allowed])
        columns.append([is_passed_over(route, c) for c in allowed])
    lean = None if facts.lean is None or not facts.lean.follows else facts.lean
    if route.spill_after is not None and (lean is not None or not hurries(route)):
        columns += _late(route.spill_after, allowed, expected)
    if lean is not None:
        # Above the strategy, below who can answer at all: a router chooses among those that are well.
        columns.append([c.deployment.place.near is not (lean.side == "near") for c in allowed])
    at_home = _home(facts, route, allowed) if route.affinity and facts.conversation else -1
    if at_home >= 0:
        # It is left only for one that answers in less than half the time, its cache counted.
        mine = expected[at_home]
        expected[at_home] = Outlook(mine.wait, mine.seconds / 2 - mine.saved, 0.0, mine.price, mine.first)
    for name in of(route).order:
        column = COLUMNS[name](facts, route, allowed, expected)
        columns.append(column)
        if name == "seconds" and len(set(column)) == len(column):
            break  # no two are equal: what comes after it decides nothing
    else:
        columns += _last(route, expected, at_home)
    # Sorting is stable: by the last column first, by the most important one at the end.
    for column in reversed(columns):
        numbers.sort(key=column.__getitem__)
    return numbers


def _late(patience: float, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[list[float]]:
    """Whose first content would come later than ``patience`` and than somebody else's: they go behind."""
    firsts = [outlook.first for outlook in expected]
    if max(firsts) <= patience:
        return []
    awake = [first for first, c in zip(firsts, allowed, strict=True) if not c.cooling]
    bound = max(patience, min(awake, default=patience))
    return [[first > bound for first in firsts]]


def _last(route: Route, expected: Sequence[Outlook], at_home: int) -> list[list[float]]:
    """What decides between those that the strategy has nothing to choose between."""
    if route.balance == "wait":
        return [[outlook.seconds for outlook in expected]]
    return [[number != at_home for number in range(len(expected))]] if at_home >= 0 else []


def _near(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    return [c.deployment.place for c in allowed]


def _far(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    return [-c.deployment.place for c in allowed]


def _price(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    return [outlook.price for outlook in expected]


def _seconds(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    late = route.spill_after
    if late and hurries(route):
        return [
            o.seconds if c.deployment.place.near else o.seconds + late for c, o in zip(allowed, expected, strict=True)
        ]
    return [outlook.seconds for outlook in expected]


def _quality(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    rated = [c.deployment.quality for c in allowed]
    return [UNKNOWN if quality is None else -quality for quality in rated]


def _drawn(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    """The one that the draw falls on, among those that may be tried."""
    weights = _weights(route, allowed)
    point = facts.draw * sum(weights)
    chosen = len(weights) - 1
    for number, weight in enumerate(weights):
        point -= weight
        if point < 0:
            chosen = number
            break
    return [number != chosen for number in range(len(weights))]


def _weight(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    return [-weight for weight in _weights(route, allowed)]


def _weights(route: Route, allowed: Sequence[Candidate]) -> list[float]:
    """Whoever rests is not drawn."""
    if not route.weights:
        return [0.0 if c.cooling else 1.0 for c in allowed]
    get = route.weights.get
    return [0.0 if c.cooling else max(0.0, get(c.deployment.name, 1.0)) for c in allowed]


def _branch(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    """The deployment of the branch goes first for its share of traffic, and last for all other."""
    branch = route.branch
    if branch is None:
        return [0] * len(allowed)
    turn = -1 if facts.draw < branch.share else 1
    return [turn if c.deployment.name == branch.deployment else 0 for c in allowed]


def _aside(facts: Facts, route: Route, allowed: Sequence[Candidate], expected: Sequence[Outlook]) -> list[float]:  # noqa: ARG001  the columns share one shape
    """Who is asked in the shadow answers clients last of all."""
    aside = "" if route.branch is None else route.branch.deployment
    return [c.deployment.name == aside for c in allowed]


COLUMNS: dict[str, Column] = {
    "near": _near,
    "far": _far,
    "price": _price,
    "seconds": _seconds,
    "quality": _quality,
    "drawn": _drawn,
    "weight": _weight,
    "branch": _branch,
    "aside": _aside,
}
_PER_REQUEST = frozenset({"price", "seconds", "drawn"})


def _home(facts: Facts, route: Route, allowed: Sequence[Candidate]) -> int:
    """Where the conversation is at home, among those of the side that goes first; -1 where all rest.

    It is the same place wherever it is worked out, and when a deployment comes or goes most conversations keep theirs
    (highest random weight).
    """
    well = [number for number, c in enumerate(allowed) if not c.cooling and not is_passed_over(route, c)]
    if not well:
        return -1
    lean = facts.lean
    if lean is not None and lean.follows:
        near = lean.side == "near"
        well = [number for number in well if allowed[number].deployment.place.near is near] or well
    if of(route).order[0] in {"near", "far"}:
        sign = -1 if far_first(route) else 1
        first = min(sign * allowed[number].deployment.place for number in well)
        well = [number for number in well if sign * allowed[number].deployment.place == first]
    return max(well, key=lambda number: _mix(facts.conversation, allowed[number].deployment.name))


_ODD = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def _mix(conversation: int, name: str) -> int:
    mixed = conversation ^ int.from_bytes(name.encode()[-8:], "big")
    for letter in (len(name), *name.encode()[:-8]):
        mixed = (mixed ^ letter) * _ODD & _MASK
    mixed = (mixed ^ mixed >> 29) * _ODD & _MASK
    return mixed ^ mixed >> 32
