"""``nearfar providers``: which systems are known, which answer on this machine, and whether a deployment works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the providers' room is only needed when a command runs
    from nearfar.providers.base import Found

app = typer.Typer(no_args_is_help=True, help="Systems that serve models: list them, find running ones, try one.")


@app.command("ls")
def ls(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """List the providers nearfar knows, and whether each has a key in the environment."""
    from nearfar.providers import registry

    environ = of(ctx).load(config, sets).environ
    known = registry.load_all()
    if json:
        output.json(
            {
                "providers": [
                    {
                        "name": item.name,
                        "title": item.title,
                        "wire": item.wire,
                        "embeddings_wire": item.embeddings_wire,
                        "base_url": item.base_url,
                        "place": item.place.label,
                        "key_env": item.key_env,
                        "key_found": list(environ.present(item.key_env)),
                        "ports": item.ports,
                        "default_models": item.default_models,
                        "capabilities": item.capabilities,
                    }
                    for item in known.values()
                ]
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
        key = f"{found[0]} found" if found else " or ".join(item.key_env) or "none needed"
        # A loopback address proves nothing; the runtime's own word about its weights does.
        place = "device if proven" if item.probes else item.place.label
        rows.append((item.name, item.title, place, item.base_url, key))
    output.table(("NAME", "SYSTEM", "PLACE", "ADDRESS", "KEY"), rows, drop=("ADDRESS", "SYSTEM"), flow=("KEY",))


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


@app.command("test")
def try_one(
    ctx: typer.Context,
    deployment: Annotated[str, typer.Argument(help="A deployment or route (`nearfar route explain` names them).")],
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send one short question to a deployment and say how it went. At a cloud this costs a few tokens."""
    from nearfar.cli.answer import facts, summary
    from nearfar.cli.question import asking, message
    from nearfar.cli.session import open_session

    body = asking(deployment, max_tokens=16).body([message("user", "Answer with one word: ready?")])
    with open_session(of(ctx).load(config, sets), url) as session:
        turn = session.ask(body, class_="public", show=lambda _: None)
    turn = session.account(turn)
    if json:
        output.json({"ok": True, **facts(turn.answer, turn.headers, turn.milliseconds)})
    elif not quiet:
        output.line(f"ok: {summary(turn.answer, turn.headers, turn.milliseconds)}")
