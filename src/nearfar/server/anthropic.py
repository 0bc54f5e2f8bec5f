"""Anthropic's dialect at the edge: messages, counting, the list of models. What a message means is the wire's business.

Source: the Claude API reference and the types of its Python SDK 2.12, read 2026-11-22.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from nearfar.build import Gateway
from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError, NoRoute
from nearfar.core.routing import Route as ModelRoute
from nearfar.gateway.fleet import Snapshot
from nearfar.server import counting
from nearfar.server.chat import answer
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.models import reply
from nearfar.wire import anthropic_count_tokens
from nearfar.wire.anthropic_messages import CLIENT as MESSAGES
from nearfar.wire.anthropic_messages_parse import dialect_headers

PAGE = 20
"""Models on a page when the client names no ``limit``, as Anthropic's own list has it."""
MAX_PAGE = 1000

_COUNT = anthropic_count_tokens.CLIENT


async def messages(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /v1/messages; a ``beta`` in the query says nothing that the headers do not."""
    request = MESSAGES.parse(http.body, gateway.ids.new("req-"))
    _prepare(request, http, response)
    await answer(gateway, http, response, MESSAGES, request)


async def count_tokens(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /v1/messages/count_tokens: a conversation in, one number out."""
    request = _COUNT.parse(http.body, gateway.ids.new("req-"))
    _prepare(request, http, response)
    await counting.answer(gateway, http, response, _COUNT, request, anthropic_count_tokens.counted)


def _prepare(request: Request, http: HttpRequest, response: HttpResponse) -> None:
    request.headers = dialect_headers(http.headers)
    # Anthropic's SDKs read the id from this header, also that of an error.
    response.extra = [*response.extra, (b"request-id", request.id.encode())]


async def all_models(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET /v1/models in Anthropic's shape: a page with its first and last id."""
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    rows = [_row(route, snapshot, gateway.started_at) for route in snapshot.routes.values()]
    page, more = _page(rows, http.query)
    await reply(
        response,
        {
            "data": page,
            "has_more": more,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        },
    )


async def one_model(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET /v1/models/NAME in Anthropic's shape; names may hold slashes."""
    name = unquote(http.path.removeprefix("/v1/models/"))
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    route = snapshot.routes.get(name)
    if route is None:
        raise NoRoute(f"No model is named {name[:200]!r} here.", param="model", hint="GET /v1/models lists all.")
    await reply(response, _row(route, snapshot, gateway.started_at))


def _page(rows: Sequence[dict[str, Any]], query: bytes) -> tuple[Sequence[dict[str, Any]], bool]:
    """The part of ``rows`` that ``limit``, ``after_id`` and ``before_id`` choose, and whether more follows that way."""
    asked = parse_qs(query.decode("latin-1"))
    limit = asked.get("limit", [str(PAGE)])[0]
    if not limit.isdecimal() or len(limit) > 5 or not 1 <= int(limit) <= MAX_PAGE:
        message = f"limit must be a whole number from 1 to {MAX_PAGE}."
        raise BadRequestError(message, code="invalid_value", param="limit")
    size = int(limit)
    if "before_id" in asked:
        rows = rows[: _place(rows, asked["before_id"][0], "before_id")]
        return rows[-size:], len(rows) > size
    if "after_id" in asked:
        rows = rows[_place(rows, asked["after_id"][0], "after_id") + 1 :]
    return rows[:size], len(rows) > size


def _place(rows: Sequence[dict[str, Any]], name: str, param: str) -> int:
    for number, row in enumerate(rows):
        if row["id"] == name:
            return number
    raise BadRequestError(f"{param} names no model of this list.", code="invalid_value", param=param)


def _row(route: ModelRoute, snapshot: Snapshot, created: int) -> dict[str, Any]:
    behind = [snapshot.targets[name].deployment for name in route.deployments if name in snapshot.targets]
    contexts = [deployment.context for deployment in behind if deployment.context is not None]
    outputs = [deployment.max_output for deployment in behind if deployment.max_output is not None]
    return {
        "type": "model",
        "id": route.name,
        "display_name": route.description or route.name,
        "created_at": dt.datetime.fromtimestamp(created, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": max(contexts, default=None),
        "max_tokens": max(outputs, default=None),
    }
