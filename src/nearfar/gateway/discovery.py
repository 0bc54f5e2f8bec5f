"""Discovery: which runtimes run on this machine, known by what they answer and not by their ports alone.

It asks loopback addresses through the transport, with sealed probes, and tells nobody what to do with the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nearfar.core.errors import APIConnectionError, APITimeoutError, NearfarError
from nearfar.core.places import Place
from nearfar.gateway.connection import StaleConnectionError
from nearfar.gateway.fleet import build_head, parse_base
from nearfar.gateway.transport import Transport
from nearfar.policy.seal import Sealed, Sealer
from nearfar.providers.base import Found, Provider
from nearfar.settings.model import Deadlines

PROBE = Deadlines(connect=0.5, first_byte=1.0, between_bytes=1.0, total=2.0)

Runtimes = dict[str, tuple[str, list[Found]]]
"""Provider → (base URL, models)."""


class Discovery:
    """Asks every address that a runtime may have. One system answers at an address, whoever shares its port."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        addresses: Mapping[str, tuple[str, ...]],
        transport: Transport,
        sealer: Sealer,
    ) -> None:
        """``addresses``: provider → base URLs to ask for it, the likeliest first."""
        self._transport = transport
        self._sealer = sealer
        self._addresses = {name: bases for name, bases in addresses.items() if providers[name].probes}
        self._there: dict[str, list[Provider]] = {}
        # Who shows more marks is asked for first: what proves much is not taken for what proves little.
        for name in sorted(self._addresses, key=lambda name: (-len(providers[name].probes), name)):
            for base in self._addresses[name]:
                self._there.setdefault(base, []).append(providers[name])

    async def look(self, before: Runtimes) -> Runtimes:
        """What runs now; ``before`` is what was found last.

        A runtime that was there and does not answer in time is taken to be busy, with a long prompt for instance: what
        it said before stands. Otherwise its requests would quietly go elsewhere. Of two runtimes of one kind the one at
        the likelier address counts.
        """
        bases = list(self._there)
        answers = await asyncio.gather(*(self._at(base, before) for base in bases))
        at = {base: answer for base, answer in zip(bases, answers, strict=True) if answer is not None}
        found: Runtimes = {}
        for name, own in self._addresses.items():
            for base in own:
                if base in at and at[base][0] == name:
                    found.setdefault(name, (base, at[base][1]))
        return found

    async def _at(self, base: str, before: Runtimes) -> tuple[str, list[Found]] | None:
        """The system at ``base`` and its models; None when nobody that is known answers."""
        pages: dict[str, bytes | None] = {}
        try:
            for provider in self._there[base]:
                models = await self._ask(base, provider, pages)
                if models is not None:
                    return provider.name, models
        except APITimeoutError:
            return next(((name, models) for name, (known, models) in before.items() if known == base), None)
        except APIConnectionError:
            return None
        return None

    async def _ask(self, base: str, provider: Provider, pages: dict[str, bytes | None]) -> list[Found] | None:
        """The models of ``provider``, if every probe recognises its answer: the first one lists them."""
        first: list[Found] | None = None
        for number, probe in enumerate(provider.probes):
            if probe.path not in pages:
                pages[probe.path] = await self._page(base, probe.path)
            body = pages[probe.path]
            found = None if body is None else probe.read(body)
            if found is None:
                return None
            if number == 0:
                first = found
        return first

    async def _page(self, base: str, path: str) -> bytes | None:
        """The body at ``path``; None for any status but 200. Raises when nobody is there, or nobody in time."""
        origin, prefix = parse_base(base)
        head = build_head("GET", prefix + path, origin, ())
        sealed = self._sealer.probe(
            attempt="probe", place=Place.DEVICE, reach=Place.DEVICE, origin=origin, target=path, head=head
        )
        try:
            return await self._get(sealed, fresh=False)
        except StaleConnectionError:  # servers that close after every reply are asked anew
            return await self._get(sealed, fresh=True)
        except (APITimeoutError, APIConnectionError):
            raise
        except NearfarError:
            return None  # somebody, but nobody who speaks as runtimes do

    async def _get(self, sealed: Sealed, *, fresh: bool) -> bytes | None:
        async with await self._transport.send(sealed, deadlines=PROBE, fresh=fresh) as reply:
            return await reply.body() if await reply.head() == 200 else None
