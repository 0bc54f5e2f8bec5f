"""Looks at what replies from beyond the local network bring up by themselves, as the policy wants. It knows no wire.

What the caller sent, in this request or earlier in its conversation, is no news and stays; so do restored masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from nearfar.core.chat import Request
from nearfar.core.errors import GuardError, MaskingFailed, NearfarError
from nearfar.core.places import Place
from nearfar.gateway.masking import SIGNED
from nearfar.policy.rules import Rules
from nearfar.privacy import walk
from nearfar.privacy.findings import Finding
from nearfar.privacy.redact import Own, Redaction
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.scan import Scanner
from nearfar.privacy.vault import Vault

TELL, REDACT = "tell", "redact"
_SPEAKING = "chat"
"""The operation whose replies are somebody's words; a transcript is the caller's own."""


class ReplyGuard:
    """Looks with one set of rules and detectors."""

    def __init__(self, rules: Rules, scanner: Callable[[tuple[str, ...]], Scanner]) -> None:
        """``scanner``: harmless values → a scanner that lets them through. It must keep no memo of what it is shown:
        the stretches of a reply never come again.
        """
        self._rules = rules
        self._make = scanner
        self._scanners: dict[tuple[str, ...], Scanner] = {}
        self._watched: dict[str, bool] = {}
        self._scanner("")

    def watch(
        self, request: Request, route: str, place: Place, restorer: Restorer | None, wire: str
    ) -> Restorer | None:
        """What the reply to ``request`` passes through, for a candidate at ``place`` over the provider wire ``wire``.

        ``restorer`` is what it would pass through anyway. None: nobody looks.
        """
        if place.near or request.operation != _SPEAKING:
            return restorer
        if restorer is None:
            restorer = Restorer(Vault.kept({}), reasoning=not wire.startswith(SIGNED))
        scanner = self._scanner(route)
        body = request.body
        restorer.redaction = Redaction(
            scan=lambda text: self._look(scanner, text),
            own=Own(lambda: _texts(body)),
            redact=self._rules.replies == REDACT,
        )
        return restorer

    def _scanner(self, route: str) -> Scanner:
        harmless = self._rules.harmless_on(route)
        scanner = self._scanners.get(harmless)
        if scanner is None:
            scanner = self._scanners[harmless] = self._make(harmless)
        return scanner

    def _look(self, scanner: Scanner, text: str) -> list[Finding]:
        try:
            found = scanner.scan(text).findings
        except NearfarError:
            raise
        except Exception as error:
            # Whatever a detector does: what nobody read does not reach whom it may not.
            raise GuardError(f"A reply could not be looked at: {type(error).__name__}.") from error
        return [each for each in found if self._watches(each.kind)]

    def _watches(self, kind: str) -> bool:
        watched = self._watched.get(kind)
        if watched is None:
            watched = self._watched[kind] = self._rules.watches(kind)
        return watched


def _texts(body: bytes) -> Iterator[str]:
    texts: list[str] = []

    def visit(spot: walk.Spot) -> str:
        texts.append(spot.text)
        return spot.text

    with suppress(MaskingFailed):  # a body that cannot be walked: then nothing counts as said by the caller
        walk.body(body, visit, [])
    yield from texts
