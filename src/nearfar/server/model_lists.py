"""GET /v1/models for whoever asks: several vendors claim the path, and each client gets its own vendor's shape."""

from __future__ import annotations

from nearfar.build import Gateway
from nearfar.server import anthropic, gemini, models
from nearfar.server.dialects import Dialect, dialect_of
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.routes import Handler

ALL: dict[Dialect, Handler] = {"anthropic": anthropic.all_models, "gemini": gemini.all_models}
ONE: dict[Dialect, Handler] = {"anthropic": anthropic.one_model, "gemini": gemini.one_model}
"""A dialect without an entry gets OpenAI's shape."""


async def all_models(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET /v1/models."""
    await ALL.get(_dialect(http), models.all_models)(gateway, http, response)


async def one_model(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """GET /v1/models/NAME."""
    await ONE.get(_dialect(http), models.one_model)(gateway, http, response)


def _dialect(http: HttpRequest) -> Dialect:
    return dialect_of(http.path, http.query, http.headers)
