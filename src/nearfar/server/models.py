"""GET /v1/models: what a client may ask for, with where each would run."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from nearfar.build import Gateway
from nearfar.core.errors import NoRoute
from nearfar.core.routing import Candidate, Rejected, Route
from nearfar.gateway import probed
from nearfar.server.http import HttpRequest, HttpResponse

_encode = msgspec.json.Encoder().encode


async def all_models(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET /v1/models, in OpenAI's shape; ``nearfar`` tells what is behind each name."""
    await gateway.fleet.refresh()
    rows = [described(route, gateway) for route in gateway.fleet.snapshot.routes.values()]
    await reply(response, {"object": "list", "data": rows})


async def one_model(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET /v1/models/NAME; names may hold slashes."""
    name = unquote(http.path.removeprefix("/v1/models/"))
    await gateway.fleet.refresh()
    route = gateway.fleet.snapshot.routes.get(name)
    if route is None:
        raise NoRoute(f"No model is named {name[:200]!r} here.", param="model", hint="GET /v1/models lists all.")
    await reply(response, described(route, gateway))


async def reply(response: HttpResponse, value: object, status: int = 200) -> None:
    """``value`` as JSON."""
    body = _encode(value)
    await response.start(status, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))])
    await response.end(body)


def described(route: Route, gateway: Gateway) -> dict[str, object]:
    """One row of the list: OpenAI's members, and under ``nearfar`` what is behind the name and could be used now."""
    decision = gateway.decider.outlook(route)
    troubles = {item.deployment: item for item in decision.rejected}
    snapshot = gateway.fleet.snapshot
    behind = [
        _behind(candidate, troubles.get(candidate.deployment.name))
        for candidate in gateway.fleet.candidates(route, snapshot)
    ]
    return {
        "id": route.name,
        "object": "model",
        "created": gateway.started_at,
        "owned_by": behind[0]["provider"] if len(behind) == 1 else "nearfar",
        "nearfar": {
            "description": route.description,
            "strategy": route.strategy,
            "usable": bool(decision.ranked),
            "deployments": behind,
        },
    }


def _behind(candidate: Candidate, rejected: Rejected | None) -> dict[str, object]:
    """A deployment behind a name; ``trouble`` says why it is not usable there, and ``code`` which rule says so.

    Of its capabilities, those that a probe found out or its owner declared: what its provider's record says of all of
    its kind is in `nearfar providers ls --json`.
    """
    deployment = candidate.deployment
    return {
        "name": deployment.name,
        "provider": deployment.provider,
        "model": deployment.model,
        "place": deployment.place.label,
        "place_source": deployment.place_source,
        "operations": sorted(deployment.operations),
        "context": deployment.context,
        "price": deployment.price,
        "capabilities": probed.known(deployment),
        "demo": deployment.demo,
        "usable": rejected is None,
        "code": "" if rejected is None else rejected.code,
        "trouble": "" if rejected is None else rejected.reason,
    }
