"""What operators are told of a process, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from tests.parts.built import FAR, gateway, loaded

from nearfar import build
from nearfar.gateway.metrics import Metrics
from nearfar.settings.load import Loaded


def test_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    threads = threading.active_count()
    made = build.gateway(loaded(tmp_path, FAR))
    made.start()
    asyncio.run(made.close())
    assert threading.active_count() == threads
    assert list((tmp_path / "state" / "journal").iterdir()) == []


def test_ready_is_who_can_account_and_has_somewhere_to_send(tmp_path: Path) -> None:
    def ready(settings: Loaded, *, closed: bool = False) -> dict[str, bool]:
        with gateway(settings) as made:
            if closed:
                made._ledger.close()
            return {check.name: check.ok for check in made.readiness()}

    assert ready(loaded(tmp_path, FAR)) == {"ledger": True, "deployments": True}
    assert ready(loaded(tmp_path, engine__enabled="false")) == {"ledger": True, "deployments": False}
    looking = loaded(tmp_path, engine__enabled="false", discovery__loopback="true")
    assert ready(looking) == {"ledger": True, "deployments": True}, "none yet is not none"
    assert ready(loaded(tmp_path, FAR), closed=True) == {"ledger": False, "deployments": True}


def test_counts_of_other_workers_are_added(tmp_path: Path) -> None:
    other = Metrics()
    other.rejected("overloaded")

    async def others() -> list[Any]:
        return [other.snapshot(), other.snapshot()]

    with gateway(loaded(tmp_path), other_metrics=others) as made:
        made.metrics.rejected("overloaded")
        text = asyncio.run(made.metrics_text()).decode()
    assert 'nearfar_rejected_requests_total{code="overloaded"} 3' in text
