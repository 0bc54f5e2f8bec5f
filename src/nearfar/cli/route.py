"""``nearfar route``: what can be asked for, and where a request would run; decided as the request itself would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.question import ClassName, MaxTokens, System, asking, message, read_stdin
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of
from nearfar.core.errors import InternalServerError
from nearfar.core.money import usd
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the gateway's room is only needed when the command runs
    from nearfar.core.chat import Request
    from nearfar.core.routing import Capability, Decision
    from nearfar.gateway.load import Known
    from nearfar.policy.classify import Seen

    _Known = Mapping[str, Mapping[str, Capability]]

app = typer.Typer(no_args_is_help=True, help="What can be asked for, and where it would run.")


class _Behind(msgspec.Struct, frozen=True):
    """A deployment behind a name."""

    name: str
    place: str
    usable: bool = True
    code: str = ""
    trouble: str = ""


class _More(msgspec.Struct, frozen=True):
    strategy: str = ""
    deployments: list[_Behind] = []


class _Listed(msgspec.Struct, frozen=True):
    """A row of GET /v1/models."""

    id: str
    nearfar: _More = _More()


@app.command("ls")
def ls(
    ctx: typer.Context,
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List every name that can be asked for: routes and deployments, where each runs, and what cannot be used.

    A running gateway says what it knows; without one, nearfar looks at this machine itself.
    """
    import asyncio

    from nearfar.cli.session import running_gateway

    loaded = of(ctx).load(config, sets)
    gateway = running_gateway(loaded, url)
    raw = gateway.get("/v1/models")["data"] if gateway is not None else asyncio.run(listed(loaded))
    where = gateway.url if gateway is not None else "this process"
    try:
        rows = msgspec.convert(raw, list[_Listed])
    except msgspec.ValidationError as error:
        raise InternalServerError(f"{where} lists its models in a form this release does not know: {error}.") from error
    if json:
        output.json({"answered_at": where, "routes": [{"name": row["id"], **row["nearfar"]} for row in raw]})
    elif quiet:
        for row in rows:
            output.line(row.id)
    else:
        table = [(row.id, _usable(row), row.nearfar.strategy, _runs(row)) for row in rows]
        output.table(("NAME", "USABLE", "STRATEGY", "RUNS"), table, drop=("STRATEGY",), flow=("RUNS",))
        for trouble in _troubles(rows):
            output.note(trouble)


async def listed(loaded: Loaded) -> list[dict[str, Any]]:
    """What ``GET /v1/models`` of a gateway started here would list."""
    from nearfar.cli import look
    from nearfar.server.models import described as row

    async with look.gateway(loaded) as gateway:
        await gateway.fleet.refresh()
        return [msgspec.to_builtins(row(route, gateway)) for route in gateway.fleet.snapshot.routes.values()]


def _members(row: _Listed) -> list[_Behind]:
    """What is behind the name, without what its strategy leaves out anyway, whatever else could be said of it."""
    from nearfar.policy.strategies import STRATEGIES

    known = STRATEGIES.get(row.nearfar.strategy)
    side = "" if known is None else known.keep
    return [item for item in row.nearfar.deployments if item.code != "strategy" and side in ("", _side(item))]


def _side(item: _Behind) -> str:
    from nearfar.core.places import Place

    return "near" if Place.parse(item.place).near else "far"


def _usable(row: _Listed) -> str:
    members = _members(row)
    usable = sum(item.usable for item in members)
    if usable == 0:
        return "no"
    return "yes" if usable == len(members) else f"{usable} of {len(members)}"


def _runs(row: _Listed) -> str:
    """Where it runs, and by which deployments if that is not the name itself."""
    members = _members(row)
    if [item.name for item in members] == [row.id]:
        return members[0].place
    told = [f"{item.name} ({item.place}{'' if item.usable else ', unusable'})" for item in members]
    return ", ".join(told) or "nowhere yet"


