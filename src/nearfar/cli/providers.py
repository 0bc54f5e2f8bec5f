"""``nearfar providers``: which systems are known, which answer on this machine, and whether a deployment works."""

from __future__ import annotations

import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of

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
    output.table(("NAME", "SYSTEM", "PLACE", "ADDRESS", "KEY"), rows)
