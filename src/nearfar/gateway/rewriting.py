"""Asks far away without private facts: a near model writes the question, the far one answers it, the near one merges.

It chooses no far deployment and sends nothing itself: each of the three steps is an attempt like any other, decided,
sealed, journalled and audited. The near steps reach no further than the class may go in clear on the local network.
What the near model writes is material: ``masking`` says whether it may leave.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation, Message, Reasoning, Refusal, Settings, Text
from nearfar.core.errors import MaskingFailed, NearfarError, UpstreamError
from nearfar.core.places import Place, Treatment
from nearfar.core.routing import Decision, Ranked
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange, Headers
from nearfar.gateway.fleet import Fleet, Snapshot, Target
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.prompts import fill, fitting
from nearfar.gateway.rewriting_check import CODE, Bound
from nearfar.gateway.rewriting_prompts import Prompt
from nearfar.gateway.slots import Slots
from nearfar.policy.rules import Rules
from nearfar.wire.openai_chat import CLIENT

if TYPE_CHECKING:
    from nearfar.gateway.attempt import Attempts
    from nearfar.gateway.masking import Masked, Masking

REWRITE, MERGE = "rewrite", "merge"
"""Purposes of the near attempts; the far one keeps the request's own."""
LONGEST_QUESTION = 1024
"""Tokens that a question may have."""
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
"""Models that think aloud do so at the beginning."""
_SHARED = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
"""Settings of the client that both answers are asked with."""


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Reply(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...]


