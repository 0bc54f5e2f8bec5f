"""Bedrock's dialect at the edge: converse and converse-stream. What a request means is the wire's business.

The model stands in the path, percent-encoded. boto3 signs its requests or sends a bearer token: a token is looked up as
any key is; a signature proves nothing here, because nobody here knows AWS's secrets, and counts only where no key is
needed. Source: the service model bedrock-runtime 2023-09-30 and what boto3 1.44 sends, 2026-11.
"""

from __future__ import annotations

from urllib.parse import unquote

from nearfar.build import Gateway
from nearfar.core.errors import NotFoundError
from nearfar.server.chat import answer
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.wire.bedrock_converse import CLIENT
from nearfar.wire.bedrock_converse_parse import read

_VERBS = {"converse": False, "converse-stream": True}


async def call(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /model/MODEL/converse and /model/MODEL/converse-stream."""
    model, _, verb = http.path.removeprefix("/model/").rpartition("/")
    stream = _VERBS.get(verb)
    if stream is None or not model:
        message = f"There is nothing at {http.path[:200]}."
        hint = "There are /model/MODEL/converse and /model/MODEL/converse-stream."
        raise NotFoundError(message, code="unknown_path", hint=hint)
    request = read(http.body, gateway.ids.new("req-"), model=unquote(model), stream=stream)
    # boto3 reads the request's id from this header, also that of an error.
    response.extra = [*response.extra, (b"x-amzn-requestid", request.id.encode())]
    await answer(gateway, http, response, CLIENT, request)
