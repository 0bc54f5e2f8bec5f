"""A request with masks instead of what was found in it, and the way back for its reply. It decides nothing.

What cannot be masked (media, what nobody could read, addresses) raises MaskingFailed: then a near deployment answers,
or nobody. The bytes that will leave are looked at once more, whatever made them.
"""

from __future__ import annotations

import asyncio

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import MaskingFailed, NearfarError
from nearfar.gateway.guard import LARGE, Guard
from nearfar.policy.rules import Rules
from nearfar.privacy import mask
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.vault import Vault, identity
from nearfar.privacy.vault_check import leaks
from nearfar.wire import strict
from nearfar.wire.base import ClientWire

SIGNED = ("anthropic", "gemini", "vertex", "bedrock")
"""Wires whose vendors sign their reasoning: it goes back to them unmodified, so its masks stay."""


class Masked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may leave, and what stands behind its masks. It dies with the request."""

    request: Request
    vault: Vault
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
        if len(request.body) > LARGE:
            return await asyncio.to_thread(self._apply, request, wire, route)
        return self._apply(request, wire, route)

    def _apply(self, request: Request, wire: ClientWire, route: str) -> Masked:
        try:
            return self._masked(request, wire, route)
        except NearfarError:
            raise
        except Exception as error:
            # Whatever went wrong: what could not be masked must not leave.
            raise MaskingFailed(f"The request could not be masked: {type(error).__name__}.") from error

    def _masked(self, request: Request, wire: ClientWire, route: str) -> Masked:
        scanner = self._guard.scanner(route)
        given = mask.spots(request.body)
        if given.media:
            raise MaskingFailed(f"{given.media[0]} is no text, and media cannot be masked.")
        scanned = [scanner.scan(spot.text) for spot in given.spots]
        if any(item.unknowns for item in scanned):
            raise MaskingFailed("The request holds something that nobody could read, so it cannot be masked.")
        vault = Vault(self._key, caller=request.caller, conversation=identity(given.first))
        texts = mask.mask(given.spots, [item.findings for item in scanned], vault)
        if len(vault):
            body = mask.mask_body(request.body, texts)
            request = msgspec.structs.replace(request, body=body, fields=strict.members(body))
        return Masked(request=request, vault=vault, trusted=self._trusted(request, wire))

    def _trusted(self, request: Request, wire: ClientWire) -> frozenset[str]:
        if not self._rules.trusted_tools or wire.conversation is None:
            return frozenset()
        names = (tool.name for tool in wire.conversation(request).tools)
        return frozenset(name for name in names if self._rules.trusts(name))
