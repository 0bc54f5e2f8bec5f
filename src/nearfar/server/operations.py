"""What operators ask: alive, ready, metrics, and which models are loaded."""

from __future__ import annotations

import msgspec

from nearfar import __version__
from nearfar.build import Gateway
from nearfar.core.errors import BadRequestError, NotFoundError
from nearfar.server import operators
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.models import reply


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """Body of POST /nearfar/v1/load and /nearfar/v1/unload."""

    model: str
    """A deployment's name, or a model's of the embedded engine."""


async def welcome(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET and HEAD /: some clients look here first."""
    await reply(response, {"name": "nearfar", "version": __version__, "openai_base_url": "/v1"})


async def livez(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """The process answers."""
    await reply(response, {"status": "ok"})


async def readyz(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """Whether requests can be answered and accounted for; 503 with the reasons when not.

    ``degraded``, with 200: some requests are refused, and the others answered.
    """
    checks = gateway.readiness()
    ready = all(check.ok or check.partly for check in checks)
    whole = "ok" if all(check.ok for check in checks) else "degraded"
    await reply(
        response,
        {
            "status": whole if ready else "unavailable",
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
    targets = gateway.fleet.snapshot.targets
    runtimes = [state for state in await gateway.lives.states() if not targets[state.deployment].engine_model]
    cooling = [
        {"deployment": rest.deployment, "seconds": round(left, 1), "reason": rest.reason, "kind": rest.kind}
        for rest, left in gateway.cooling()
    ]
    unusable = [
        {"deployment": name, "reason": candidate.trouble} for name, candidate in gateway.fleet.snapshot.unusable.items()
    ]
    await reply(
        response,
        {
            "models": engines,
            "runtimes": runtimes,
            "cooling": cooling,
            "unusable": unusable,
            "loads": gateway.loads.known(),
            "configuration": gateway.digest,
        },
    )


async def unload(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /nearfar/v1/unload {"model": NAME}: take a model out of memory."""
    operators.admit(gateway, http)
    name = _named(http)
    if gateway.lives.knows(name):
        done = await gateway.lives.unload(name)
    else:
        done = gateway.engines is not None and await gateway.engines.unload(name)
    if not done:
        raise NotFoundError(f"{name!r} is not loaded.", hint="`nearfar ps` shows what is.")
    await reply(response, {"unloaded": name})


async def load(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /nearfar/v1/load {"model": NAME}: put a model into memory and wait until its runtime has answered."""
    operators.admit(gateway, http)
    name = _named(http)
    await gateway.fleet.refresh(known=name in gateway.fleet.snapshot.targets)
    await reply(response, await gateway.lives.load(name))


def _named(http: HttpRequest) -> str:
    try:
        return msgspec.json.decode(http.body, type=Named).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"The body is not an object with a model: {error}.") from error
