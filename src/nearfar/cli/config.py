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
    """Print every setting with its value; secrets are references and stay so."""
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
    """Read the whole configuration and say everything that is wrong with it."""
    from nearfar.gateway import declared
    from nearfar.providers import registry

    loaded = of(ctx).load(config, sets)
    declared.check(loaded.settings, loaded.origins, registry.load_all())
    if json:
        output.json({"ok": True, "files": loaded.files, "set": _set(loaded)})
        return
    files = ", ".join(loaded.files) or "no file"
    output.line(f"ok: {len(_set(loaded))} settings from {files}, environment and flags; the rest are defaults")


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
