"""A request with masks instead of what was found in it, and the way back for its reply. It decides nothing.

What cannot be masked (media, what nobody could read, addresses) raises MaskingFailed: then a near deployment answers,
or nobody. The bytes that will leave are looked at once more, whatever made them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import MaskingFailed, NearfarError
from nearfar.gateway import rewriting_check
from nearfar.gateway.guard import LARGE, Guard
from nearfar.gateway.rewriting_check import Bound, Original
from nearfar.policy.classify import counted
from nearfar.policy.rules import Rules
from nearfar.privacy import mask
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.scan import Scanned
from nearfar.privacy.vault import Vault, identity
from nearfar.privacy.vault_check import leaks
from nearfar.privacy.walk import TEXT
from nearfar.wire import strict
from nearfar.wire.base import ClientWire

P = ParamSpec("P")
T = TypeVar("T")

SIGNED = ("anthropic", "gemini", "vertex", "bedrock")
"""Wires whose vendors sign their reasoning: it goes back to them unmodified, so its masks stay."""


class Masked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may leave, and what stands behind its masks. It dies with the request."""

    request: Request
    vault: Vault
    masks: int
    """Values that stand behind masks in it."""
    trusted: frozenset[str]
    """Tools into whose arguments values are restored."""

    def look(self, leaving: bytes) -> None:
        """Raises MaskingFailed if what is about to leave holds a value in any form."""
        if found := leaks(leaving, self.vault):
            raise MaskingFailed(
                f"What would leave still holds a value that must not ({found[0]}): nothing was sent.",
                hint="A near deployment on the route would answer.",
            )

    def restorer(self, wire: str) -> Restorer:
        """For one reply over the provider wire ``wire``."""
        return Restorer(self.vault, trusted=self.trusted, reasoning=not wire.startswith(SIGNED))


class Masking:
    """Makes masks with one key."""

    def __init__(self, guard: Guard, rules: Rules, key: bytes) -> None:
        """``key``: the same in every process that may answer a conversation's next turn."""
        self._guard = guard
        self._rules = rules
        self._key = key

    async def apply(self, request: Request, wire: ClientWire, route: str) -> Masked:
        """``request`` with masks. Raises MaskingFailed or GuardError."""
        if len(request.body) > LARGE or self._guard.slow:
            return await asyncio.to_thread(self._try, self._masked, request, wire, route)
        return self._try(self._masked, request, wire, route)

    @staticmethod
    def _try(step: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        try:
            return step(*args, **more)
        except NearfarError:
            raise
        except Exception as error:
            # Whatever went wrong: what could not be masked must not leave.
            raise MaskingFailed(f"The request could not be masked: {type(error).__name__}.") from error

    def _masked(self, request: Request, wire: ClientWire, route: str) -> Masked:
        given, scanned, vault = self._scanned(request, route)
        texts = mask.mask(given.spots, [item.findings for item in scanned], vault)
        if len(vault):
            request = _with(request, texts)
        return Masked(request=request, vault=vault, masks=len(vault), trusted=self._trusted(request, wire))

    def _scanned(self, request: Request, route: str) -> tuple[mask.Spots, list[Scanned], Vault]:
        """Every text of ``request`` with what was found in it, and an empty vault. Raises for what is no text."""
        scanner = self._guard.scanner(route)
        given = mask.spots(request.body)
        if given.media:
            raise MaskingFailed(f"{given.media[0]} is no text, and media cannot be masked.")
        scanned = [scanner.scan(spot.text) for spot in given.spots]
        if any(item.unknowns for item in scanned):
            raise MaskingFailed("The request holds something that nobody could read, so it cannot be masked.")
        return given, scanned, Vault(self._key, caller=request.caller, conversation=identity(given.first))

    async def original(self, request: Request, route: str) -> Original:
        """What may not be in a request that stands for this one. Raises MaskingFailed or GuardError."""
        if len(request.body) > LARGE or self._guard.slow:
            return await asyncio.to_thread(self._try, self._original, request, route)
        return self._try(self._original, request, route)

    def _original(self, request: Request, route: str) -> Original:
        given, scanned, vault = self._scanned(request, route)
        for spot, found in zip(given.spots, scanned, strict=True):
            for item in found.findings:
                vault.word(spot.text[item.start : item.end], item.kind)
        texts = tuple(spot.text for spot in given.spots if spot.form == TEXT)
        return Original(vault=vault, texts=texts)

    def instead(self, original: Original, request: Request, route: str, *, bound: Bound) -> Masked:
        """``request``, which a model wrote in place of ``original``, as it may leave.

        Whatever that model wrote: it raises MaskingFailed if a value of the original is in it in any form, or something
        that may not leave even masked; what else is found in it is masked. ``bound``: what may leave.
        """
        return self._try(self._instead, original, request, route, bound)

    def _instead(self, original: Original, request: Request, route: str, bound: Bound) -> Masked:
        given, scanned, _ = self._scanned(request, route)
        kinds = counted(item.kind for found in scanned for item in found.findings)
        rewriting_check.check(original, request.body, [spot.text for spot in given.spots], kinds, bound)
        vault = original.vault
        before = len(vault)
        texts = mask.mask(given.spots, [item.findings for item in scanned], vault)
        if len(vault) > before:
            request = _with(request, texts)
        return Masked(request=request, vault=vault, masks=len(vault) - before, trusted=frozenset())

    def _trusted(self, request: Request, wire: ClientWire) -> frozenset[str]:
        if not self._rules.trusted_tools or wire.conversation is None:
            return frozenset()
        names = (tool.name for tool in wire.conversation(request).tools)
        return frozenset(name for name in names if self._rules.trusts(name))


def _with(request: Request, texts: Sequence[str]) -> Request:
    body = mask.mask_body(request.body, texts)
    return msgspec.structs.replace(request, body=body, fields=strict.members(body))
