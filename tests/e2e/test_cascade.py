"""Near first, whole: `nearfar serve` with the stand-in as near and far models, told what to say and how surely."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import running, stand_in
from tests.faults.test_matrix import balance
from tests.stand_in import read_invoices

from nearfar.ledger.query import Entry

Start = Callable[..., running.Gateway]

MAIL = "mei.lin@example.org"
ID = "A123456789"
REFUSAL = "I am sorry, I cannot help with that."
GOOD = "The answer is 42."
DEVICE = 'place = "device"\ncapabilities = { logprobs = true }'

pytestmark = pytest.mark.slow


def config(stand_in: stand_in.Running, says: str, *, logprob: float = -0.1, cascade: str = "", head: str = "") -> str:
    near = {"says": [says], "logprob": logprob}
    other = {"says": ["I think it is 42."]}
    return (
        head
        + running.far("near", stand_in.url, behaviour=near, more=DEVICE)
        + running.far("other", stand_in.url, behaviour=other, more='place = "device"')
        + running.far("far", stand_in.url)
        + running.route("desk", "near", "far", strategy="cascade", more=f"[routes.desk.cascade]\n{cascade}")
        + running.route("local", "other", strategy="local-only")
    )


def steps(gateway: running.Gateway, reply: running.Reply, count: int) -> list[tuple[str, str, str]]:
    entries = gateway.attempts(reply, count=count)
    return [(entry.deployment, entry.purpose, entry.outcome) for entry in entries]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_how_sure_the_tokens_are_decides(
    gateway: Start, stand_in: stand_in.Running, tmp_path: Path, stream: bool
) -> None:
    sure = gateway(config(stand_in, GOOD, logprob=-0.01))
    kept = sure.chat("desk", stream=stream)
    assert (kept.status, kept.text, kept.tried) == (200, GOOD, ["cascade:kept"])
    assert steps(sure, kept, 1) == [("near", "serve", "ok")]

    unsure = gateway(config(stand_in, GOOD, logprob=-3.0))
    escalated = unsure.chat("desk", stream=stream)
    assert escalated.text.startswith("This is the stand-in")
    assert escalated.tried == ["cascade:escalated:near"]
    assert b'"logprob":' not in kept.body + escalated.body
    assert steps(unsure, escalated, 2) == [("near", "serve", "ok"), ("far", "escalate", "ok")]
    entries = [*sure.attempts(kept, count=1), *unsure.attempts(escalated, count=2)]
    assert len(read_invoices(tmp_path / "invoices.jsonl")) == 3
    balance([entry for entry in entries if entry.place == "cloud"], _of_cloud(tmp_path, entries))


def _of_cloud(folder: Path, entries: list[Entry]) -> Path:
    """The invoices of what went far: the stand-in writes one for each near attempt as well."""
    far = {entry.attempt for entry in entries if entry.place == "cloud"}
    lines = (folder / "invoices.jsonl").read_text("utf-8").splitlines()
    kept = [line for line in lines if any(f'"{attempt}"' in line for attempt in far)]
    path = folder / "far.jsonl"
    path.write_text("\n".join(kept), "utf-8")
    return path


def test_opinions(gateway: Start, stand_in: stand_in.Running) -> None:
    started = gateway(config(stand_in, GOOD, cascade='opinions = ["other"]\nanswers = "number"'))
    reply = started.chat("desk")
    assert (reply.text, reply.tried) == (GOOD, ["cascade:kept"])
    assert "1 of 1 opinions agree" in reply.headers["x-nearfar-reason"]
    assert steps(started, reply, 2) == [("near", "serve", "ok"), ("other", "opinion", "ok")]
    assert started.metric("nearfar_deviations_total", kind="cascade") == 1


def test_an_escalation_is_masked_as_the_policy_says(gateway: Start, stand_in: stand_in.Running) -> None:
    started = gateway(config(stand_in, REFUSAL, head='[policy]\npreset = "team"\n'))
    reply = started.chat("desk", content=f"Write to {MAIL} about the tea.")
    assert (reply.headers["x-nearfar-place"], reply.status) == ("cloud", 200)
    assert MAIL in reply.text, "restored for the client"
    near, far = stand_in.report().requests
    assert (MAIL in near.body, MAIL in far.body) == (True, False)
    assert {"cascade:escalated:near", "masked:1"} <= set(reply.tried)


def test_what_may_not_leave_does_not_whatever_the_near_model_says(gateway: Start, stand_in: stand_in.Running) -> None:
    head = '[policy]\npreset = "team"\nconfidential = "device"\nrestricted = "device"\n'
    started = gateway(config(stand_in, REFUSAL, head=head, cascade='opinions = ["far"]'))
    reply = started.chat("desk", content=f"The customer {ID} asks for tea.")
    assert (reply.text, reply.tried) == (REFUSAL, ["cascade:kept:nobody_else"])
    (seen,) = stand_in.report().requests
    assert ID in seen.body, "the near model alone was asked"


def test_an_escalation_may_be_rewritten(gateway: Start, stand_in: stand_in.Running, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'name = "own"\ndate = 2026-11-22\nextends = "team"\n[rewriting]\nroute = "local"\n'
        '[classes.confidential]\nclear = "lan"\nmasked = "lan"\nrewritten = "cloud"\nmedia = "lan"\n',
        "utf-8",
    )
    started = gateway(config(stand_in, REFUSAL, head=f'[policy]\nfile = "{policy}"\n'))
    reply = started.chat("desk", content=f"The customer {ID} asks for tea.")
    assert reply.status == 200, reply.body
    assert steps(started, reply, 4) == [
        ("near", "serve", "ok"),
        ("other", "rewrite", "ok"),
        ("far", "escalate", "ok"),
        ("other", "merge", "ok"),
    ]
    asked, rewritten, far, merged = (ID in seen.body for seen in stand_in.report().requests)
    assert (asked, rewritten, far, merged) == (True, True, False, True)
