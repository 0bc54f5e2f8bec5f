"""Google's dialect at the edge: the Gemini API's paths and Vertex AI's. What a request means is the wires' business.

The model and the verb stand in the path, ``…/models/MODEL:verb``; names of models may hold slashes and colons, so the
last colon counts. Source: the Gemini API reference and the paths that google-genai 3.4 and 2.34 call, logged 2026-11.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from nearfar.build import Gateway
from nearfar.core.errors import BadRequestError, NoRoute, NotFoundError
from nearfar.core.routing import Route as ModelRoute
from nearfar.gateway.fleet import Snapshot
from nearfar.server import counting
from nearfar.server.chat import answer
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.models import reply
from nearfar.wire import gemini_count, gemini_embed, gemini_generate

PAGE = 50
"""Models on a page when the client names no ``pageSize``, as in Google's own list."""
MAX_PAGE = 1000

_MODELS = "/models/"
_METHODS = {
    "chat": ["generateContent", "streamGenerateContent", "countTokens"],
    "embeddings": ["embedContent", "batchEmbedContents"],
}

Verb = Callable[[Gateway, HttpRequest, HttpResponse, str], Awaitable[None]]


async def call(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST …/models/MODEL:verb."""
    model, verb = target(http.path)
    handler = VERBS.get(verb)
    if handler is None:
        known = ", ".join(sorted(VERBS))
        message = f"There is no method {verb[:100]!r} here."
        raise NotFoundError(message, code="unknown_path", hint=f"There are: {known}.")
    await handler(gateway, http, response, model)


def target(path: str) -> tuple[str, str]:
    """(model, verb) of a path. Raises NotFoundError when it names none."""
    _, found, rest = path.partition(_MODELS)
    model, colon, verb = unquote(rest).rpartition(":")
    if not found or not colon or not model:
        message = f"There is nothing at {path[:200]}."
        raise NotFoundError(message, code="unknown_path", hint="The path ends with /models/MODEL:generateContent.")
    return model, verb


async def generate(gateway: Gateway, http: HttpRequest, response: HttpResponse, model: str) -> None:
    """The method generateContent."""
    request = gemini_generate.read(http.body, gateway.ids.new("req-"), model=model, stream=False)
    await answer(gateway, http, response, gemini_generate.CLIENT, request)


async def stream(gateway: Gateway, http: HttpRequest, response: HttpResponse, model: str) -> None:
    """The method streamGenerateContent: events with ``alt=sse``, one JSON array without."""
    request = gemini_generate.read(http.body, gateway.ids.new("req-"), model=model, stream=True)
    asked = parse_qs(http.query.decode("latin-1"))
    events = "sse" in asked.get("alt", asked.get("$alt", ()))
    await answer(gateway, http, response, gemini_generate.CLIENT if events else gemini_generate.ARRAY, request)


async def embed(gateway: Gateway, http: HttpRequest, response: HttpResponse, model: str) -> None:
    """The methods embedContent, batchEmbedContents, and predict with texts."""
    request = gemini_embed.read(http.body, gateway.ids.new("req-"), model=model)
    await answer(gateway, http, response, gemini_embed.CLIENT, request)


async def count(gateway: Gateway, http: HttpRequest, response: HttpResponse, model: str) -> None:
    """The method countTokens: contents in, one number out."""
    request = gemini_count.read(http.body, gateway.ids.new("req-"), model=model)
    await counting.answer(gateway, http, response, gemini_count.CLIENT, request, gemini_count.counted)


VERBS: dict[str, Verb] = {
    "generateContent": generate,
    "streamGenerateContent": stream,
    "countTokens": count,
    "embedContent": embed,
    "batchEmbedContents": embed,
    "predict": embed,
}


async def all_models(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET …/models in Google's shape, in pages; Vertex AI's list calls its rows otherwise."""
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    at_vertex = "/publishers/" in http.path
    rows = [_row(route, snapshot, at_vertex=at_vertex) for route in snapshot.routes.values()]
    asked = parse_qs(http.query.decode("latin-1"))
    size = _number(asked, "pageSize", PAGE)
    if not 1 <= size <= MAX_PAGE:
        message = f"pageSize must be a whole number from 1 to {MAX_PAGE}."
        raise BadRequestError(message, code="invalid_value", param="pageSize")
    start = _number(asked, "pageToken", 0)
    page = rows[start : start + size]
    value: dict[str, Any] = {"publisherModels" if at_vertex else "models": page}
    if start + size < len(rows):
        value["nextPageToken"] = str(start + size)
    await reply(response, value)


def _number(asked: dict[str, list[str]], name: str, default: int) -> int:
    text = asked.get(name, [str(default)])[0]
    if not text.isascii() or not text.isdecimal():
        raise BadRequestError(f"{name} must be a whole number.", code="invalid_value", param=name)
    return int(text[:9])


async def one_model(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET …/models/NAME in Google's shape; names may hold slashes."""
    name = unquote(http.path.partition(_MODELS)[2])
    if not name:
        await all_models(gateway, http, response)
        return
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    route = snapshot.routes.get(name)
    if route is None:
        raise NoRoute(f"No model is named {name[:200]!r} here.", param="model", hint="GET /v1beta/models lists all.")
    await reply(response, _row(route, snapshot, at_vertex="/publishers/" in http.path))


def _row(route: ModelRoute, snapshot: Snapshot, *, at_vertex: bool) -> dict[str, Any]:
    if at_vertex:
        return {"name": f"publishers/google/models/{route.name}", "versionId": "001"}
    behind = [snapshot.targets[name].deployment for name in route.deployments if name in snapshot.targets]
    contexts = [deployment.context for deployment in behind if deployment.context is not None]
    outputs = [deployment.max_output for deployment in behind if deployment.max_output is not None]
    operations = {operation for deployment in behind for operation in deployment.operations}
    row: dict[str, Any] = {
        "name": f"models/{route.name}",
        "baseModelId": route.name,
        "version": "001",
        "displayName": route.name,
        "description": route.description,
        "supportedGenerationMethods": [
            method for operation, methods in _METHODS.items() if operation in operations for method in methods
        ],
    }
    if contexts:
        row["inputTokenLimit"] = max(contexts)
    if outputs:
        row["outputTokenLimit"] = max(outputs)
    return row
