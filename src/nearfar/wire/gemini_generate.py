"""Gemini's generateContent: reads a client's request, and sends one to Gemini or Vertex AI. It knows no route.

The model and whether to stream stand in the path, not in the body, so ``read`` is told them. Requests of other dialects
are composed in gemini_generate_compose; replies are read in gemini_generate_decode, written in gemini_generate_render.
Source: the Gemini API reference and Vertex AI's discovery document of 2026-11-06, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import strict
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.elsewhere import frozen
from nearfar.wire.fields import refuse_steering, wrong
from nearfar.wire.gemini_generate_compose import to_gemini
from nearfar.wire.gemini_generate_conversation import conversation as conversation_of
from nearfar.wire.gemini_generate_decode import decoder
from nearfar.wire.gemini_generate_failures import error_body, gemini_error
from nearfar.wire.gemini_generate_members import MARK
from nearfar.wire.gemini_generate_read import Body, read_body
from nearfar.wire.gemini_generate_render import array_renderer, renderer
from nearfar.wire.gemini_generate_signatures import unsigned
from nearfar.wire.patch import JSON_HEADERS

NAME = "gemini.generate"


def read(body: bytes, request_id: str, *, model: str, stream: bool) -> Request:
    """A request to ``model``; what this gateway has no name for travels. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    found: Body = read_body(values)
    asked = model or _model(values)
    return Request(
        id=request_id,
        wire=NAME,
        operation="chat",
        model=asked,
        body=body,
        fields=members,
        stream=stream,
        max_output=found.max_output,
        choices=found.choices,
        input_tokens=found.tokens(compact),
        needs=frozenset(found.needs),
        elsewhere=frozen(found.elsewhere),
    )


def parse(body: bytes, request_id: str) -> Request:
    """A plain request that names its model in the body, as the messages of Google's API do."""
    return read(body, request_id, model="", stream=False)


def _model(values: dict[str, Any]) -> str:
    found = values.get("model")
    if not isinstance(found, str) or not found.removeprefix("models/"):
        raise wrong("model", found, "the name of a model", hint="GET /v1beta/models lists them.")
    return found.removeprefix("models/")


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be; or the conversation."""
    deviations: tuple[str, ...] = ()
    if conversation is None and MARK in request.body:
        # Another vendor's signature lies sealed in the history: Google would take it for a broken one of its own.
        conversation = conversation_of(request)
        deviations = conversation.deviations
    if conversation is None:
        body, more = _patched(request, deployment)
    else:
        value, more = to_gemini(conversation, deployment.model)
        dropped = tuple(f"dropped:{name}" for name in deployment.drop if _drop(value, name))
        body, more = msgspec.json.encode(value), (*more, *dropped)
    verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    path = f"{model_path(deployment)}:{verb}"
    return Outgoing(path=path, headers=JSON_HEADERS, body=body, deviations=(*deviations, *more))


def _patched(request: Request, deployment: Deployment) -> tuple[bytes, tuple[str, ...]]:
    fields = request.fields
    changes: dict[str, bytes | None] = {"model": None} if "model" in fields else {}
    deviations = []
    for name in deployment.drop:
        if name in fields:
            changes[name] = None
            deviations.append(f"dropped:{name}")
    for name in ("generationConfig", "generation_config"):
        if deployment.drop and name in fields:
            inner = msgspec.json.decode(fields[name], type=dict[str, msgspec.Raw])
            found = [item for item in deployment.drop if item in inner]
            if found:
                changes[name] = strict.replace(inner, dict.fromkeys(found))
                deviations += [f"dropped:{item}" for item in found]
    return strict.replace(fields, changes) if changes else request.body, tuple(deviations)


def _drop(value: dict[str, Any], name: str) -> bool:
    """Whether ``name`` was there to be dropped."""
    inner = value.get("generationConfig", {})
    return value.pop(name, None) is not None or inner.pop(name, None) is not None


def is_vertex(deployment: Deployment) -> bool:
    """Whether the deployment lies in a project at Vertex AI; else it is one at the Gemini API."""
    return "/projects/" in deployment.base_url


def model_path(deployment: Deployment) -> str:
    """The path of the deployment's model below the base URL, which holds the version (and the project)."""
    model = quote(deployment.model, safe="/@:.-_~")
    if is_vertex(deployment):
        whole = model.startswith(("publishers/", "endpoints/"))
        return f"/{model}" if whole else f"/publishers/google/models/{model}"
    return f"/{model}" if model.startswith(("models/", "tunedModels/")) else f"/models/{model}"


CLIENT = ClientWire(name=NAME, parse=parse, renderer=renderer, conversation=conversation_of, error=error_body)

ARRAY = ClientWire(name=NAME, parse=parse, renderer=array_renderer, conversation=conversation_of, error=error_body)
"""The same dialect, for clients that did not ask for server-sent events."""

PROVIDER = ProviderWire(
    name=NAME, like=frozenset({NAME}), encode=encode, decoder=decoder, error=gemini_error, unsigned=unsigned
)
