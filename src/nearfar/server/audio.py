"""OpenAI's audio endpoints: transcriptions, passed on to deployments that have the same door."""

from __future__ import annotations

from nearfar.build import Gateway
from nearfar.core.errors import BadRequestError
from nearfar.server.chat import answer, name
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.wire import multipart
from nearfar.wire.openai_audio import CLIENT


async def transcriptions(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /v1/audio/transcriptions."""
    request = CLIENT.parse(http.body, gateway.ids.new("req-"))
    _check_type(http)
    name(request, response)
    await answer(gateway, http, response, CLIENT, request)


def _check_type(http: HttpRequest) -> None:
    """The header must name the boundary that the form was read by: two readers would see two forms."""
    given = http.headers.get(b"content-type", b"").decode("latin-1")
    kind, *parameters = (part.strip() for part in given.split(";"))
    named = [part.partition("=")[2].strip('"') for part in parameters if part.lower().startswith("boundary=")]
    if kind.lower() != "multipart/form-data" or named != [multipart.read(http.body).boundary]:
        raise BadRequestError(
            "The content-type header does not name the form's boundary.",
            code="invalid_multipart",
            param="content-type",
            hint="Send the form with your client's own encoder.",
        )
