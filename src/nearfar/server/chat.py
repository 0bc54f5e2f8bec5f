"""The endpoints that models answer: chat completions and embeddings, in OpenAI's dialect."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping

from nearfar.build import Gateway
from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Class
from nearfar.gateway.decider import Said
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.store.keyring import Caller
from nearfar.wire.base import ClientWire
from nearfar.wire.openai_chat import CLIENT as CHAT
from nearfar.wire.openai_embeddings import CLIENT as EMBEDDINGS

_PURPOSES: Mapping[bytes, str] = {b"probe": "probe", b"eval": "eval", b"judge": "judge", b"opinion": "opinion"}
"""What a caller may say that a request is for: it only narrows where it may go."""
_LONGEST_COUNT = 10
"""Digits of a number that is worth reading: Python refuses to read thousands of them."""


_STEERING = frozenset({b"x-nearfar-class", b"x-nearfar-priority", b"x-nearfar-purpose", b"x-nearfar-tell"})

# These hand the pipeline's own coroutine on: each one around it would be entered twice for every request.


def completions(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> Awaitable[None]:
    """POST /v1/chat/completions."""
    return answer_openai(gateway, http, response, CHAT)


def embeddings(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> Awaitable[None]:
    """POST /v1/embeddings."""
    return answer_openai(gateway, http, response, EMBEDDINGS)


def answer_openai(gateway: Gateway, http: HttpRequest, response: HttpResponse, wire: ClientWire) -> Awaitable[None]:
    """The way of requests in OpenAI's dialect that need nothing else."""
    request = wire.parse(http.body, gateway.ids.new("req-"))
    name(request, response)
    return answer(gateway, http, response, wire, request)


def name(request: Request, response: HttpResponse) -> None:
    """Tell the request's id where OpenAI's SDKs read it, also that of an error."""
    response.extra = [*response.extra, (b"x-request-id", request.id.encode())]


def answer(
    gateway: Gateway, http: HttpRequest, response: HttpResponse, wire: ClientWire, request: Request
) -> Awaitable[None]:
    """The way of every dialect's request into the pipeline."""
    return gateway.pipeline.answer(request, wire, introduce(request, http), response)


def introduce(request: Request, http: HttpRequest) -> Said:
    """Write into ``request`` who asks, when and what for; what key and header say about its class."""
    request.received = int(time.time())
    caller = http.admitted
    floor = None
    if isinstance(caller, Caller):
        request.caller = caller.id
        floor = caller.floor
    retries = http.headers.get(b"x-stainless-retry-count")
    if retries is not None and retries.isdigit() and len(retries) < _LONGEST_COUNT:
        request.client_retry = int(retries)
    header = None
    if not _STEERING.isdisjoint(http.headers):
        purpose = http.headers.get(b"x-nearfar-purpose")
        if purpose is not None:
            request.purpose = _PURPOSES.get(purpose, request.purpose)
        if http.headers.get(b"x-nearfar-priority") == b"low":
            request.priority = "low"
        request.tell_cost = http.headers.get(b"x-nearfar-tell") == b"cost"
        header = http.headers.get(b"x-nearfar-class")
    return Said(caller=floor, header=None if header is None else _class(header))


def _class(header: bytes) -> Class:
    try:
        return Class.parse(header.decode("latin-1").strip().lower())
    except ValueError as error:
        # An unreadable class is not a low one: the request is refused rather than sent anywhere.
        raise BadRequestError(f"x-nearfar-class: {error}.", param="x-nearfar-class") from error
