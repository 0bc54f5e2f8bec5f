"""The seal: the only value the transport sends. It binds a decision to exact bytes and one address.

Whoever wants bytes to leave (a request, a retry, a health probe, discovery) must have them sealed here first;
the transport recomputes the tag at the socket, so bytes changed on the way, or an address that the decision
did not allow, do not leave. It knows no vendor and opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from nearfar.core.errors import EgressDenied
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Decision, Deployment

Look = Callable[[bytes], None]
"""Reads the exact bytes that are to leave, and raises MaskingFailed where a value that was masked stands in them."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a connection goes: a host and port, or a Unix socket."""

    scheme: str
    """``http``, ``https`` or ``unix``."""
    host: str
    """Host name or address; the socket's path for ``unix``."""
    port: int = 0


class Sealed(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Exact bytes, where they may go, and the proof that policy said so. Never printed: the head holds a key."""

    decision: str
    attempt: str
    class_: Class
    place: Place
    """The place of the deployment it is meant for; the transport holds the address to it."""
    furthest: Place
    origin: Origin
    target: str
    """The request target: a path with its query."""
    head: bytes
    """Request line and headers, without content-length and without the final empty line."""
    body: bytes
    tag: bytes

    def __repr__(self) -> str:
        """Everything but the bytes."""
        return (
            f"Sealed(decision={self.decision!r}, attempt={self.attempt!r}, class={self.class_.label}, "
            f"place={self.place.label}, origin={self.origin.host!r})"
        )


_CLEAR: Final = Treatment.CLEAR


class Sealer:
    """Seals and verifies with one random key per gateway."""

    def __init__(self, key: bytes) -> None:
        """``key``: 16 to 64 random bytes that never leave the process group."""
        self._key = key
        self._newest: Sealed | None = None
        """What was sealed last. It is frozen: while it is this very object, its bytes are those that were tagged."""

    def seal(
        self,
        decision: Decision,
        deployment: Deployment,
        *,
        attempt: str,
        origin: Origin,
        target: str,
        head: bytes,
        body: bytes,
        treatment: Treatment = Treatment.CLEAR,
        last_look: Look | None = None,
    ) -> Sealed:
        """Bind ``body`` to ``deployment``. Raises EgressDenied unless the decision ranked it within its reach.

        ``treatment``: what was done to the content. It must be at least what the decision demands there, and then
        ``last_look`` sees the exact target, head and body before they are sealed.
        """
        if deployment.place > decision.furthest:
            raise EgressDenied(
                f"{decision.class_.label} content may go no further than {decision.furthest.label}, "
                f"and {deployment.name} is {deployment.place.label}.",
                hint="`nearfar route explain` shows which deployments are allowed.",
            )
        for ranked in decision.ranked:
            if ranked.candidate.deployment is deployment:
                demanded = ranked.treatment
                break
        else:
            raise EgressDenied(f"decision {decision.id} did not allow {deployment.name}.")
        if demanded is not _CLEAR:
            if treatment < demanded or last_look is None:
                raise EgressDenied(
                    f"decision {decision.id} allows {deployment.name} only what is {demanded.label} and looked at once "
                    "more: nothing was sent."
                )
            for leaving in (target.encode("utf-8", "surrogatepass"), head, body):
                last_look(leaving)
        class_, furthest = decision.class_, decision.furthest
        self._newest = sealed = Sealed(
            decision=decision.id,
            attempt=attempt,
            class_=class_,
            place=deployment.place,
            furthest=furthest,
            origin=origin,
            target=target,
            head=head,
            body=body,
            tag=self._tag(decision.id, attempt, class_, deployment.place, furthest, origin, target, head, body),
        )
        return sealed

    def probe(
        self,
        *,
        attempt: str,
        place: Place,
        reach: Place,
        origin: Origin,
        target: str,
        head: bytes,
        body: bytes = b"",
    ) -> Sealed:
        """Seal a request without content (a health probe, discovery), reaching no further than ``reach``.

        ``body`` may hold the gateway's own words, such as the name of a model to load, and nothing of any request.
        """
        if place > reach:
            raise EgressDenied(f"a probe may reach {reach.label}, not {place.label}.")
        return Sealed(
            decision="probe",
            attempt=attempt,
            class_=Class.PUBLIC,
            place=place,
            furthest=reach,
            origin=origin,
            target=target,
            head=head,
            body=body,
            tag=self._tag("probe", attempt, Class.PUBLIC, place, reach, origin, target, head, body),
        )

    def verify(self, sealed: Sealed) -> None:
        """Raises EgressDenied when ``sealed`` is not what was sealed here."""
        newest, self._newest = self._newest, None
        if sealed is newest:
            # Nearly every request is sent by whoever sealed it, at once: hashing its bytes again would find the same.
            return
        expected = self._tag(
            sealed.decision,
            sealed.attempt,
            sealed.class_,
            sealed.place,
            sealed.furthest,
            sealed.origin,
            sealed.target,
            sealed.head,
            sealed.body,
        )
        if not hmac.compare_digest(expected, sealed.tag) or sealed.place > sealed.furthest:
            raise EgressDenied("the bytes or the address differ from what policy sealed: nothing was sent.")

    def _tag(
        self,
        decision: str,
        attempt: str,
        class_: Class,
        place: Place,
        furthest: Place,
        origin: Origin,
        target: str,
        head: bytes,
        body: bytes,
    ) -> bytes:
        # Lengths stand before the variable parts, so that no two different tuples hash alike. Twice per request:
        # one formatting of plain integers, because formatting an enum member costs as much as hashing the body.
        meta = "%s\0%s\0%d.%d.%d\0%s\0%s\0%d\0%s\0%d\0%d\0" % (  # noqa: UP031 - half the time of an f-string
            decision,
            attempt,
            class_,
            place,
            furthest,
            origin.scheme,
            origin.host,
            origin.port,
            target,
            len(head),
            len(body),
        )
        # SHA-256 runs in hardware on today's processors: half the time of BLAKE2b for a request of 2 kB. Nothing can be
        # appended to what was tagged, because the lengths are part of it.
        hashed = hashlib.sha256(self._key + meta.encode())
        hashed.update(head)
        hashed.update(body)
        return hashed.digest()