def _troubles(rows: Sequence[_Listed]) -> list[str]:
    return sorted({f"{item.name}: {item.trouble}" for row in rows for item in _members(row) if not item.usable})


@app.command("explain")
def explain(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="The question; without it, or with -, standard input.")] = "-",
    model: Annotated[str, typer.Option("--model", "-m", help="What a client would ask for.")] = "auto",
    system: System = "",
    max_tokens: MaxTokens = None,
    class_: ClassName = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say where a question would run, in which order, and why not elsewhere. Nothing is sent.

    A running gateway's speeds and queues count, its cool-downs do not: `nearfar ps` shows those.
    """
    import asyncio

    from nearfar.cli import route_expected

    loaded = of(ctx).load(config, sets)
    put = asking(model, system=system, max_tokens=max_tokens, class_=class_)
    text = read_stdin('nearfar route explain "…"') if prompt == "-" else prompt
    body = put.body([message("user", text)])
    measured, where = route_expected.learned(loaded)
    found = asyncio.run(_decide(loaded, msgspec.json.encode(body), class_, measured))
    asked, decision, capabilities = found.asked, found.decision, found.capabilities
    if json:
        told = described(asked, decision, capabilities, found.seen)
        tried = None if found.observed is None else described(asked, found.observed, capabilities, found.watched)
        output.json({**told, "observed": tried})
    elif quiet:
        for item in decision.ranked:
            output.line(item.candidate.deployment.name)
    else:
        _print(asked, decision)
        route_expected.show(decision.ranked, where)
        _forms(decision, found.seen, found.rewriter)
        if found.observed is not None:
            output.line()
            output.line(f"Policy {found.observed.policy} is only observed and NOT ENFORCED. It would say:")
            _print(asked, found.observed)
            _forms(found.observed, found.watched, found.rewriter)
        for name, known in capabilities.items():
            if lacking := [what for what, item in known.items() if item.can is False and item.source == "probed"]:
                date = max(known[what].date for what in lacking)
                output.note(f"{name}: no {', no '.join(lacking)} (probed {date}); `providers forget` removes that.")
    if not decision.ranked:
        raise typer.Exit(1)


class _Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision over one question came to."""

    asked: Request
    decision: Decision
    capabilities: _Known
    seen: tuple[Seen, ...]
    observed: Decision | None
    """What a policy that is only tried out would say; None where none is."""
    watched: tuple[Seen, ...]
    rewriter: str


async def _decide(loaded: Loaded, body: bytes, class_: str, measured: Sequence[Known]) -> _Explained:
    from nearfar.cli import look, route_expected
    from nearfar.core.places import Class
    from nearfar.gateway import probed
    from nearfar.gateway.decider import Said
    from nearfar.policy import presets
    from nearfar.wire.openai_chat import CLIENT

    async with look.gateway(loaded) as gateway:
        asked = CLIENT.parse(body, "req-explain")
        route = await gateway.fleet.find(asked.model)
        route_expected.believe(gateway, measured)
        told = Said(header=Class.parse(class_) if class_ else None)
        said = await gateway.pipeline.look(asked, route, told)
        decision, snapshot = gateway.decider.decide(asked, route, said)
        if gateway.routers is not None:
            decision, snapshot = await gateway.routers.decide(asked, route, said, decision, snapshot)
        decision = gateway.decider.expected(asked, decision, snapshot)
        observed, watched = None, told
        if gateway.observer is not None:
            observed, watched = await gateway.observer.decide(asked, route, told, decision.lean)
        behind = [item.deployment for item in gateway.fleet.candidates(route, snapshot)]
        return _Explained(
            asked=asked,
            decision=decision,
            capabilities={item.name: probed.known(item, asked.needs) for item in behind},
            seen=said.seen,
            observed=observed,
            watched=watched.seen,
            rewriter=presets.rules(loaded.settings).rewriter,
        )


