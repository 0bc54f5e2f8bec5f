"""``nearfar ps``: what the gateway and local runtimes hold in memory, and which deployments rest or cannot be used."""

from __future__ import annotations

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of
from nearfar.core.engines import EngineStatus
from nearfar.core.errors import InternalServerError


class Cooling(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that rests."""

    deployment: str
    seconds: float
    reason: str = ""


class Unusable(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that cannot be called at all."""

    deployment: str
    reason: str = ""


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A model of another local runtime."""

    deployment: str
    provider: str
    model: str
    state: str
    context: int | None = None
    bytes: int = 0
    expires: str = ""
    load_seconds: float = 0.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's answer."""

    models: list[EngineStatus] = []
    runtimes: list[Runtime] = []
    cooling: list[Cooling] = []
    unusable: list[Unusable] = []


def ps(
    ctx: typer.Context,
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the models of the embedded engine and of local runtimes, and which deployments rest or cannot be used.

    Exits with 3 when no gateway answers.
    """
    from nearfar.cli.client import locate

    gateway = locate(of(ctx).load(config, sets), url)
    raw = gateway.get("/nearfar/v1/ps")
    try:
        status = msgspec.convert(raw, Status)
    except msgspec.ValidationError as error:
        raise InternalServerError(
            f"{gateway.url} answered in a form this release does not know: {error}.",
            hint="Use the same version of nearfar on both sides.",
        ) from error
    if json:
        output.json({"url": gateway.url, **{name: getattr(status, name) for name in status.__struct_fields__}})
        return
    if quiet:
        for item in status.models:
            output.line(item.model)
        for other in status.runtimes:
            output.line(other.deployment)
        return
    output.table(
        ("MODEL", "STATE", "PID", "MEMORY", "ESTIMATE", "BUSY", "RESTARTS", "IDLE", "NETWORK", "ERROR"),
        [_row(item) for item in status.models],
        right=(2, 3, 4, 5, 6, 7),
        drop=("NETWORK", "PID", "ESTIMATE", "RESTARTS", "IDLE", "BUSY"),
        flow=("ERROR",),
    )
    if not status.models:
        output.note("No model is known to the embedded engine. Add one: nearfar models add PATH")
    if status.runtimes:
        output.table(
            ("DEPLOYMENT", "RUNTIME", "MODEL", "STATE", "MEMORY", "CONTEXT", "UNTIL"),
            [_runtime(item) for item in status.runtimes],
            right=(4, 5),
            drop=("UNTIL", "MEMORY", "MODEL"),
        )
    for rest in status.cooling:
        output.line(f"{rest.deployment} rests for {rest.seconds:.0f} s: {rest.reason}")
    for broken in status.unusable:
        output.line(f"{broken.deployment} cannot be used: {broken.reason}")


def _runtime(item: Runtime) -> tuple[object, ...]:
    memory = output.megabytes(item.bytes) if item.bytes else None
    return (item.deployment, item.provider, item.model, item.state, memory, item.context, item.expires)


def _row(item: EngineStatus) -> tuple[object, ...]:
    loaded = item.pid > 0
    return (
        item.model,
        item.state,
        item.pid if loaded else None,
        output.megabytes(item.rss_bytes) if loaded else None,
        output.megabytes(item.estimate_bytes) if item.estimate_bytes else None,
        item.in_flight,
        item.restarts,
        f"{item.idle_seconds:.0f} s" if loaded else None,
        item.network,
        item.error,
    )
