"""Counting a conversation's tokens: asked of the deployment that would answer it, else our own estimate. No dialect.

Nothing goes further to be counted than it would go to be answered. A number that only helps to plan is worth no
failure: where the deployment's own count fails, the estimate is told as one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nearfar.build import Gateway
from nearfar.core.chat import Request
from nearfar.gateway.exchange import Headers
from nearfar.gateway.pipeline import Decided
from nearfar.server.chat import introduce
from nearfar.server.held import Held
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.wire.base import ClientWire

_ESTIMATED = b"estimated:input_tokens"


async def answer(
    gateway: Gateway,
    http: HttpRequest,
    response: HttpResponse,
    wire: ClientWire,
    request: Request,
    render: Callable[[int], bytes],
) -> None:
    """Answer ``request``, which asks in the dialect ``wire`` for a count; ``render`` writes one."""
    decided = await gateway.pipeline.decide(request, introduce(request, http), operation="chat")
    refused = any(item.code == "elsewhere" for item in decided.decision.rejected) and not decided.decision.ranked
    told: Headers = [
        (b"x-nearfar-request", request.id.encode()),
        (b"x-nearfar-class", decided.decision.class_.label.encode()),
    ]
    alone = _alone(decided, request)
    if refused or alone is not None:
        held = Held()
        await gateway.pipeline.answer(request, wire, decided.said, held, alone or decided)
        if held.status == 200 or refused:
            await response.start(held.status, held.headers)
            await response.end(held.body)
            return
        told = [item for item in held.headers if item[0].startswith(b"x-nearfar-")]
    await _estimate(request, told, response, render)


def _alone(decided: Decided, request: Request) -> Decided | None:
    """The decision with nobody but who would answer, if it can count what stands in this dialect."""
    if not decided.decision.ranked:
        return None
    first = decided.decision.ranked[0]
    wire = decided.snapshot.targets[first.candidate.deployment.name].wires.get(request.operation)
    if wire is None or request.wire not in wire.like:
        return None
    return decided._replace(decision=msgspec.structs.replace(decided.decision, ranked=(first,)))


async def _estimate(request: Request, told: Headers, response: HttpResponse, render: Callable[[int], bytes]) -> None:
    """Our own number, and the headers that tell that it is one."""
    both = (b"x-nearfar-deviations", b"x-nearfar-deviations-encoded")
    deviations = [(name, b"%b, %b" % (value, _ESTIMATED)) for name, value in told if name in both] or [
        (both[0], _ESTIMATED)
    ]
    kept = [item for item in told if item[0] not in {*both, b"x-nearfar-error"}]
    body = render(request.input_tokens)
    headers = [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", b"%d" % len(body)),
        *kept,
        *deviations,
    ]
    await response.start(200, headers)
    await response.end(body)
