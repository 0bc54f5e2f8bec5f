"""One gateway in front of a stand-in for a cloud that fails in every way, each way as a deployment of its own.

A deployment carries its failure in a header of its own, so its cool-down touches no other test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests import running
from tests import stand_in as stand_ins

from nearfar.standin.record import Seen


class Failure(NamedTuple):
    """One way to fail, and what a client without another candidate gets."""

    behaviour: dict[str, Any]
    status: int
    code: str
    outcome: str = "error"
    """In the ledger."""
    waits: float | None = None
    """Seconds of ``retry-after-ms`` in the reply to the client."""


STRUCK = "rate_limit_exceeded"
REFUSED = {
    "429-seconds": Failure({"mode": "429", "retry_after": 7}, 429, STRUCK, waits=7),
    "429-ms": Failure({"mode": "429", "retry_after": 1.5, "retry_after_form": "ms"}, 429, STRUCK, waits=1.5),
    "429-date": Failure({"mode": "429", "retry_after": 30, "retry_after_form": "date"}, 429, STRUCK, waits=30),
    "429-silent": Failure({"mode": "429"}, 429, STRUCK),
    "500": Failure({"mode": "500"}, 502, "upstream_error"),
    "503": Failure({"mode": "503", "retry_after": 2}, 503, "server_is_overloaded", waits=2),
    "529": Failure({"mode": "529"}, 503, "overloaded"),
    "401": Failure({"mode": "401"}, 502, "upstream_credentials"),
    "never": Failure({"mode": "never"}, 504, "upstream_timeout"),
    "redirect": Failure({"mode": "redirect"}, 502, "redirect_refused"),
}
"""Failures before anything of an answer: the same for plain replies and streams."""

PLAIN = {
    **REFUSED,
    "empty": Failure({"mode": "empty"}, 502, "stream_cut", "cut"),
    "garbage": Failure({"mode": "garbage"}, 502, "bad_reply"),
    "invalid-json": Failure({"mode": "invalid-json"}, 502, "stream_cut", "cut"),
    "error-in-200": Failure({"mode": "error-event"}, 502, "upstream_error"),
    "cut": Failure({"mode": "cut"}, 502, "stream_cut", "cut"),
    "close": Failure({"mode": "close"}, 502, "stream_cut", "cut"),
    "stall": Failure({"mode": "stall"}, 504, "upstream_timeout"),
    "half-close": Failure({"mode": "half-close"}, 502, "stream_cut", "cut"),
}
EARLY = {
    **REFUSED,
    "empty": Failure({"mode": "empty"}, 502, "stream_cut", "cut"),
    "garbage": Failure({"mode": "garbage", "after": 0}, 502, "bad_reply"),
    "invalid-json": Failure({"mode": "invalid-json", "after": 0}, 502, "malformed_event"),
    "error-event": Failure({"mode": "error-event", "after": 0}, 502, "upstream_error"),
    "cut": Failure({"mode": "cut", "after": 0}, 502, "stream_cut", "cut"),
    "close": Failure({"mode": "close", "after": 0}, 502, "stream_cut", "cut"),
    "stall": Failure({"mode": "stall", "after": 0}, 504, "upstream_timeout"),
    "half-close": Failure({"mode": "half-close", "after": 0}, 502, "stream_cut", "cut"),
}
"""Failures of a stream before its first content."""

# The pause lets the first content reach the client before the failure.
_PAUSE = {"after": 3, "chunk_ms": 30}
LATE = {
    "garbage": Failure({"mode": "garbage", **_PAUSE}, 502, "bad_reply"),
    "invalid-json": Failure({"mode": "invalid-json", **_PAUSE}, 502, "malformed_event"),
    "error-event": Failure({"mode": "error-event", **_PAUSE}, 502, "upstream_error"),
    "cut": Failure({"mode": "cut", **_PAUSE}, 502, "stream_cut", "cut"),
    "close": Failure({"mode": "close", **_PAUSE}, 502, "stream_cut", "cut"),
    "stall": Failure({"mode": "stall", **_PAUSE}, 504, "upstream_timeout"),
    "half-close": Failure({"mode": "half-close", **_PAUSE}, 502, "stream_cut", "cut"),
}
"""Failures of a stream after its first content."""

SHORT = """
[deadlines]
first_byte = 1.5
between_bytes = 1.0
[server]
body_timeout = 1.0
header_timeout = 1.0
cors_origins = ["https://app.example.org"]
allowed_hosts = ["gateway.example.org"]
"""


class Broken(NamedTuple):
    """The gateway, and the stand-in behind it."""

    gateway: running.Gateway
    stand_in: stand_ins.Running

    def seen(self, attempt: str) -> Seen:
        """What the stand-in saw of an attempt, once it is over."""

        def look() -> list[Seen]:
            found = [seen for seen in self.stand_in.report().requests if seen.request == attempt]
            assert len(found) <= 1, f"asked twice with one id: {found}"
            return [seen for seen in found if seen.outcome != "running"]

        return running.eventually(look)[0]


def configuration(url: str) -> str:
    """Every failure as deployments ``plain-NAME``, ``early-NAME``, ``late-NAME``, each with a second one behind it."""
    parts = [SHORT, running.far("well", url)]
    for kind, failures in (("plain", PLAIN), ("early", EARLY), ("late", LATE)):
        for name, failure in failures.items():
            uses = (f"{kind}-{name}-alone", f"{kind}-{name}-first")
            parts += [running.far(use, url, behaviour=failure.behaviour) for use in uses]
            parts.append(running.route(f"{kind}-{name}-then-well", f"{kind}-{name}-first", "well"))
    parts += [
        running.far("slow", url, behaviour={"first_byte_ms": 300}),
        running.far("long", url, behaviour={"chunks": 400, "chunk_ms": 25}),
        running.far("late-answer", url, behaviour={"first_byte_ms": 1400}),
        running.far("down-1", url, behaviour={"mode": "500"}),
        running.far("down-2", url, behaviour={"mode": "429", "retry_after": 9}),
        running.route("all-down", "down-1", "down-2"),
        running.far("tired", url, behaviour={"mode": "429", "retry_after": 0.8, "retry_after_form": "ms"}),
        running.route("rested", "tired", "well"),
        running.far("here", url, more='place = "device"'),
        running.far("here-down", url, behaviour={"mode": "500"}, more='place = "device"'),
        running.route("sealed", "well", more='class = "restricted"'),
        running.route("mixed", "here-down", "well", strategy="local-first"),
        running.route("both", "here", "well", strategy="cloud-first"),
    ]
    return "".join(parts)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    folder = tmp_path_factory.mktemp("broken")
    with (
        stand_ins.running(invoices=folder / "invoices.jsonl") as stand_in,
        running.gateway(folder, configuration(stand_in.url)) as gateway,
    ):
        yield Broken(gateway, stand_in)
