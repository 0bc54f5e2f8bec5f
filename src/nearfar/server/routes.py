"""Every path that is answered, in one list. It knows endpoints by name only: a dialect is imported when it is spoken.

A gateway that only ever hears one dialect neither waits for the others at its start nor holds them in memory.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable

import msgspec

from nearfar.build import Gateway
from nearfar.server.dialects import Dialect
from nearfar.server.http import HttpRequest, HttpResponse

Handler = Callable[[Gateway, HttpRequest, HttpResponse], Awaitable[None]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path, or every path below it when it ends with a slash."""

    method: str
    path: str
    handler: str
    """``module.function``, in this folder."""
    dialect: Dialect | None = None
    """Only for requests in this dialect, where several claim the path; None: for everybody else."""
    open: bool = False
    """Whether it answers without a key even where keys are required."""


def find(route: Route) -> Handler:
    """The function that answers on ``route``; imports its module."""
    module, _, function = route.handler.rpartition(".")
    found: Handler = getattr(importlib.import_module(f"nearfar.server.{module}"), function)
    return found


def _get(path: str, handler: str, *, dialect: Dialect | None = None, open: bool = False) -> Route:
    return Route(method="GET", path=path, handler=handler, dialect=dialect, open=open)


def _post(path: str, handler: str, *, dialect: Dialect | None = None) -> Route:
    return Route(method="POST", path=path, handler=handler, dialect=dialect)


def _delete(path: str, handler: str) -> Route:
    return Route(method="DELETE", path=path, handler=handler)


ROUTES: tuple[Route, ...] = (
    # OpenAI.
    _post("/v1/chat/completions", "chat.completions"),
    _post("/v1/embeddings", "chat.embeddings"),
    _post("/v1/completions", "completions.create"),
    _post("/v1/responses", "responses.create"),
    _get("/v1/responses/", "responses.below"),
    _post("/v1/responses/", "responses.below"),
    _delete("/v1/responses/", "responses.below"),
    _post("/v1/audio/transcriptions", "audio.transcriptions"),
    _get("/v1/models", "models.all_models"),
    _get("/v1/models/", "models.one_model"),
    # Anthropic.
    _post("/v1/messages", "anthropic.messages"),
    _post("/v1/messages/count_tokens", "anthropic.count_tokens"),
    _get("/v1/models", "anthropic.all_models", dialect="anthropic"),
    _get("/v1/models/", "anthropic.one_model", dialect="anthropic"),
    # Google: Gemini's API and Vertex AI's.
    _post("/v1/models/", "gemini.call", dialect="gemini"),
    _post("/v1beta/", "gemini.call"),
    _post("/v1beta1/", "gemini.call"),
    _post("/v1/projects/", "gemini.call"),
    _get("/v1/models", "gemini.all_models", dialect="gemini"),
    _get("/v1/models/", "gemini.one_model", dialect="gemini"),
    _get("/v1beta/models", "gemini.all_models"),
    _get("/v1beta/models/", "gemini.one_model"),
    _get("/v1beta1/publishers/google/models", "gemini.all_models"),
    _get("/v1beta1/publishers/google/models/", "gemini.one_model"),
    # Amazon Bedrock.
    _post("/model/", "bedrock.call"),
    # Ollama.
    _post("/api/chat", "ollama.chat"),
    _post("/api/generate", "ollama.generate"),
    _post("/api/embed", "ollama.embed"),
    _post("/api/embeddings", "ollama.embeddings"),
    _post("/api/show", "ollama.show"),
    _get("/api/tags", "ollama.tags"),
    _get("/api/ps", "ollama.ps"),
    _get("/api/version", "ollama.version"),
    _post("/api/pull", "ollama.elsewhere"),
    _post("/api/push", "ollama.elsewhere"),
    _post("/api/create", "ollama.elsewhere"),
    _post("/api/copy", "ollama.elsewhere"),
    _delete("/api/delete", "ollama.elsewhere"),
    _get("/api/blobs/", "ollama.elsewhere"),
    _post("/api/blobs/", "ollama.elsewhere"),
    # Operators.
    _get("/", "operations.welcome", open=True),
    _get("/livez", "operations.livez", open=True),
    _get("/readyz", "operations.readyz", open=True),
    _get("/metrics", "operations.metrics"),
    _get("/nearfar/v1/ps", "operations.ps"),
    _post("/nearfar/v1/load", "operations.load"),
    _post("/nearfar/v1/unload", "operations.unload"),
)
