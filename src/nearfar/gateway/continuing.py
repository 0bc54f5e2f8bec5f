"""A stream that broke off is continued by another deployment, where its route wants that and the deployment can.

It can where its owner says so (``prefill``): a last message of the assistant is continued there, not answered. All else
ends with an error event, as ever. It knows no socket.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.places import Treatment
from nearfar.core.routing import Decision, Ranked
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Fleet, Target
from nearfar.gateway.health import Health
from nearfar.gateway.hedge import Runs
from nearfar.gateway.metrics import Metrics

PREFILL = "prefill"
"""The capability: a conversation that ends with words of the assistant is continued."""
_DIALECTS = frozenset({"openai.chat", "anthropic.messages"})
"""Clients whose requests are a list of messages, to which the words so far can be added."""
_LIMITS = ("max_tokens", "max_completion_tokens")
_BYTES_OF_A_TOKEN = 4


class Continuing:
    """Runs attempts; on routes that want it, one that broke off in the middle of a stream is continued once."""

    def __init__(self, attempts: Runs, *, fleet: Fleet, health: Health, metrics: Metrics) -> None:
        self._attempts = attempts
        self._fleet = fleet
        self._health = health
        self._metrics = metrics

    async def run(self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target) -> int | None:
        """As ``Attempts.run``. Raises the error of the attempt that nobody could continue."""
        snapshot = self._fleet.snapshot
        route = snapshot.routes.get(decision.route)
        if route is None or not route.continues or not _fits(exchange, ranked):
            exchange.kept = None
            return await self._attempts.run(exchange, decision, ranked, target)
        exchange.kept = []
        try:
            return await self._attempts.run(exchange, decision, ranked, target)
        except NearfarError as error:
            failed = exchange.ranked or ranked
            other = self._other(decision, failed)
            behind = None if other is None else snapshot.targets.get(other.candidate.deployment.name)
            text = "".join(exchange.kept or ())
            if not exchange.committed or not isinstance(error, UpstreamError) or not text.strip() or behind is None:
                raise
            assert other is not None
            exchange.asking = continued(exchange, text)
            name = failed.candidate.deployment.name
            self._metrics.fallback(name, error.code)
            exchange.deviations.append(f"continued:{name}:{error.code}")
            await exchange.deviate(f"continued:{name}:{error.code}")
        return await self._attempts.run(exchange, decision, other, behind)

    def _other(self, decision: Decision, failed: Ranked) -> Ranked | None:
        for other in decision.ranked:
            deployment = other.candidate.deployment
            known = deployment.capabilities.get(PREFILL)
            if (
                deployment.name != failed.candidate.deployment.name
                and known is not None
                and known.can
                and other.treatment is Treatment.CLEAR
                and self._health.state(deployment.name) != "open"
            ):
                return other
        return None


def _fits(exchange: Exchange, ranked: Ranked) -> bool:
    """Whether the words of this reply can be kept and given to somebody else as they are."""
    request = exchange.request
    return (
        request.stream
        and request.wire in _DIALECTS
        and request.choices == 1
        and not request.needs & {"tools", "json_schema", "json_mode", "logprobs"}
        and exchange.asking is request
        and ranked.treatment is Treatment.CLEAR
    )


def continued(exchange: Exchange, text: str) -> Request:
    """The client's request with the words so far as the assistant's, and as much less still to write."""
    request = exchange.request
    body: dict[str, Any] = msgspec.json.decode(request.body)
    body["messages"] = [*body["messages"], {"role": "assistant", "content": text.rstrip()}]
    written = len(text.encode()) // _BYTES_OF_A_TOKEN
    for name in _LIMITS:
        if isinstance(body.get(name), int):
            body[name] = max(1, body[name] - written)
    made = exchange.wire.parse(msgspec.json.encode(body), request.id)
    return msgspec.structs.replace(
        request, body=made.body, fields=made.fields, input_tokens=made.input_tokens, max_output=made.max_output
    )
