"""OpenAI's legacy text completions endpoint."""

from __future__ import annotations

from nearfar.build import Gateway
from nearfar.server.chat import answer_openai
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.wire.openai_completions import CLIENT


async def create(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /v1/completions."""
    await answer_openai(gateway, http, response, CLIENT)
