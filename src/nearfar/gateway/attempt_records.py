"""What the ledger is told of an attempt: what it has shown so far, and the first record. It writes nothing itself."""

from __future__ import annotations

import time

import msgspec

from nearfar.core.attempts import Begin
from nearfar.core.chat import Chunk, Usage
from nearfar.core.money import upper_bound
from nearfar.core.routing import Decision, Deployment, Ranked
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.lines import Run
from nearfar.gateway.outgoing import output_limit
from nearfar.wire.base import Outgoing


class Seen(msgspec.Struct):
    """What an attempt has shown so far: the journal's second record is made from it."""

    sent: bool = False
    """Whether bytes have left."""
    status: int = 0
    usage: Usage | None = None
    held: int = 0
    """Bytes of a plain reply that are in hand."""
    finish: str = ""
    model: str = ""
    first: float = 0.0
    """perf_counter seconds when the head arrived; 0 before."""
    deviations: tuple[str, ...] = ()
    """What only showed at the reply's end."""
    run: Run | None = None
    """What its deployment's load knows it by."""

    def note(self, chunks: list[Chunk]) -> None:
        """Remember what the ledger wants to know of ``chunks``."""
        for chunk in chunks:
            if chunk.usage is not None:
                self.usage = chunk.usage if self.usage is None else self.usage.updated(chunk.usage)
            if chunk.finish:
                self.finish = chunk.finish
            if chunk.model:
                self.model = chunk.model


def begun(exchange: Exchange, decision: Decision, ranked: Ranked, deployment: Deployment, outgoing: Outgoing) -> Begin:
    """The first record: it stands before any byte leaves."""
    request = exchange.asking
    price = deployment.price
    return Begin(
        attempt=f"att-{request.id[4:]}-{exchange.attempts + exchange.serial + 1}",
        request=request.id,
        at=time.time_ns(),
        parent=exchange.attempt_id,
        purpose=request.purpose,
        operation=request.operation,
        caller=request.caller,
        route=decision.route,
        asked=request.model,
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.model,
        place=deployment.place.label,
        class_=decision.class_.label,
        decision=decision.id,
        reason=ranked.reason,
        price="" if price is None else price.id,
        bound=upper_bound(price, request.input_tokens, output_limit(request, deployment)),
        input_estimate=request.input_tokens,
        stream=request.stream,
        deviations=(*exchange.deviations, *outgoing.deviations),
    )
