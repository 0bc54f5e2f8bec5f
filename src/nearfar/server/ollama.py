"""Ollama's endpoints: chat, generate, embeddings, lists, the life of models. Fetching and making models is not ours.

Names are looked up as Ollama's clients write them: ``llama3.2`` also means ``llama3.2:latest``, and either also a model
that a running Ollama has. Source: Ollama's docs/openapi.yaml and server/routes.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

from nearfar import __version__
from nearfar.build import Gateway
from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment, Route
from nearfar.gateway.life_facts import ModelState
from nearfar.server import operators
from nearfar.server.chat import answer
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.models import reply
from nearfar.wire import ollama_chat, ollama_embed, ollama_embeddings, ollama_generate, strict
from nearfar.wire.ollama_common import keeps_alive, model_of, timestamp

SPOKEN = "0.32.0"
"""The release of Ollama whose API is spoken here: clients look for features by it."""

_PROVED = frozenset({"embedded", "local-weights"})
_MEMORY = frozenset({"keep_alive"})
_ABILITIES = (("tools", "tools"), ("images", "vision"), ("reasoning", "thinking"))
"""A capability here → its word there."""


async def chat(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /api/chat. Without messages the model is loaded, or with ``keep_alive`` 0 unloaded."""
    request = ollama_chat.parse(http.body, gateway.ids.new("req-"))
    if ollama_chat.is_empty(request):
        reason = await _live(gateway, http, request)
        await reply(response, _done(request, reason, message={"role": "assistant", "content": ""}))
        return
    await _aliased(gateway, request)
    _withhold(gateway, http, request)
    await answer(gateway, http, response, ollama_chat.CLIENT, request)


