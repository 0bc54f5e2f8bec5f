"""``nearfar providers``: which systems are known, which answer on this machine, and whether a deployment works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of
from nearfar.core.places import Place
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # these rooms are only needed when a command runs
    from nearfar.cli.trial import Trial
    from nearfar.core.routing import Deployment
    from nearfar.providers.base import Found, Provider

app = typer.Typer(no_args_is_help=True, help="Systems that serve models: list them, find running ones, try one.")


@app.command("ls")
def ls(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """List the providers nearfar knows, and whether each has a key in the environment."""
    from nearfar import build
    from nearfar.providers import registry

    loaded = of(ctx).load(config, sets)
    environ = loaded.environ
    known = registry.load_all()
    findings = build.findings(loaded)()
    if json:
        output.json(
            {
                "providers": [
                    {
                        "name": item.name,
                        "title": item.title,
                        "place": item.place.label,
                        "wire": item.wire,
                        "embeddings_wire": item.embeddings_wire,
                        "wires": _wires(item),
                        "operations": sorted(_wires(item)),
                        "base_url": item.base_url,
                        "options": item.options,
                        "key_env": item.key_env,
                        "key_found": list(environ.present(item.key_env)),
                        "ports": item.ports,
                        "default_models": item.default_models,
                        "capabilities": item.capabilities,
                        "evidence": {"label": item.evidence.label, "what": item.evidence.what},
                    }
                    for item in known.values()
                ],
                "probed": findings,
            }
        )
        return
    if quiet:
        for name in known:
            output.line(name)
        return
    rows = []
    for item in known.values():
        found = environ.present(item.key_env)
        key = f"{found[0]} found" if found else _key(item)
        # A loopback address proves nothing; the runtime's own word about its weights does.
        place = "device if proven" if item.tells_weights else item.place.label
        rows.append((item.name, item.title, place, item.evidence.label, item.base_url, key))
    output.table(
        ("NAME", "SYSTEM", "PLACE", "EVIDENCE", "ADDRESS", "KEY"), rows, drop=("ADDRESS", "SYSTEM"), flow=("KEY",)
    )
    for name in dict.fromkeys(item.deployment for item in findings):
        date = max(item.date for item in findings if item.deployment == name)
        output.note(f"Deployment {name} was probed on {date}: --json shows it, `nearfar providers forget` removes it.")


@app.command("forget")
def forget(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="A deployment, as `providers test` was given it.")],
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove what `providers test` found out about a deployment. Its provider's record counts again."""
    import contextlib

    from nearfar import build
    from nearfar.store import capabilities
    from nearfar.store.database import connect

    loaded = of(ctx).load(config, sets)
    names = sorted({item.deployment for item in build.findings(loaded)()})
    if deployment not in names:
        hint = f"Known: {', '.join(names)}." if names else "Nothing has been probed here."
        raise UsageError(f"Nothing is known about {deployment!r}.", hint=hint)
    with contextlib.closing(connect(build.ledger_places(loaded)[0])) as connection:
        removed = capabilities.forget(connection, deployment)
    if json:
        output.json({"deployment": deployment, "forgotten": removed})
    elif not quiet:
        output.line(f"forgot {removed} findings about {deployment}")


def _key(provider: Provider) -> str:
    """What opens it: names of variables, who signs instead, or that nothing has to."""
    signed = {"aws": "AWS credentials", "google": "Google credentials"}.get(provider.auth.partition(":")[0], "")
    anybody = not provider.base_url and provider.place is not Place.DEVICE
    named = [*provider.key_env, *([signed] if signed else [])]
    return " or ".join(named) or ("as the server wants" if anybody else "none needed")


def _wires(provider: Provider) -> dict[str, str]:
    """Operation → the wire that speaks it."""
    found = {"chat": provider.wire, "embeddings": provider.embeddings_wire, **provider.other_wires}
    return {operation: wire for operation, wire in found.items() if wire}


