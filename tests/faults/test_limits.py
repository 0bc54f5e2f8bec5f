"""Limits are seen before they are reached, by every worker, and a wait that was asked for is kept by all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests import running
from tests import stand_in as stand_ins
from tests.running import eventually

COUNTED = {"remaining": 0, "limit": 60, "reset": "600s"}


def asked(stand_in: stand_ins.Running) -> int:
    return len(stand_in.report().requests)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(COUNTED, "limit_reached"), ({"mode": "429", "retry_after": 60}, "rate_limit_exceeded")],
    ids=["before", "after"],
)
def test_all_workers_leave_it_alone(tmp_path: Path, behaviour: dict[str, Any], reason: str) -> None:
    with stand_ins.running() as far, stand_ins.running() as near:
        config = running.far("far", far.url, behaviour=behaviour)
        config += running.far("near", near.url, more='place = "device"')
        config += running.route("main", "far", "near", strategy="cloud-first")
        with running.gateway(tmp_path, config, arguments=("--workers", "2"), base=running.PATIENT) as gateway:
            assert gateway.chat("main").status == 200
            # Each connection may come to either worker; news of the rest reaches the other one in a moment.
            eventually(lambda: all("far" in gateway.cooling() for _ in range(8)))
            assert gateway.cooling()["far"]["reason"] == reason
            before = asked(far)
            for _ in range(20):
                reply = gateway.chat("main", stream=True)
                assert (reply.status, reply.headers["x-nearfar-deployment"]) == (200, "near")
            assert asked(far) == before, "nobody asks it, from whichever worker"
            alone = gateway.chat("far")
            assert (alone.status, alone.headers["x-should-retry"]) == (429, "true")
            assert 1 <= int(alone.headers["retry-after"]) <= 60
            assert asked(far) == before
