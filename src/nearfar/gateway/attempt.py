"""One attempt at one deployment: journal, seal, send, decode, settle. It does not choose the deployment.

Whatever happens after the journal's first record, the second one is written: also when the client hangs up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from nearfar.core.attempts import Begin, End
from nearfar.core.engines import Engines
from nearfar.core.errors import (
    APIConnectionError,
    ContextTooLong,
    MaskingFailed,
    NearfarError,
    SignatureRefused,
    StreamCut,
)
from nearfar.core.money import cost
from nearfar.core.places import Treatment
from nearfar.core.routing import Decision, Deployment, Ranked
from nearfar.gateway.attempt_records import Seen, begun
from nearfar.gateway.connection import StaleConnectionError
from nearfar.gateway.credentials import Signer, attribute, hush
from nearfar.gateway.exchange import Exchange
from nearfar.gateway.fleet import Target, build_head, parse_base
from nearfar.gateway.health import Health
from nearfar.gateway.holding import Holding
from nearfar.gateway.life import Lives
from nearfar.gateway.limits import Limits
from nearfar.gateway.load import Loads
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.outgoing import changed, translated
from nearfar.gateway.transport import Reply, Transport
from nearfar.gateway.truncation import TRUNCATED, suspicious, was_cut
from nearfar.gateway.witness import Witness
from nearfar.ledger.ledger import Ledger
from nearfar.policy.seal import Origin, Sealed, Sealer
from nearfar.wire.base import Outgoing, ProviderWire

if TYPE_CHECKING:
    # Loaded only where a policy wants masks.
    from nearfar.gateway.masking import Masked, Masking
    from nearfar.gateway.reply_guard import ReplyGuard
    from nearfar.gateway.rewriting import Rewriting
    from nearfar.privacy.restore_events import Restorer

_CLEAR: Final = Treatment.CLEAR  # a member looked up in its enum costs ten times as much


class Attempts:
    """Runs attempts with the parts that all of them share."""

    def __init__(
        self,
        *,
        sealer: Sealer,
        transport: Transport,
        ledger: Ledger,
        health: Health,
        metrics: Metrics,
        engines: Engines | None,
        lives: Lives | None = None,
        loads: Loads | None = None,
        witness: Witness | None = None,
        masking: Masking | None = None,
        replies: ReplyGuard | None = None,
        limits: Limits | None = None,
        rewriting: Rewriting | None = None,
        holding: Holding | None = None,
    ) -> None:
        self._lives = lives
        self._loads = loads
        self._sealer = sealer
        self._transport = transport
        self._ledger = ledger
        self._health = health
        self._metrics = metrics
        self._engines = engines
        self._witness = witness or Witness()
        self._masking = masking
        self._replies = replies
        self._limits = limits
        self._rewriting = rewriting
        self._holding = holding or Holding()

    async def run(self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target) -> int | None:
        """Try ``target`` until its reply has been delivered; returns the cost in nano-USD, None when unknown.

        A kept-alive connection that the upstream had closed is replaced once: its bytes met a closed door, but they
        left, so both tries stand in the journal. So do those of a request whose history another account signed: it goes
        once more without the signatures. Raises the NearfarError that ended it, or CancelledError when the
        client left.
        """
        if self._rewriting is not None and ranked.treatment is Treatment.REWRITTEN and exchange.prepared is None:
            return await self._rewriting.run(self, exchange, decision, ranked, target)
        try:
            return await self._once(exchange, decision, ranked, target, fresh=False)
        except StaleConnectionError:
            exchange.deviations.append(f"retry:{target.deployment.name}")
            self._metrics.deviation("retry")
            return await self._once(exchange, decision, ranked, target, fresh=True)
        except SignatureRefused:
            if exchange.committed or target.wire(exchange.asking).unsigned is None:
                raise
            exchange.deviations.append(f"retry:{target.deployment.name}")
            self._metrics.deviation("retry")
            return await self._once(exchange, decision, ranked, target, fresh=False, signed=False)

    async def _once(
        self,
        exchange: Exchange,
        decision: Decision,
        ranked: Ranked,
        target: Target,
        *,
        fresh: bool,
        signed: bool = True,
    ) -> int | None:
        request = exchange.asking
        deployment = target.deployment
        wire = target.wire(request)
        like = request.wire in wire.like
        masked = None
        exchange.last_look = None
        if ranked.treatment is not _CLEAR:
            masked = await self._masked(exchange, decision, ranked)
            request = masked.request
        outgoing = (
            wire.encode(request, deployment, None)
            if like
            else translated(exchange.asking_wire, wire, request, deployment)
        )
        if masked is not None or not signed:
            outgoing = changed(wire, outgoing, masked, signed=signed)
        restorer = (
            None
            if masked is None and self._replies is None
            else self._restorer(exchange, decision, deployment, masked, wire)
        )
        begin = begun(exchange, decision, ranked, deployment, outgoing)
        # Masks are restored in events, and events are what is looked at, so its reply is never passed on as it came.
        exchange.attempt(
            ranked,
            begin.attempt,
            outgoing.deviations,
            like=like and restorer is None and exchange.kept is None,
            restorer=restorer,
        )
        self._ledger.begin(begin)
        self._metrics.started(deployment.name)
        self._metrics.deviated(outgoing.deviations)
        since = self._health.now()
        self._health.take(deployment.name)
        began = time.perf_counter()
        if exchange.attempts == 1:
            self._metrics.overhead(request.operation, began - exchange.started)
        seen = Seen(
            run=None
            if self._loads is None
            else self._loads.started(deployment, request.input_tokens, request.max_output, exchange)
        )
        try:
            if decision.audit:
                await self._witness.leaving(
                    request,
                    decision,
                    ranked,
                    exchange.seen,
                    attempt=begin.attempt,
                    host=target.origin.host,
                    body=outgoing.body,
                    masks=0 if masked is None else masked.masks,
                )
            await self._send(exchange, decision, target, outgoing, seen, fresh=fresh)
            if target.may_cut:
                await self._guard(exchange, decision, ranked, target, seen)
            if restorer is not None:
                await self._told(exchange, decision, ranked, restorer, seen)
        except NearfarError as error:
            if not isinstance(error, StaleConnectionError):
                self._health.failed(deployment.name, error, began=since)
            outcome = "cut" if isinstance(error, StreamCut) else "error"
            self._settle(begin, deployment, seen, began, outcome, error.code)
            raise
        except asyncio.CancelledError:
            self._health.leave(deployment.name)
            self._settle(begin, deployment, seen, began, "cancelled", "hedged" if exchange.lost else "client_gone")
            raise
        except BaseException:
            self._settle(begin, deployment, seen, began, "error", "internal_error")
            raise
        self._health.succeeded(deployment.name, began=since)
        if self._lives is not None:
            self._lives.answered(target, outgoing.context)
        return self._settle(begin, deployment, seen, began, "ok", "")

    async def _masked(self, exchange: Exchange, decision: Decision, ranked: Ranked) -> Masked:
        """The request as it may leave for this candidate, which may not have it as it is."""
        masked = exchange.prepared
        if masked is None:
            if ranked.treatment is not Treatment.MASKED or self._masking is None:
                raise MaskingFailed(f"The request may only leave {ranked.treatment.label}, which is not possible here.")
            masked = await self._masking.apply(exchange.request, exchange.wire, decision.route)
        exchange.last_look = masked.look
        return masked

    def _restorer(
        self, exchange: Exchange, decision: Decision, deployment: Deployment, masked: Masked | None, wire: ProviderWire
    ) -> Restorer | None:
        """What the reply passes through on its way to the client; None: it may travel as it comes."""
        restorer = masked.restorer(wire.name) if masked is not None and masked.masks else None
        if self._replies is None:
            return restorer
        return self._replies.watch(exchange.request, decision.route, deployment.place, restorer, wire.name)

    def _send(
        self,
        exchange: Exchange,
        decision: Decision,
        target: Target,
        outgoing: Outgoing,
        seen: Seen,
        *,
        fresh: bool,
    ) -> Awaitable[None]:
        """Seal for the target's address and talk; an embedded model is started first if it is not running."""
        if target.engine_model:
            return self._send_near(exchange, decision, target, outgoing, seen, fresh=fresh)
        if target.signer is not None:
            return self._send_signed(exchange, decision, target, outgoing, target.signer, seen, fresh=fresh)
        sealed = self._seal(exchange, decision, target, outgoing, target.head(outgoing), target.origin)
        return self._talk(exchange, target, sealed, seen, fresh=fresh)

    async def _send_signed(
        self,
        exchange: Exchange,
        decision: Decision,
        target: Target,
        outgoing: Outgoing,
        signer: Signer,
        seen: Seen,
        *,
        fresh: bool,
    ) -> None:
        head = await target.signed_head(outgoing, signer)
        sealed = self._seal(exchange, decision, target, outgoing, head, target.origin)
        await self._talk(exchange, target, sealed, seen, fresh=fresh)

    async def _send_near(
        self, exchange: Exchange, decision: Decision, target: Target, outgoing: Outgoing, seen: Seen, *, fresh: bool
    ) -> None:
        try:
            await self._send_to_engine(exchange, decision, target, outgoing, seen, fresh=fresh)
        except APIConnectionError:
            # A child that was killed a moment ago can still be handed out. Nothing has left, so ask for a live one.
            if seen.sent:
                raise
            await self._send_to_engine(exchange, decision, target, outgoing, seen, fresh=True)

    async def _send_to_engine(
        self, exchange: Exchange, decision: Decision, target: Target, outgoing: Outgoing, seen: Seen, *, fresh: bool
    ) -> None:
        engines = self._engines
        if engines is None:
            raise APIConnectionError("The embedded engine is switched off.", hint="Set engine.enabled = true.")
        endpoint = await engines.acquire(target.engine_model)
        if seen.run is not None:
            seen.run.loaded()
        try:
            origin, _ = parse_base(endpoint.address)
            key = ("authorization", f"Bearer {endpoint.key}")
            head = build_head(outgoing.method, target.base_path + outgoing.path, origin, (*outgoing.headers, key))
            sealed = self._seal(exchange, decision, target, outgoing, head, origin)
            await self._talk(exchange, target, sealed, seen, fresh=fresh)
        finally:
            engines.release(target.engine_model)

    def _seal(
        self,
        exchange: Exchange,
        decision: Decision,
        target: Target,
        outgoing: Outgoing,
        head: bytes,
        origin: Origin,
    ) -> Sealed:
        attempt = exchange.attempt_id
        return self._sealer.seal(
            decision,
            target.deployment,
            attempt=attempt,
            origin=origin,
            target=outgoing.path,
            head=b"%b\r\nx-request-id: %b" % (head, attempt.encode()),
            body=outgoing.body,
            treatment=_done(exchange),
            last_look=exchange.last_look,
        )

    async def _talk(self, exchange: Exchange, target: Target, sealed: Sealed, seen: Seen, *, fresh: bool) -> None:
        """Send, and pass the reply on piece by piece. Leaving early cancels the upstream."""
        reply = None
        try:
            reply = await self._transport.send(sealed, fresh=fresh)
            seen.sent = True
            await self._pass_on(exchange, target, reply, seen)
        except NearfarError as error:
            hush(error, sealed.head, target.secret_headers)
            attribute(error, target.deployment)
            seen.deviations += tuple(exchange.brought_up())
            raise
        finally:
            if reply is not None:
                reply.leave()
            if seen.held:
                self._holding.give(seen.held)
                seen.held = 0

    async def _pass_on(self, exchange: Exchange, target: Target, reply: Reply, seen: Seen) -> None:
        request = exchange.asking
        wire: ProviderWire = target.wire(request)
        limits = None if target.quota is None else self._limits
        if limits is None or target.quota is None:
            seen.status = await reply.head()
        elif limits.knows(target.quota):
            seen.status = await limits.watch(target.quota, target.deployment.name, request, reply)
        else:
            seen.status = await reply.head()
            limits.note(target.quota, target.deployment.name, reply)
        seen.first = time.perf_counter()
        if seen.status >= 400:
            error = wire.error(seen.status, reply.headers, await reply.body())
            if limits is not None and target.quota is not None:
                limits.explain(target.quota, error)
            raise error
        decoder = wire.decoder(request, not exchange.like)
        while True:
            # What has come with the head, most often the whole reply, is not waited for.
            data = reply.ready()
            if data is None:
                data = await reply.read()
            if not data:
                break
            if not request.stream:  # what is passed on piece by piece takes no room
                seen.held += self._holding.take(len(data))
            chunks = decoder.feed(data)
            if not chunks:
                continue
            seen.note(chunks)
            await exchange.deliver(chunks)
            if chunks[-1].end:
                # All has been said: an upstream that leaves its body open keeps nobody waiting.
                await reply.drain()
                break
        if chunks := decoder.close():
            seen.note(chunks)
            await exchange.deliver(chunks)

    async def _guard(self, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target, seen: Seen) -> None:
        """See that the runtime read the whole prompt. One that cut it is told of, or left for the next candidate."""
        least = await suspicious(exchange.asking, seen.usage)
        if not least:
            return
        room = None if self._lives is None else await self._lives.room(target)
        if not was_cut(least, room):
            return
        deployment = target.deployment
        assert seen.usage is not None
        told = f"{TRUNCATED}:{seen.usage.input}/{least}"
        seen.deviations = (told,)
        self._metrics.deviation(told)
        if deployment.place.near and not exchange.committed and ranked is not decision.ranked[-1]:
            message = f"{deployment.name} read {seen.usage.input} of at least {least} tokens of the prompt."
            raise ContextTooLong(message, code=TRUNCATED, hint="Give its model more context.")
        await exchange.deviate(told)

    async def _told(
        self, exchange: Exchange, decision: Decision, ranked: Ranked, restorer: Restorer, seen: Seen
    ) -> None:
        """Tell of masks that stayed in the reply, and of what it brought up by itself."""
        await exchange.flush()
        if restorer.report.kept:
            await exchange.deviate(f"unrestored:{sum(restorer.report.kept.values())}")
        redaction = restorer.redaction
        if redaction is None:
            return
        told = redaction.deviations()
        seen.deviations += tuple(told)
        for deviation in told:
            self._metrics.deviation(deviation)
            await exchange.deviate(deviation)
        action = "redact" if redaction.redact else "tell"
        kinds = redaction.report.kinds
        attempt = exchange.attempt_id
        self._witness.replied(exchange.request, decision, ranked, attempt=attempt, action=action, kinds=kinds)

    def _settle(
        self, begin: Begin, deployment: Deployment, seen: Seen, began: float, outcome: str, error: str
    ) -> int | None:
        """Write the second record, count, and return the cost."""
        ended = time.perf_counter()
        spent = cost(deployment.price, seen.usage, at=begin.at)
        if spent is None and (not seen.sent or seen.status >= 400):
            # Nothing left, or the upstream refused: nothing is owed. All else without usage stays unknown.
            spent = 0
        end = End(
            attempt=begin.attempt,
            at=max(begin.at, time.time_ns()),  # a clock that was set back ends nothing before it began
            outcome=outcome,
            status=seen.status,
            error=error,
            usage=seen.usage,
            cost=spent,
            finish=seen.finish,
            answered=seen.model,
            first_byte_ms=round((seen.first - began) * 1000, 3) if seen.first else None,
            total_ms=round((ended - began) * 1000, 3),
            deviations=seen.deviations,
        )
        self._ledger.end(end)
        self._metrics.ended(begin, end)
        if seen.run is not None and self._loads is not None:
            self._loads.ended(seen.run, well=outcome == "ok", usage=seen.usage)
        return spent


def _done(exchange: Exchange) -> Treatment:
    """What was done to the content that is about to leave."""
    if exchange.last_look is None:
        return _CLEAR
    return Treatment.MASKED if exchange.prepared is None else Treatment.REWRITTEN