@app.command("discover")
def discover(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """Ask the usual loopback ports which local runtimes are running, and what they serve."""
    import asyncio

    found = asyncio.run(ask_loopback(of(ctx).load(config, sets)))
    if json:
        output.json(
            {
                "runtimes": [
                    {"provider": name, "base_url": base, "models": models} for name, (base, models) in found.items()
                ]
            }
        )
        return
    if quiet:
        for name in found:
            output.line(name)
        return
    rows = [
        (name, base, model.model, "on this machine" if model.local_weights else "not proven", model.context)
        for name, (base, models) in found.items()
        for model in models
    ]
    output.table(("PROVIDER", "ADDRESS", "MODEL", "WEIGHTS", "CONTEXT"), rows, right=(4,), drop=("CONTEXT",))
    for name, (base, models) in found.items():
        if not models:
            output.note(f"{name} answers at {base} and has no model yet.")
    if not found:
        output.note("No runtime answers on loopback. The embedded engine needs none: nearfar models add PATH")


async def ask_loopback(loaded: Loaded) -> dict[str, tuple[str, list[Found]]]:
    """Provider → (base URL, models) of what answers now."""
    from nearfar.cli import look

    # What is declared plays no part here, and a missing key of it must not stand in the way.
    settings = msgspec.structs.replace(loaded.settings, deployments={}, routes={})
    async with look.gateway(msgspec.structs.replace(loaded, settings=settings)) as gateway:
        await gateway.fleet.refresh(known=False)
        return gateway.survey.found()


_NEEDED = ("tools", "tool_choice", "json_schema")
"""Verdicts by which later requests are decided; the others are for people to read."""


@app.command("test")
def try_one(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="A deployment or route (`nearfar route ls` names them).")],
    quick: Annotated[bool, typer.Option("--quick", help="Ask one short question only; keep nothing.")] = False,
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try what a deployment really can do, and keep that for later decisions. At a cloud this costs some tokens."""
    from nearfar.cli import trial
    from nearfar.cli.answer import facts, summary
    from nearfar.cli.client import served_at
    from nearfar.cli.session import open_session

    loaded = of(ctx).load(config, sets)
    with open_session(loaded, url) as session:
        tried = trial.run(session, deployment, quick=quick)
        where = session.where
    turn = session.account(tried.first)
    # What another gateway's deployment can do says nothing about the one of this name here.
    kept = not quick and where in {"this process", served_at(loaded)} and keep(loaded, tried)
    if json:
        output.json(
            {
                "ok": True,
                **facts(turn.answer, turn.headers, turn.milliseconds),
                "capabilities": {item.what: {"can": item.can, "detail": item.detail} for item in tried.verdicts},
                "kept": kept,
            }
        )
        return
    if quiet:
        return
    output.line(f"ok: {summary(turn.answer, turn.headers, turn.milliseconds)}")
    if quick:
        return
    words = {True: "yes", False: "no", None: "not settled"}
    output.table(("WHAT", "CAN", "SEEN"), [(item.what, words[item.can], item.detail) for item in tried.verdicts])
    if not kept:
        output.note(f"Nothing was kept: {tried.deployment} is no deployment of this configuration and state folder.")
    elif lacking := [item.what for item in tried.verdicts if item.can is False and item.what in _NEEDED]:
        output.note(f"Kept: requests to {tried.deployment} that need {', '.join(lacking)} go elsewhere or are refused.")
        overruled = ", ".join(f"{what} = true" for what in lacking)
        output.note(f"  Your word stands above it: capabilities = {{ {overruled} }} in its configuration.")


def keep(loaded: Loaded, tried: Trial) -> bool:
    """Write what was found into the state database; False when the deployment is none of this configuration."""
    import asyncio
    import contextlib
    import time

    from nearfar import build
    from nearfar.gateway.probed import target
    from nearfar.store import capabilities
    from nearfar.store.capabilities import Finding
    from nearfar.store.database import connect

    there = asyncio.run(_find(loaded, tried.deployment))
    if there is None:
        return False
    date = time.strftime("%Y-%m-%d")
    found = [
        Finding(
            deployment=there.name,
            target=target(there),
            what=item.what,
            can=item.can,
            detail=item.detail,
            date=date,
        )
        for item in tried.verdicts
    ]
    with contextlib.closing(connect(build.ledger_places(loaded)[0])) as connection:
        capabilities.prepare(connection)
        capabilities.save(connection, there.name, found)
    return True


async def _find(loaded: Loaded, name: str) -> Deployment | None:
    from nearfar.cli import look

    async with look.gateway(loaded) as gateway:
        if name not in gateway.fleet.snapshot.targets:
            await gateway.fleet.refresh(known=False)
        known = gateway.fleet.snapshot.targets.get(name)
        return None if known is None else known.deployment