class _Collected:
    """An Out for a reply that nobody but the gateway reads."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """Nobody reads the head."""

    async def write(self, data: bytes) -> None:
        self._pieces.append(data)

    async def end(self, data: bytes) -> None:
        self._pieces.append(data)

    async def abort(self) -> None:
        """Whoever asked gets the error itself."""

    def text(self) -> tuple[str, bool]:
        """What was said, and whether it was cut. UpstreamError when it cannot be read."""
        try:
            (choice, *_) = msgspec.json.decode(b"".join(self._pieces), type=_Reply).choices
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise UpstreamError("A reply has no text that could be read.", code="no_content") from error
        return _THOUGHT.sub("", choice.message.content or "").strip(), choice.finish_reason == "length"


class Rewriting:
    """Rewrites with one policy over one fleet; it keeps nothing of any request."""

    def __init__(
        self,
        *,
        decider: Decider,
        fleet: Fleet,
        masking: Masking,
        metrics: Metrics,
        rules: Rules,
        prompts: Sequence[Prompt],
        slots: Slots | None = None,
    ) -> None:
        self._decider = decider
        self._fleet = fleet
        self._masking = masking
        self._metrics = metrics
        self._rules = rules
        self._prompts = prompts
        self._slots = slots

    async def run(
        self, attempts: Attempts, exchange: Exchange, decision: Decision, ranked: Ranked, target: Target
    ) -> int | None:
        """Have ``target`` answer a question that stands for the request; returns the cost of all steps in nano-USD.

        Raises MaskingFailed (``rewriting_failed``) for what cannot be rewritten or may not leave, after which another
        candidate may answer; and what the far deployment raises.
        """
        request = exchange.request
        conversation, transcript = _read(exchange)
        original = await self._masking.original(request, decision.route)
        prompt = fitting(self._prompts, transcript)
        costs: list[int | None] = []

        # 1 Near: a question without private facts.
        asked = self._request(exchange, REWRITE, prompt.rewrite, fill(prompt.rewrite_ask, {"conversation": transcript}))
        question = await self._near(attempts, exchange, decision, asked, costs)
        # 2 Far: its answer. What the near model wrote is looked at like anything else that may leave.
        bound = Bound.of(
            self._rules, decision, target.deployment.place, purpose=request.purpose, operation=request.operation
        )
        sent = _far(exchange, question, conversation.settings)
        prepared = self._masking.instead(original, sent, decision.route, bound=bound)
        answer, cut, cost = await _collect(attempts, exchange, decision, ranked, target, sent, prepared)
        costs.append(cost)
        if not answer:
            raise UpstreamError(f"{target.deployment.name} answered without a text.", code="no_content")
        # 3 Near: the answer to what was really asked. The reply's head names the far one, which the words reached.
        self._tell(exchange, f"{Treatment.REWRITTEN.label}:{target.deployment.name}")
        for lost in _lost(conversation):
            self._tell(exchange, f"dropped:{lost}")
        if cut:
            self._tell(exchange, "shortened:answer")
        slots = {"conversation": transcript, "answer": answer}
        asked = self._request(exchange, MERGE, prompt.merge, fill(prompt.merge_ask, slots), conversation.settings)
        costs.append(await self._merge(attempts, exchange, decision, ranked, asked))
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def _tell(self, exchange: Exchange, deviation: str) -> None:
        exchange.deviations.append(deviation)
        self._metrics.deviation(deviation)

    def _request(
        self, exchange: Exchange, purpose: str, system: str, text: str, settings: Settings | None = None
    ) -> Request:
        """A near step: a chat of two messages, streamed where its answer goes to a client that streams."""
        body: dict[str, object] = {
            "model": exchange.request.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
        }
        if settings is None:
            body |= {"temperature": 0, "max_tokens": LONGEST_QUESTION}
        else:
            body |= _settings(settings, (*_SHARED, "stop"))
            if exchange.request.stream:
                body["stream"] = True
            if exchange.request.stream and exchange.request.include_usage:
                body["stream_options"] = {"include_usage": True}
        return _standing(exchange.request, body, purpose)

    def _helpers(self, decision: Decision, asked: Request) -> tuple[Decision, Snapshot]:
        """The near deployments that may see the request as it is, decided as for any request of its class."""
        route = self._fleet.snapshot.routes.get(self._rules.rewriter)
        if route is None:
            raise MaskingFailed(
                f"There is no route {self._rules.rewriter!r} to rewrite requests with.",
                code=CODE,
                hint="Name one under [rewriting] in the policy; `nearfar route ls` lists them.",
            )
        found, snapshot = self._decider.decide(asked, route, Said(header=decision.class_))
        near = tuple(
            item for item in found.ranked if item.candidate.deployment.place.near and item.treatment is Treatment.CLEAR
        )
        if not near:
            raise MaskingFailed(
                f"No near deployment of route {route.name!r} may see {decision.class_.label} content to rewrite it.",
                code=CODE,
                hint="`nearfar route ls` shows what runs near.",
            )
        helpers = msgspec.structs.replace(
            found,
            id=f"{decision.id}-{asked.purpose}",
            class_reason=decision.class_reason,
            furthest=min(found.furthest, Place.LAN),
            ranked=near,
            reasons=decision.reasons,
            audit=decision.audit,
        )
        return helpers, snapshot

    @asynccontextmanager
    async def _slot(
        self, exchange: Exchange, helpers: Decision, ranked: Ranked, snapshot: Snapshot
    ) -> AsyncIterator[None]:
        """A slot of a busy near model, waited for like anybody's."""
        if self._slots is None or ranked.candidate.deployment.slots is None:
            yield
            return
        _, line = await self._slots.take(exchange, helpers, ranked, snapshot, alone=True)
        try:
            yield
        finally:
            self._slots.give(line)

    async def _near(
        self, attempts: Attempts, exchange: Exchange, decision: Decision, asked: Request, costs: list[int | None]
    ) -> str:
        helpers, snapshot = self._helpers(decision, asked)
        failed: NearfarError | None = None
        for item in helpers.ranked:
            target = snapshot.targets[item.candidate.deployment.name]
            try:
                async with self._slot(exchange, helpers, item, snapshot):
                    question, cut, cost = await _collect(attempts, exchange, helpers, item, target, asked)
            except NearfarError as error:
                failed = error
                continue
            costs.append(cost)
            if not question:
                raise MaskingFailed(
                    f"{item.candidate.deployment.name} wrote no question that could be asked instead.", code=CODE
                )
            if cut:
                self._tell(exchange, "shortened:question")
            return question
        assert failed is not None  # there is at least one helper
        raise MaskingFailed(f"No near model could rewrite the request ({failed.code}).", code=CODE) from failed

    async def _merge(
        self, attempts: Attempts, exchange: Exchange, decision: Decision, ranked: Ranked, asked: Request
    ) -> int | None:
        helpers, snapshot = self._helpers(decision, asked)
        failed: NearfarError | None = None
        exchange.asking, exchange.asking_wire, exchange.told = asked, CLIENT, ranked
        try:
            for item in helpers.ranked:
                target = snapshot.targets[item.candidate.deployment.name]
                try:
                    async with self._slot(exchange, helpers, item, snapshot):
                        return await attempts.run(exchange, helpers, item, target)
                except NearfarError as error:
                    if exchange.committed:
                        raise
                    failed = error
            exchange.told = None  # the next candidate speaks for itself
        finally:
            exchange.asking, exchange.asking_wire = exchange.request, exchange.wire
        assert failed is not None  # there is at least one helper
        raise MaskingFailed(f"No near model could merge the answer ({failed.code}).", code=CODE) from failed