async def generate(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /api/generate. Without a prompt the model is loaded, or with ``keep_alive`` 0 unloaded."""
    request = ollama_generate.parse(http.body, gateway.ids.new("req-"))
    if ollama_generate.is_empty(request):
        reason = await _live(gateway, http, request)
        await reply(response, _done(request, reason, response=""))
        return
    await _aliased(gateway, request)
    _withhold(gateway, http, request)
    await answer(gateway, http, response, ollama_generate.CLIENT, request)


async def embed(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /api/embed. Without input the model is loaded or unloaded."""
    request = ollama_embed.parse(http.body, gateway.ids.new("req-"))
    if ollama_embed.is_empty(request):
        await _live(gateway, http, request)
        await reply(response, {"model": request.model, "embeddings": []})
        return
    await _aliased(gateway, request)
    _withhold(gateway, http, request)
    await answer(gateway, http, response, ollama_embed.CLIENT, request)


async def embeddings(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /api/embeddings, the older form for one text."""
    request = ollama_embeddings.parse(http.body, gateway.ids.new("req-"))
    if ollama_embeddings.is_empty(request):
        await _live(gateway, http, request)
        await reply(response, {"embedding": []})
        return
    await _aliased(gateway, request)
    _withhold(gateway, http, request)
    await answer(gateway, http, response, ollama_embeddings.CLIENT, request)


async def tags(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET /api/tags: what a client may ask for, usable or not yet."""
    await gateway.fleet.refresh()
    snapshot = gateway.fleet.snapshot
    found = [(route, _behind(gateway, route)) for route in snapshot.routes.values()]
    await reply(response, {"models": [_row(gateway, route, behind) for route, behind in found if behind]})


async def show(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /api/show: what a model can do, and the context that surely fits."""
    asked = model_of(strict.parse(http.body).values)
    route = await _route(gateway, asked)
    await gateway.lives.look(route)
    behind = _behind(gateway, route)
    contexts = [deployment.context for deployment in behind if deployment.context is not None]
    row = _row(gateway, route, behind)
    info: dict[str, Any] = {"general.architecture": "nearfar", "general.basename": route.name}
    if contexts:
        info["nearfar.context_length"] = min(contexts)
    told: dict[str, Any] = {"modelfile": "", "parameters": "", "template": "", "license": ""}
    told.update({name: row[name] for name in ("details", "modified_at", "remote_host", "remote_model") if name in row})
    await reply(response, {**told, "model_info": info, "capabilities": _capabilities(behind)})


async def ps(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET /api/ps: what is in memory, or on its way there."""
    await gateway.fleet.refresh()
    states = await gateway.lives.states()
    await reply(response, {"models": [_running(state) for state in states if state.state in {"loaded", "loading"}]})


async def version(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """GET /api/version: the API that is spoken, and, for who wants to know, who speaks it."""
    await reply(response, {"version": SPOKEN, "nearfar": __version__})


async def elsewhere(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:  # noqa: ARG001  handlers share one shape
    """What changes the models of an Ollama: a gateway has none of its own to change."""
    raise BadRequestError(
        f"nearfar does not offer {http.path}: models are fetched, made and removed where they run.",
        code="unsupported",
        hint="Ask Ollama itself, or add a GGUF file: nearfar models add PATH",
    )


# Names.


async def _aliased(gateway: Gateway, request: Request) -> None:
    """Give ``request`` the name of the route that its client means; one that means none keeps its own."""
    request.model = await _known(gateway, request.model) or request.model


async def _route(gateway: Gateway, asked: str) -> Route:
    return await gateway.fleet.find(await _known(gateway, asked) or asked)


async def _known(gateway: Gateway, asked: str) -> str | None:
    for again in (False, True):
        if again:
            await gateway.fleet.refresh(known=False)
        routes = gateway.fleet.snapshot.routes
        bare = asked.removesuffix(":latest")
        for name in (asked, bare, f"{bare}:latest", f"ollama/{asked}", f"ollama/{bare}:latest"):
            if name in routes:
                return name
    return None


def _behind(gateway: Gateway, route: Route) -> list[Deployment]:
    targets = gateway.fleet.snapshot.targets
    return [targets[name].deployment for name in route.deployments if name in targets]


# The life of models.


async def _live(gateway: Gateway, http: HttpRequest, request: Request) -> str:
    """Load or unload what is behind the asked name where that can be asked for; the word for it.

    Of several deployments the first is loaded, and all are unloaded. A model elsewhere is always there. Raises
    PermissionDeniedError where who asks is no operator.
    """
    operators.admit(gateway, http)
    route = await _route(gateway, request.model)
    mine = [deployment.name for deployment in _behind(gateway, route) if gateway.lives.knows(deployment.name)]
    if keeps_alive(request.fields):
        if mine:
            await gateway.lives.load(mine[0])
        return "load"
    for name in mine:
        await gateway.lives.unload(name)
    return "unload"


def _withhold(gateway: Gateway, http: HttpRequest, request: Request) -> None:
    """How long a model stays in memory is an operator's to say, also beside a question: from others it is left out.

    Clients send it with every request, so that refusing it would keep them out.
    """
    if "keep_alive" in request.fields and not operators.may(gateway, http):
        request.withheld = _MEMORY


def _done(request: Request, reason: str, **said: object) -> dict[str, object]:
    now = timestamp(time.time_ns())
    return {"model": request.model, "created_at": now, **said, "done": True, "done_reason": reason}


# Rows.


def _row(gateway: Gateway, route: Route, behind: list[Deployment]) -> dict[str, Any]:
    """A model as Ollama's lists have it. One that may be answered elsewhere says so, as Ollama's cloud models do."""
    near = all(item.place is Place.DEVICE and item.place_source in _PROVED for item in behind)
    row = {
        "name": route.name,
        "model": route.name,
        "modified_at": timestamp(gateway.started_at * 1_000_000_000),
        "size": 0,
        "digest": _digest(route.name, *(f"{item.provider} {item.model}" for item in behind)),
        "details": _details(behind),
    }
    return row if near else {**row, "remote_model": behind[0].model, "remote_host": "nearfar"}


def _details(behind: list[Deployment]) -> dict[str, Any]:
    providers = list(dict.fromkeys(item.provider for item in behind))
    embeds = all("chat" not in item.operations for item in behind)
    return {
        "parent_model": "",
        "format": "",
        # Ollama's lists do not tell what a model is for; clients read it from the family, and "bert" embeds.
        "family": "bert" if embeds else providers[0],
        "families": providers,
        "parameter_size": "",
        "quantization_level": "",
    }


def _digest(*parts: str) -> str:
    """Of the name and what is behind it, not of weights: it changes when another model answers to the name."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _capabilities(behind: list[Deployment]) -> list[str]:
    """What is known that at least one deployment can do: requests that need it go there."""
    operations = {operation for item in behind for operation in item.operations}
    found = ["completion"] if "chat" in operations else []
    found += ["embedding"] if "embeddings" in operations else []
    for ours, theirs in _ABILITIES:
        known = [item.capabilities.get(ours) for item in behind if "chat" in item.operations]
        if any(can is not None and can.can for can in known):
            found.append(theirs)
    return found


def _running(state: ModelState) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": state.deployment,
        "model": state.deployment,
        "size": state.bytes,
        "digest": _digest(state.deployment, f"{state.provider} {state.model}"),
        "details": {"family": state.provider},
        "size_vram": 0,
        "nearfar": {"state": state.state, "place": state.place},
    }
    if state.context is not None:
        row["context_length"] = state.context
    if state.expires:
        row["expires_at"] = state.expires
    return row
