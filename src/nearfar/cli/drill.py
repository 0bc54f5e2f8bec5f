"""``nearfar drill``: rehearses on a copy of the owner's configuration what would happen if a side failed.

Nothing of a running gateway is touched, and nothing leaves this machine: every deployment is played by a stand-in.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Sets, of

if TYPE_CHECKING:  # the stage is only needed when the command runs
    from nearfar.cli.drill_stage import Behind, Reply
    from nearfar.core.routing import Deployment, Route
    from nearfar.settings.load import Loaded

ROUNDS = 3
"""Every question is asked so often: the first one meets the failure, the later ones what was learned from it."""
RETRY_AFTER = 20
"""Seconds that the cloud of the scenario ``429`` asks to be left alone."""


class Scenario(enum.StrEnum):
    """What is rehearsed."""

    CLOUD_DOWN = "cloud-down"
    LOCAL_DOWN = "local-down"
    SLOW = "slow"
    LIMIT = "429"
    ALL = "all"


TITLES = {
    Scenario.CLOUD_DOWN: "nothing beyond the local network answers",
    Scenario.LOCAL_DOWN: "nothing on this machine and the local network answers",
    Scenario.SLOW: "whoever is asked first takes {slow:g} s to begin",
    Scenario.LIMIT: f"every cloud refuses with 429 and asks for {RETRY_AFTER} s",
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one class in one scenario."""

    scenario: str
    class_: str = msgspec.field(name="class")
    usually: str
    """Who answers on a usual day, or why nobody does."""
    now: str
    result: str
    """``answered``, ``refused`` (as on a usual day), ``lost`` (answered on a usual day alone) or ``WRONG``."""
    attempts: int
    """The most that one request took, and the longest it took, in milliseconds."""
    milliseconds: float
    told: tuple[str, ...] = ()
    """What the replies said of failovers and retries."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen."""

    route: str
    policy: str
    strategy: str
    left_out: list[str]
    """Deployments that cannot be called today either, each with why."""
    requests: int
    rows: list[Row]
    ok: bool


