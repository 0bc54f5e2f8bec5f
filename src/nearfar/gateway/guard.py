"""Looks at what a request says, so that its content can raise its class. It decides nothing and keeps no text.

What cannot be looked at, for whatever reason, is told as such: then nothing leaves for beyond the local network.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import GuardError, NearfarError
from nearfar.policy.classify import FOUND, Seen
from nearfar.policy.rules import Rules
from nearfar.privacy import walk
from nearfar.privacy.scan import Scanned, Scanner

LARGE = 64 * 1024
"""Bytes of body from which on reading happens beside the event loop."""
MOST = 8 * 1024 * 1024
"""Bytes of body that are read at all: more counts as not looked at."""

_FORMS = frozenset({"transcription"})
"""Operations whose body is a form with a sound in it: media, which the policy has a rule of its own for."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, and why nothing could be; one of them is empty."""

    seen: tuple[Seen, ...] = ()
    guard: str = ""


_NOTHING = Look()


class Guard:
    """Reads requests with one set of rules and detectors."""

    def __init__(self, rules: Rules, scanner: Callable[[tuple[str, ...]], Scanner], *, deadline: float = 0.0) -> None:
        """``scanner``: harmless values → a scanner that lets them through.

        ``deadline``: seconds that one request may take where detectors are slow: then reading is always beside the
        event loop. 0: they are as quick as rules.
        """
        self._deadline = deadline
        self._rules = rules
        self._make = scanner
        self._scanners: dict[tuple[str, ...], Scanner] = {}

    @property
    def version(self) -> str:
        """Stands for rules and detectors."""
        return self.scanner("").version

    async def look(self, request: Request, route: str) -> Look:
        """What stands in ``request``, asked on ``route``. Never raises: what fails is told in ``guard``."""
        if request.operation in _FORMS:
            return _NOTHING
        size = len(request.body)
        if size > MOST:
            return Look(guard=f"the body has {size} bytes, and {MOST} are looked at")
        if size > LARGE or self._deadline:
            return await asyncio.to_thread(self._look, request.body, route)
        return self._look(request.body, route)

    @property
    def slow(self) -> bool:
        """Whether its detectors are too slow for the event loop."""
        return bool(self._deadline)

    def _look(self, body: bytes, route: str) -> Look:
        try:
            scanner = self.scanner(route)
            until = time.monotonic() + self._deadline if self._deadline else math.inf
            return read(body, scanner, [], until)
        except NearfarError as error:
            return Look(guard=error.text)
        except Exception as error:  # noqa: BLE001 - whatever a detector does, what it did not read must not leave
            return Look(guard=f"a detector failed with {type(error).__name__}")

    def scanner(self, route: str) -> Scanner:
        """The one that lets through what the owner lists as harmless on ``route``."""
        harmless = self._rules.harmless_on(route)
        scanner = self._scanners.get(harmless)
        if scanner is None:
            scanner = self._scanners[harmless] = self._make(harmless)
        return scanner


def read(body: bytes, scanner: Scanner, media: list[str], until: float = math.inf) -> Look:
    """What ``scanner`` sees in the texts of ``body``, in any dialect. ``media`` gets the paths of what is no text.

    Raises what the scanner raises, MaskingFailed for a body that cannot be read, and GuardError where it is not done at
    ``until``, in monotonic seconds.
    """
    parts: dict[str, list[Scanned]] = {}

    def visit(spot: walk.Spot) -> str:
        if spot.text:
            if time.monotonic() > until:
                raise GuardError("The detectors did not come to an end in time.")
            found = scanner.scan(spot.text)
            if found.findings or found.unknowns or found.harmless:
                # What the model wrote comes back with the conversation; all else is what the client says now.
                parts.setdefault("history" if spot.by == "model" else FOUND, []).append(found)
        return spot.text

    walk.body(body, visit, media)
    if not parts:
        return _NOTHING
    return Look(seen=tuple(_seen(part, found) for part, found in sorted(parts.items())))


def _seen(part: str, found: list[Scanned]) -> Seen:
    kinds: dict[str, int] = {}
    for scanned in found:
        for finding in scanned.findings:
            kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
    return Seen(
        part=part,
        kinds=kinds,
        unknown=sum(len(scanned.unknowns) for scanned in found),
        harmless=sum(scanned.harmless for scanned in found),
    )
