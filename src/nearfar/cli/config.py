"""``nearfar config``: what is configured, by whom, whether it holds together, and what can be configured."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Json, Sets, of
from nearfar.settings.load import Loaded
from nearfar.settings.model import Settings
from nearfar.settings.secrets import hide_credentials
from nearfar.settings.shape import dotted, leaves_of

app = typer.Typer(no_args_is_help=True, help="Show, check and describe the configuration.")


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Print every setting with its value; secrets are references and stay so.

    These are the settings of a gateway that starts now: one that runs already has those it was started with.
    """
    loaded = of(ctx).load(config, sets)
    settings = public(loaded.settings)
    if json:
        output.json(
            {
                "settings": settings,
                "origins": loaded.origins,
                "files": loaded.files,
                "folders": {name: str(getattr(loaded.folders, name)) for name in loaded.folders.__struct_fields__},
            }
        )
        return
    lines = [(f"{dotted(path)} = {_toml(value)}", loaded.origins[dotted(path)]) for path, value in leaves_of(settings)]
    width = min(60, max(len(text) for text, _ in lines))
    for text, where in lines:
        output.line(f"{text:<{width}}  # {where}" if origin else text)


@app.command()
def check(ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False) -> None:
    """Read the whole configuration and say everything that is wrong with it, at once.

    A warning is about one deployment, which nobody can use until it is mended; the gateway serves the others. Exits
    with 2 when the gateway would not start. What is running learns of a changed configuration when it is restarted.
    """
    from nearfar.cli import errors, findings

    draft = of(ctx).examine(config, sets)
    found = findings.look(draft)
    if json:
        output.json(
            {
                "ok": not found.problems,
                "files": draft.loaded.files,
                "set": _set(draft.loaded),
                "problems": found.problems,
                "warnings": found.warnings,
            }
        )
    else:
        for problem in found.problems:
            errors.say(problem.text, problem.hint)
        for problem in found.warnings:
            errors.say(problem.text, problem.hint, warning=True)
        if not found.problems:
            files = ", ".join(draft.loaded.files) or "no file"
            count = len(_set(draft.loaded))
            many = "setting" if count == 1 else "settings"
            output.line(f"ok: {count} {many} from {files}, environment and flags; the rest are defaults")
            output.progress("A gateway that runs already learns of changes when it is restarted.")
    if found.problems:
        raise typer.Exit(errors.USAGE)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file."""
    from nearfar.settings.schema import schema as make

    output.json(make())


def public(settings: Settings) -> Settings:
    """``settings`` as they may be shown: addresses without user names and passwords."""
    replace = msgspec.structs.replace
    proxy = replace(
        settings.proxy, https=hide_credentials(settings.proxy.https), http=hide_credentials(settings.proxy.http)
    )
    ledger = replace(settings.ledger, url=hide_credentials(settings.ledger.url))
    return replace(settings, proxy=proxy, ledger=ledger)


def _set(loaded: Loaded) -> list[str]:
    return sorted(key for key, origin in loaded.origins.items() if origin != "default")


def _toml(value: object) -> str:
    """``value`` as TOML writes it; an unset one as a comment would."""
    if value is None:
        return "(unset)"
    if isinstance(value, dict):
        return "{}"
    return msgspec.json.encode(value).decode()
