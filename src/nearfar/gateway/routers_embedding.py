"""Asks a near deployment for the embedding of a prompt, for routers that need one. It knows no router.

It is an attempt like any other: decided with the class of the request, sealed, journalled, and for near places alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from nearfar.core.chat import Chunk, EmbeddingsDelta, Request
from nearfar.core.errors import APITimeoutError, DeploymentUnusable, UpstreamError
from nearfar.core.routing import Route
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.exchange import Exchange, Headers
from nearfar.gateway.hedge import Runs
from nearfar.policy.decide import summary
from nearfar.wire.openai_embeddings import CLIENT

PURPOSE = "router"
LONGEST = 8_000
"""Characters that are embedded, half of them from the end: small models cut what is longer, or refuse it."""
SECONDS = 2.0
"""How long a request waits for it; then its route's strategy decides alone."""


class Embedder:
    """Asks one deployment."""

    def __init__(self, deployment: str, decider: Decider, attempts: Runs, *, seconds: float = SECONDS) -> None:
        self._deployment = deployment
        self._decider = decider
        self._attempts = attempts
        self._seconds = seconds

    async def __call__(self, request: Request, route: Route, said: Said, text: str) -> list[float]:
        """The embedding of ``text``, which ``request`` holds. Raises NearfarError."""
        cut = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"
        asked = CLIENT.parse(msgspec.json.encode({"model": self._deployment, "input": cut}), request.id)
        asked.purpose, asked.caller, asked.received = PURPOSE, request.caller, request.received
        way = Route(
            # Decisions are remembered by the route's name, and these are others than those of the route itself.
            name=f"{route.name} {PURPOSE} {self._deployment}",
            strategy="local-only",
            deployments=(self._deployment,),
            floor=route.floor,
            cold="wait",
        )
        decision, snapshot = self._decider.decide(asked, way, said)
        decision = msgspec.structs.replace(decision, id=f"{decision.id}-{PURPOSE}", route=route.name)
        if not decision.ranked:
            raise DeploymentUnusable(f"{self._deployment!r} may not be asked: {summary(decision)}.")
        lane = Exchange(asked, CLIENT, _Nowhere(), time.perf_counter())
        # It comes before all attempts at an answer, whose numbers begin at one.
        lane.decision, lane.seen, lane.attempts = decision, said.seen, -1
        heard = lane.ear = _Heard()
        try:
            async with asyncio.timeout(self._seconds):
                await self._attempts.run(lane, decision, decision.ranked[0], snapshot.targets[self._deployment])
        except TimeoutError as error:
            raise APITimeoutError(f"{self._deployment!r} took more than {self._seconds:g} s to embed.") from error
        if len(heard.vectors) != 1:
            raise UpstreamError(f"{self._deployment!r} gave {len(heard.vectors)} embeddings for one text.")
        return heard.vectors[0]


class _Heard:
    """Hears vectors."""

    changes = False

    def __init__(self) -> None:
        self.vectors: list[list[float]] = []

    def hear(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            for event in chunk.events:
                if isinstance(event, EmbeddingsDelta):
                    self.vectors += event.vectors


class _Nowhere:
    """An Out for a reply that an ear holds back: nothing comes here."""

    async def start(self, _status: int, _headers: Headers, _lines: bytes = b"", /) -> None:
        raise AssertionError("an embedding goes to no client")

    async def write(self, _data: bytes, /) -> None:
        raise AssertionError("an embedding goes to no client")

    async def end(self, _data: bytes, /) -> None:
        raise AssertionError("an embedding goes to no client")

    async def abort(self) -> None:
        """There is no connection."""
