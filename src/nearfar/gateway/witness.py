"""Puts on record what is about to leave, and what was refused, where the policy demands it. It decides nothing.

The record of an attempt is on the disk before its bytes leave; without it nothing leaves for beyond the local network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nearfar.core.chat import Request
from nearfar.core.errors import AuditUnavailable
from nearfar.core.routing import Decision, Ranked
from nearfar.policy.classify import Seen, totals

if TYPE_CHECKING:
    # Loaded only where a policy demands records.
    from nearfar.ledger.audit import Audit


class Witness:
    """Writes to one audit; without one it can only say that there is none."""

    def __init__(self, audit: Audit | None = None, detectors: str = "") -> None:
        """``detectors``: what stands for the rules and detectors with their versions."""
        self._audit = audit
        self._detectors = detectors

    async def leaving(
        self,
        request: Request,
        decision: Decision,
        ranked: Ranked,
        seen: Sequence[Seen],
        *,
        attempt: str,
        host: str,
        body: bytes,
        masks: int = 0,
    ) -> None:
        """Come back when the record is durable. Raises AuditUnavailable, which another candidate may mend.

        Returns at once where no record is demanded. What stays near is put on record without waiting, so that the
        chain tells where everything of a class ran, and a disk that fails stops nothing near.
        """
        if not decision.audit:
            return
        near = ranked.candidate.deployment.place.near
        if self._audit is None:
            if near:
                return
            raise AuditUnavailable(
                f"Policy {decision.policy} demands a record before bytes leave, and this process keeps none."
            )
        from nearfar.ledger.audit_records import attempted

        kinds, unknown, harmless = totals(seen)
        record = attempted(
            request,
            decision,
            ranked,
            attempt=attempt,
            host=host,
            body=body,
            detectors=self._detectors,
            kinds=kinds,
            unknown=unknown,
            harmless=harmless,
            masks=masks,
        )
        if near:
            self._audit.submit(record)
        else:
            await self._audit.durable(record)

    def turned_away(self, request: Request, decision: Decision, seen: Sequence[Seen], code: str) -> None:
        """Record a refusal soon: nothing left, so nobody waits for it."""
        if self._audit is None or not decision.audit:
            return
        from nearfar.ledger.audit_records import refused

        kinds, unknown, harmless = totals(seen)
        self._audit.submit(
            refused(
                request,
                decision,
                code=code,
                detectors=self._detectors,
                kinds=kinds,
                unknown=unknown,
                harmless=harmless,
            )
        )

    def replied(
        self,
        request: Request,
        decision: Decision,
        ranked: Ranked,
        *,
        attempt: str,
        action: str,
        kinds: dict[str, int],
    ) -> None:
        """Record soon what a reply brought up, where records are demanded: it came in, so nobody waits."""
        if self._audit is None or not decision.audit or not kinds:
            return
        from nearfar.ledger.audit_records import replied

        self._audit.submit(
            replied(request, decision, ranked, attempt=attempt, action=action, kinds=kinds, detectors=self._detectors)
        )
