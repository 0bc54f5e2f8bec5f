"""GET /v1/models: what a client may ask for, with where each would run."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from nearfar.build import Gateway
from nearfar.core.errors import NoRoute
from nearfar.core.routing import Route
from nearfar.gateway.fleet import Snapshot
from nearfar.server.http import HttpRequest, HttpResponse

_encode = msgspec.json.Encoder().encode


async def all_models(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET /v1/models, in OpenAI's shape; ``nearfar`` tells what is behind each name."""
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    rows = [_row(route, snapshot, gateway.started_at) for route in snapshot.routes.values()]
    await reply(response, {"object": "list", "data": rows})


async def one_model(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET /v1/models/NAME; names may hold slashes."""
    name = unquote(http.path.removeprefix("/v1/models/"))
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    route = snapshot.routes.get(name)
    if route is None:
        raise NoRoute(f"No model is named {name[:200]!r} here.", param="model", hint="GET /v1/models lists all.")
    await reply(response, _row(route, snapshot, gateway.started_at))


async def reply(response: HttpResponse, value: object, status: int = 200) -> None:
    """``value`` as JSON."""
    body = _encode(value)
    await response.start(status, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))])
    await response.end(body)


def _row(route: Route, snapshot: Snapshot, created: int) -> dict[str, object]:
    behind = [snapshot.targets[name].deployment for name in route.deployments if name in snapshot.targets]
    return {
        "id": route.name,
        "object": "model",
        "created": created,
        "owned_by": behind[0].provider if len(behind) == 1 else "nearfar",
        "nearfar": {
            "description": route.description,
            "strategy": route.strategy,
            "deployments": [
                {
                    "name": d.name,
                    "provider": d.provider,
                    "model": d.model,
                    "place": d.place.label,
                    "place_source": d.place_source,
                    "context": d.context,
                    "demo": d.demo,
                }
                for d in behind
            ],
        },
    }
