"""A question without private facts, whole: `nearfar serve`, a stand-in as its cloud, the embedded engine near.

The near model is the demonstration model: it writes nonsense, and nothing here is said of what it writes. What is said
is where bytes went, in which form, and what ledger, headers and audit tell of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import running, stand_in

from nearfar.core.places import Class, Treatment
from nearfar.ledger.audit_prove import HOLDS, Claim, Exported, export, prove
from nearfar.ledger.audit_records import Attempted

Start = Callable[..., running.Gateway]

ID = "A123456789"
ASKED = f"The customer with ID {ID} asks how to boil an egg. What should I write?"

pytestmark = pytest.mark.slow


def config(folder: Path, cloud: str, near: str) -> str:
    policy = folder / "policy.toml"
    policy.write_text(
        'name = "own"\ndate = 2026-11-22\nextends = "team"\naudit = "confidential"\n[rewriting]\nroute = "helper"\n'
        '[classes.confidential]\nclear = "lan"\nmasked = "lan"\nrewritten = "cloud"\nmedia = "lan"\n',
        "utf-8",
    )
    desk = running.route("desk", "far", strategy="cloud-only")
    return f'[policy]\nfile = "{policy}"\n' + running.far("far", cloud) + near + desk + running.route("helper", "near")


def purposes(gateway: running.Gateway, reply: running.Reply, count: int) -> list[tuple[str, str, str]]:
    entries = gateway.attempts(reply, count=count)
    return [(entry.deployment, entry.purpose, entry.outcome) for entry in entries]


def test_with_a_real_model(gateway: Start, stand_in: stand_in.Running, tmp_path: Path) -> None:
    base = running.BASE.replace("context = 512", "context = 1024")
    started = gateway(config(tmp_path, stand_in.url, running.near("near", "demo-tiny")), base=base)
    reply = started.chat("desk", content=ASKED, max_tokens=16)
    assert reply.status == 200, reply.body
    (seen,) = stand_in.report().requests
    assert ID not in seen.body
    assert purposes(started, reply, 3) == [("near", "rewrite", "ok"), ("far", "serve", "ok"), ("near", "merge", "ok")]
    assert (reply.headers["x-nearfar-place"], reply.headers["x-nearfar-class"]) == ("cloud", "confidential")
    assert "rewritten:far" in reply.headers["x-nearfar-deviations"]
    streamed = started.chat("desk", content=ASKED, max_tokens=16, stream=True)
    assert streamed.events[-1] == "[DONE]"
    started.stop()

    bodies: list[Exported] = []
    folder = started.state / "audit"
    assert export(folder, bodies.append).sound
    sent = [item.entry.body for item in bodies if isinstance(item.entry.body, Attempted)]
    assert [(body.purpose, body.place, body.treatment) for body in sent[:3]] == [
        ("rewrite", "device", "clear"),
        ("serve", "cloud", "rewritten"),
        ("merge", "device", "clear"),
    ]
    assert prove(folder, Claim(class_=Class.CONFIDENTIAL, form=Treatment.REWRITTEN)).answer == HOLDS


def test_whatever_the_near_model_writes(gateway: Start, stand_in: stand_in.Running, tmp_path: Path) -> None:
    behaviour = {"says": [ASKED]}
    near = running.far("near", stand_in.url, behaviour=behaviour, more='place = "device"')
    started = gateway(config(tmp_path, stand_in.url, near))
    reply = started.chat("desk", content=ASKED)
    assert (reply.status, reply.error["code"]) == (500, "rewriting_failed")
    assert ID not in reply.body.decode()
    (seen,) = stand_in.report().requests
    assert ID in seen.body, "the near model alone was asked"
    assert purposes(started, reply, 1) == [("near", "rewrite", "ok")]
    assert started.metric("nearfar_rejected_requests_total", code="rewriting_failed") == 1
    started.stop()
