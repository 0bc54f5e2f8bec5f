"""What operators ask: alive, ready, metrics, and which models are loaded."""

from __future__ import annotations

import msgspec

from nearfar import __version__
from nearfar.build import Gateway
from nearfar.core.errors import BadRequestError, NotFoundError
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.models import reply


class Unload(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /nearfar/v1/unload."""

    model: str


async def welcome(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET and HEAD /: some clients look here first."""
    await reply(response, {"name": "nearfar", "version": __version__, "openai_base_url": "/v1"})


async def livez(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """The process answers."""
    await reply(response, {"status": "ok"})


async def readyz(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """Whether requests can be answered and accounted for; 503 with the reasons when not."""
    checks = gateway.readiness()
    ready = all(check.ok for check in checks)
    await reply(
        response,
        {
            "status": "ok" if ready else "unavailable",
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        },
        200 if ready else 503,
    )


async def metrics(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """Prometheus exposition, over all workers."""
    body = await gateway.metrics_text()
    await response.start(
        200,
        [
            (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ],
    )
    await response.end(body)


async def ps(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """Models of the embedded engine, cool-downs, what cannot be called at all, and which configuration counts."""
    engines = [] if gateway.engines is None else await gateway.engines.status()
    cooling = [
        {"deployment": rest.deployment, "seconds": round(left, 1), "reason": rest.reason}
        for rest, left in gateway.cooling()
    ]
    unusable = [
        {"deployment": name, "reason": candidate.trouble} for name, candidate in gateway.fleet.snapshot.unusable.items()
    ]
    await reply(
        response,
        {"models": engines, "cooling": cooling, "unusable": unusable, "configuration": gateway.digest},
    )


async def unload(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /nearfar/v1/unload {"model": NAME}: stop a model's child process."""
    try:
        asked = msgspec.json.decode(http.body, type=Unload)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"The body is not an object with a model: {error}.") from error
    if gateway.engines is None or not await gateway.engines.unload(asked.model):
        raise NotFoundError(f"{asked.model!r} is not loaded.", hint="`nearfar ps` shows what is.")
    await reply(response, {"unloaded": asked.model})