async def _collect(
    attempts: Attempts,
    exchange: Exchange,
    decision: Decision,
    ranked: Ranked,
    target: Target,
    asked: Request,
    prepared: Masked | None = None,
) -> tuple[str, bool, int | None]:
    """The text of one reply, whether it was cut, and its cost. The client sees nothing of it."""
    got = _Collected()
    inner = Exchange(asked, CLIENT, got, exchange.started)
    inner.decision, inner.seen, inner.prepared = decision, exchange.seen, prepared
    inner.attempts, inner.attempt_id = exchange.attempts, exchange.attempt_id
    try:
        cost = await attempts.run(inner, decision, ranked, target)
        await inner.finish(cost)
        exchange.deviations += inner.attempt_deviations
    finally:
        exchange.attempts, exchange.attempt_id = inner.attempts, inner.attempt_id
        exchange.deviations += inner.deviations
    text, cut = got.text()
    return text, cut, cost


def _far(exchange: Exchange, question: str, settings: Settings) -> Request:
    """The question as a request of its own: nothing else of the client's request goes with it."""
    request = exchange.request
    body = {
        "model": request.model,
        "messages": [{"role": "user", "content": question}],
        **_settings(settings, _SHARED),
    }
    return _standing(request, body, request.purpose)


def _standing(request: Request, body: dict[str, object], purpose: str) -> Request:
    """A request that stands for the client's: its id, its caller, another body."""
    made = CLIENT.parse(msgspec.json.encode(body), request.id)
    made.caller, made.purpose, made.received = request.caller, purpose, request.received
    if made.max_output is None:
        made.max_output = request.max_output
    return made


def _settings(settings: Settings, names: Sequence[str]) -> dict[str, object]:
    given = {name: getattr(settings, name) for name in names}
    body = {name: value for name, value in given.items() if value is not None}
    return body if settings.max_output is None else {**body, "max_tokens": settings.max_output}


def _read(exchange: Exchange) -> tuple[Conversation, str]:
    """What the client says, and the same as one text. MaskingFailed for what is no text."""
    convert = exchange.wire.conversation
    if convert is None:
        raise MaskingFailed("A request in this dialect cannot be rewritten.", code=CODE)
    conversation = convert(exchange.request)
    if conversation.tools:
        raise MaskingFailed("A request with tools cannot be rewritten.", code=CODE)
    return conversation, "\n\n".join(_line(message) for message in conversation.messages)


def _line(message: Message) -> str:
    texts = []
    for block in message.blocks:
        if isinstance(block, Text | Refusal):
            texts.append(block.text)
        elif not isinstance(block, Reasoning):
            raise MaskingFailed("A conversation with more than text in it cannot be rewritten.", code=CODE)
    return f"[{message.role}]\n" + "\n".join(texts)


def _lost(conversation: Conversation) -> list[str]:
    """Members of the client's request that neither answer was asked with."""
    settings = conversation.settings
    named = ("top_k", "reasoning_effort", "user")
    lost = [name for name in named if getattr(settings, name) is not None]
    kept = {*_SHARED, "stop", "max_tokens", "max_completion_tokens", "stream_options"}
    return [*lost, *(name for name in conversation.extra if name not in kept)]
