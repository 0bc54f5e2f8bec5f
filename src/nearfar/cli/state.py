"""What a command is started with: the environment, and settings loaded on demand. It knows no command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.errors import UsageError
from nearfar.settings.load import Draft, Loaded, examine, load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration file, above your own one.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, such as engine.slots=2. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the essential: names, one per line.")]
Url = Annotated[
    str,
    typer.Option("--url", metavar="URL", help="A running gateway [env NEARFAR_URL; default from the configuration]."),
]


class State:
    """Handed to every command as the context's object."""

    __slots__ = ("environ",)

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def load(
        self, config: Path | None, sets: Sequence[str] | None, flags: Mapping[str, object] | None = None
    ) -> Loaded:
        """The settings for this command. ``flags`` maps dotted keys to values; None means "not given"."""
        return load(config=config, overrides=_overrides(sets, flags or {}), environ=self.environ)

    def examine(self, config: Path | None, sets: Sequence[str] | None) -> Draft:
        """The settings as far as they are sound, with everything that is wrong."""
        return examine(config=config, overrides=_overrides(sets, {}), environ=self.environ)


def _overrides(sets: Sequence[str] | None, flags: Mapping[str, object]) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for item in sets or ():
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {item!r} is not KEY=VALUE.", hint="Example: --set engine.slots=2")
        overrides[key.strip()] = value
    for key, given in flags.items():
        if given is not None:
            overrides[key] = str(given).lower() if isinstance(given, bool) else str(given)
    return overrides


def of(ctx: typer.Context) -> State:
    """The state that ``main`` put into the context."""
    state = ctx.obj
    assert isinstance(state, State)
    return state