def drill(
    ctx: typer.Context,
    scenario: Annotated[Scenario, typer.Argument(help="What is rehearsed; all for one after the other.")],
    route: Annotated[str, typer.Option("--route", "-r", metavar="ROUTE", help="What clients ask for.")] = "auto",
    slow: Annotated[float, typer.Option("--slow", min=0.1, help="Seconds for the scenario slow.")] = 3.0,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Rehearse a failure on a copy of your configuration, and see who would answer. Exits with 1 if somebody would not.

    A gateway of its own takes your policy, route, retries and deadlines. Its deployments are stand-ins at your places:
    no key is read, nothing is sent beyond this machine, and a running gateway does not notice.
    """
    loaded = of(ctx).load(config, sets)
    import asyncio

    found, behind, left_out = asyncio.run(_route(loaded, route))
    if not behind:
        why = "; ".join(left_out) or "there is no deployment behind it"
        raise UsageError(f"Route {route!r} cannot be rehearsed: {why}.", hint="`nearfar route ls` shows what is there.")
    wanted = [item for item in TITLES if scenario in {Scenario.ALL, item}]
    output.progress("usual day")
    usual = play(ctx, loaded, found, [_well(item) for item in behind])
    rows: list[Row] = []
    requests = len(usual)
    for item in wanted:
        output.progress(TITLES[item].format(slow=slow))
        replies = play(ctx, loaded, found, struck(item, found, behind, slow=slow))
        requests += len(replies)
        rows += judged(item, usual, replies)
    report = Report(
        route=found.name,
        policy=loaded.settings.policy.preset,
        strategy=found.strategy,
        left_out=left_out,
        requests=requests,
        rows=rows,
        ok=all(row.result in {"answered", "refused"} for row in rows),
    )
    if json:
        output.json(report)
    else:
        tell(report, slow)
    if not report.ok:
        raise typer.Exit(1)


async def _route(loaded: Loaded, name: str) -> tuple[Route, list[Deployment], list[str]]:
    """The route as a gateway here would have it: its deployments, and those that cannot be called, with why."""
    from nearfar.cli import look

    async with look.gateway(loaded) as gateway:
        route = await gateway.fleet.find(name)
        snapshot = gateway.fleet.snapshot
    behind = [snapshot.targets[item].deployment for item in route.deployments if item in snapshot.targets]
    missing = [item for item in route.deployments if item in snapshot.unusable]
    chat = [item for item in behind if "chat" in item.operations]
    return route, chat, [f"{item}: {snapshot.unusable[item].trouble}" for item in missing]


def play(ctx: typer.Context, loaded: Loaded, route: Route, behind: Sequence[Behind]) -> list[Reply]:
    """Ask in every class, in streams and without, ``ROUNDS`` times."""
    from nearfar.cli.drill_stage import CLASSES, ask, gateway

    with gateway(of(ctx).environ, loaded.settings, route, behind) as url:
        return [
            ask(url, route.name, class_, stream=stream)
            for _ in range(ROUNDS)
            for class_ in CLASSES
            for stream in (False, True)
        ]


def _well(deployment: Deployment) -> Behind:
    from nearfar.cli.drill_stage import Behind

    return Behind(deployment=deployment, behaviour={})


def struck(scenario: Scenario, route: Route, behind: Sequence[Deployment], *, slow: float) -> list[Behind]:
    """The deployments with what the scenario does to them."""
    from nearfar.cli.drill_stage import Behind

    # The side that the strategy asks first: the near one, unless it says otherwise or there is none.
    near_first = not route.strategy.startswith("cloud")
    sides = {item.place.near for item in behind}
    first = near_first if near_first in sides else not near_first
    made = []
    for item in behind:
        behaviour: dict[str, Any] | None = {}
        near = item.place.near
        if scenario is Scenario.SLOW and near is first:
            behaviour = {"first_byte_ms": slow * 1000}
        elif scenario is Scenario.LIMIT and not near:
            behaviour = {"mode": "429", "retry_after": RETRY_AFTER}
        elif (scenario is Scenario.CLOUD_DOWN and not near) or (scenario is Scenario.LOCAL_DOWN and near):
            behaviour = None
        made.append(Behind(deployment=item, behaviour=behaviour))
    return made


def judged(scenario: Scenario, usual: Sequence[Reply], replies: Sequence[Reply]) -> list[Row]:
    """One row for each class."""
    rows = []
    for class_ in dict.fromkeys(reply.class_ for reply in replies):
        before = [reply for reply in usual if reply.class_ == class_]
        now = [reply for reply in replies if reply.class_ == class_]
        answered, answers = _answered(now), _answered(before)
        if any(wrong(reply) for reply in now):
            result = "WRONG"
        elif answered:
            result = "answered"
        else:
            result = "lost" if answers else "refused"
        rows.append(
            Row(
                scenario=scenario.value,
                class_=class_,
                usually=who(before),
                now=who(now),
                result=result,
                attempts=max(reply.attempts for reply in now),
                milliseconds=round(max(reply.milliseconds for reply in now), 1),
                told=tuple(dict.fromkeys(item for reply in now for item in reply.deviations)),
            )
        )
    return rows


def _answered(replies: Sequence[Reply]) -> bool:
    return all(reply.status == 200 and reply.whole for reply in replies)


def wrong(reply: Reply) -> bool:
    """Whether it is neither an answer nor an honest error: no reply at all, or one that ends as if it were whole."""
    if reply.status == 200:
        return (not reply.whole and not reply.error) or (reply.whole and not reply.text)
    return not reply.error or reply.error == "no_reply"


def who(replies: Sequence[Reply]) -> str:
    """Who answered, or with what they were refused, without repeating anybody."""
    told = [f"{reply.deployment} ({reply.place})" if reply.whole else reply.error or "nothing" for reply in replies]
    return ", ".join(dict.fromkeys(told))


def tell(report: Report, slow: float) -> None:
    """A table for each scenario."""
    output.line(f"Route {report.route} ({report.strategy}), policy {report.policy}; all deployments are stand-ins.")
    for item in report.left_out:
        output.note(f"left out, for it cannot be called today either: {item}")
    for scenario, title in TITLES.items():
        rows = [row for row in report.rows if row.scenario == scenario]
        if not rows:
            continue
        output.line()
        output.line(f"{scenario.value}: {title.format(slow=slow)}")
        cells = [
            (row.result, row.class_, row.usually, row.now, row.attempts, f"{row.milliseconds:,.0f}") for row in rows
        ]
        output.table(("", "CLASS", "USUALLY", "NOW", "TRIES", "MS"), cells, drop=("TRIES",), flow=("USUALLY", "NOW"))
    lost = [row for row in report.rows if row.result == "lost"]
    output.line()
    if report.ok:
        output.line(f"{report.requests} requests: all that is answered on a usual day would be answered.")
    elif lost:
        told = ", ".join(dict.fromkeys(f"{row.class_} ({row.scenario})" for row in lost))
        output.line(f"Would not be answered: {told}. `nearfar route explain --class CLASS` says why.")
    else:
        output.line("Some replies were neither answers nor errors: that is a fault of nearfar's. Please report it.")
