"""What the stand-in saw and what it charges: a bounded list of requests and a file of invoices. It opens no socket.

An invoice is one JSON line, appended by a single write at the moment the reply is over, whichever way it ended:
whole, cut by the stand-in, or abandoned by the client. Of a stream the pieces that left are charged; a plain reply is
charged whole once any of it left; what never began is not charged. So the file compares with a ledger line by line.
"""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from nearfar.core.chat import Usage
from nearfar.core.money import cost
from nearfar.standin.answers import PRICE

KEPT = 2000
"""Requests remembered; the totals count all."""
BODY_LIMIT = 1024 * 1024
"""Bytes of a request body that are remembered when bodies are kept at all."""

SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"})


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """One charge. ``at`` is in nanoseconds since the epoch, ``nano_usd`` in billionths of a dollar."""

    invoice: str
    at: int
    request: str
    """``x-request-id`` as received (the gateway sends its attempt's id there), or ``x-client-request-id``."""
    reply: str
    """The id in the reply's body."""
    operation: str
    model: str
    input: int
    output: int
    nano_usd: int
    outcome: str


class Seen(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request, and what became of it."""

    number: int
    method: str
    path: str
    request: str = ""
    """The id as in Invoice."""
    model: str = ""
    stream: bool = False
    mode: str = "ok"
    retry: str = ""
    """``x-stainless-retry-count`` as received."""
    operation: str = "chat"
    input: int = 0
    chunks: int = 0
    """Pieces of text sent."""
    answered: bool = False
    """Something of an answer left, so it is charged."""
    outcome: str = "running"
    """``running``, ``complete``, ``refused`` (an error), ``cut`` (by the stand-in) or ``cancelled`` (by the client)."""
    invoice: str = ""
    headers: dict[str, str] = {}
    body: str = ""


class Totals(msgspec.Struct, kw_only=True):
    """Counts since the start or the last reset."""

    requests: int = 0
    complete: int = 0
    refused: int = 0
    cut: int = 0
    cancelled: int = 0
    redirects_followed: int = 0
    nano_usd: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ``GET /stand-in/record`` answers."""

    totals: Totals
    running: int
    connections: int
    requests: list[Seen]


class Record:
    """The running account of one stand-in."""

    def __init__(
        self,
        invoices: Path | None = None,
        *,
        keep_bodies: bool = False,
        ended: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        self.keep_bodies = keep_bodies
        self._ended = ended
        self.running = 0
        self.connections = 0
        self._number = 0
        self._totals = Totals()
        self._seen: collections.deque[Seen] = collections.deque(maxlen=KEPT)
        self._file = None
        if invoices is not None:
            self._file = os.open(invoices, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def begin(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """Note a request that came in whole."""
        self._number += 1
        self._totals.requests += 1
        self.running += 1
        seen = Seen(
            number=self._number,
            method=method,
            path=path,
            request=headers.get("x-request-id") or headers.get("x-client-request-id", ""),
            retry=headers.get("x-stainless-retry-count", ""),
        )
        if self.keep_bodies:
            seen.headers = {k: f"({len(v)} characters)" if k in SECRET_HEADERS else v for k, v in headers.items()}
            seen.body = body[:BODY_LIMIT].decode("utf-8", "replace")
        self._seen.append(seen)
        return seen

    def end(self, seen: Seen, outcome: str, *, reply: str = "") -> None:
        """Note how it ended, and charge for what was sent."""
        seen.outcome = outcome
        self.running -= 1
        setattr(self._totals, outcome, getattr(self._totals, outcome) + 1)
        if seen.answered:
            self._charge(seen, reply)
        self._ended(seen)

    def _charge(self, seen: Seen, reply: str) -> None:
        charge = cost(PRICE, Usage(input=seen.input, output=seen.chunks)) or 0
        self._totals.nano_usd += charge
        seen.invoice = f"inv-{seen.number:08d}"
        if self._file is not None:
            invoice = Invoice(
                invoice=seen.invoice,
                at=time.time_ns(),
                request=seen.request,
                reply=reply,
                operation=seen.operation,
                model=seen.model,
                input=seen.input,
                output=seen.chunks,
                nano_usd=charge,
                outcome=seen.outcome,
            )
            os.write(self._file, msgspec.json.encode(invoice) + b"\n")

    def followed(self) -> None:
        """Somebody followed the redirect."""
        self._totals.redirects_followed += 1

    def report(self) -> Report:
        """Totals and the latest requests, oldest first."""
        return Report(
            totals=self._totals, running=self.running, connections=self.connections, requests=list(self._seen)
        )

    def reset(self) -> None:
        """Forget what was seen; invoices and numbers stay, because they were charged."""
        self._totals = Totals()
        self._seen.clear()

    def close(self) -> None:
        """Close the file of invoices."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