def described(asked: Request, decision: Decision, capabilities: _Known, seen: Sequence[Seen] = ()) -> dict[str, object]:
    """The decision as one stable object; money is in nano-USD, an upper bound.

    ``capabilities``: by deployment, what was probed or declared, and what the request needs. ``seen``: what was found
    in its content, of which masks would be made.
    """
    from nearfar.cli import route_expected
    from nearfar.policy.classify import totals

    kinds, unknown, harmless = totals(seen)
    from nearfar.core.money import upper_bound
    from nearfar.gateway.outgoing import output_limit

    ranked = []
    for item in decision.ranked:
        deployment = item.candidate.deployment
        ranked.append(
            {
                "deployment": deployment.name,
                "provider": deployment.provider,
                "model": deployment.model,
                "place": deployment.place.label,
                "place_source": deployment.place_source,
                "state": item.candidate.state,
                "reason": item.reason,
                "treatment": item.treatment.label,
                "expected": route_expected.described(item.expected),
                "price": deployment.price.id if deployment.price else "",
                "upper_bound": upper_bound(deployment.price, asked.input_tokens, output_limit(asked, deployment)),
            }
        )
    return {
        "asked": asked.model,
        "route": decision.route,
        "strategy": decision.strategy,
        "policy": decision.policy,
        "policy_version": decision.policy_version,
        "class": decision.class_.label,
        "class_reason": decision.class_reason,
        "audit": decision.audit,
        "found": {"kinds": kinds, "unknown": unknown, "harmless": harmless},
        "reasons": [{"class": reason.class_.label, "reason": reason.text} for reason in decision.reasons],
        "furthest": decision.furthest.label,
        "input_tokens_estimate": asked.input_tokens,
        "ranked": ranked,
        "rejected": decision.rejected,
        "router": decision.lean,
        "capabilities": capabilities,
    }


def _forms(decision: Decision, seen: Sequence[Seen], rewriter: str) -> None:
    """What would be done to the content for whom: kinds and how often they stand there, never a value."""
    from nearfar.core.places import Treatment
    from nearfar.policy.classify import totals

    kinds = ", ".join(f"{kind} ({count})" for kind, count in totals(seen)[0].items()) or "nothing was found"
    for form, how in (
        (Treatment.MASKED, "masked before it leaves"),
        (Treatment.REWRITTEN, f"rewritten by a near model of route {rewriter}, without"),
    ):
        names = [item.candidate.deployment.name for item in decision.ranked if item.treatment is form]
        if names:
            output.line(f"for {', '.join(names)}: {how}: {kinds}")


def _print(asked: Request, decision: Decision) -> None:
    from nearfar.core.money import upper_bound
    from nearfar.gateway.outgoing import output_limit
    from nearfar.policy import lean

    output.line(
        f"{asked.model} → route {decision.route}, {decision.strategy}; "
        f"class {decision.class_.label} (by {decision.class_reason}) may go as far as {decision.furthest.label}; "
        f"about {asked.input_tokens} tokens of prompt"
    )
    for reason in decision.reasons:
        output.line(f"  {reason.class_.label}: {reason.text}")
    if decision.lean is not None:
        output.line(f"  {lean.told(decision.lean)}")
    if decision.audit:
        output.line("  a record must be on the disk before anything leaves for beyond the local network")
    rows: list[tuple[object, ...]] = []
    for number, item in enumerate(decision.ranked, 1):
        deployment = item.candidate.deployment
        bound = upper_bound(deployment.price, asked.input_tokens, output_limit(asked, deployment))
        where = f"{deployment.place.label} ({deployment.place_source})"
        rows.append((number, deployment.name, where, f"at most {usd(bound)}" if bound else usd(bound), item.reason))
    rows += [("-", item.deployment, "", "", f"no: {item.reason}") for item in decision.rejected]
    output.table(("", "DEPLOYMENT", "PLACE", "COST", "WHY"), rows, drop=("COST",), flow=("WHY",))
    if not decision.ranked:
        output.note("Nothing may be tried. `nearfar route ls` lists what there is.")
