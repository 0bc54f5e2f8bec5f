"""A learned router in `nearfar serve`: it decides, its answers are compared, and its alarm is heard by every worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import running, stand_in
from tests.parts.test_routers import certificate, fitted

Start = Callable[..., running.Gateway]

pytestmark = pytest.mark.slow

EASY = "What about the cat dog cat bird fish dog, number 302 of 0?"
HARD = "What about the matrix integral matrix proof proof lemma, number 300 of 0?"
ROUTER = 'router = {{ file = "{0}/r.npz", certificate = "{0}/c.json", mode = "{1}" }}'


def config(stand_in: stand_in.Running, folder: Path, mode: str) -> str:
    certificate(folder / "c.json", fitted(folder / "r.npz", count=240), threshold=0.3)
    near = {"says": ["It is 41."], "logprob": -0.01}
    return (
        running.far("near", stand_in.url, behaviour=near, more='place = "device"\ncapabilities = { logprobs = true }')
        + running.far("far", stand_in.url, behaviour={"says": ["It is 42."]})
        + running.route(
            "desk",
            "near",
            "far",
            strategy="cascade",
            more=f"""cascade = {{ answers = "number" }}
shadow = {{ deployment = "far", share = 1.0 }}
{ROUTER.format(folder, mode)}
[learning]
keep = ["public", "internal"]
[shadow]
most = 8
daily_usd = 100.0
""",
        )
    )


def test_it_decides_and_an_alarm_is_every_workers(gateway: Start, stand_in: stand_in.Running, tmp_path: Path) -> None:
    made = gateway(config(stand_in, tmp_path, "on"), arguments=("--workers", "2"))
    hard = made.chat("desk", content=HARD)
    assert hard.headers["x-nearfar-deployment"] == "far"
    assert "router: far first" in hard.headers["x-nearfar-reason"]
    easy = made.chat("desk", content=EASY)
    assert easy.headers["x-nearfar-deployment"] == "near"
    sealed = made.chat("desk", content=HARD, headers={"x-nearfar-class": "restricted"})
    assert sealed.headers["x-nearfar-deployment"] == "near"
    assert "router" not in sealed.headers["x-nearfar-reason"]

    def goes_far() -> bool:
        """Whether what was kept near, and lost each time, goes far now, whichever worker is asked."""
        replies = [made.chat("desk", content=EASY) for _ in range(6)]
        return all(reply.headers["x-nearfar-deployment"] == "far" for reply in replies)

    running.eventually(goes_far, "every worker has heard of the alarm")
    detail = {check["name"]: check["detail"] for check in made.ask("/readyz").json["checks"]}
    assert detail["routers"].startswith("1 lost more than promised")
    assert made.metric("nearfar_router_alarms", route="desk") == 1
    assert "ALARM" in made.words()


def test_observed_it_changes_nothing_and_gathers_evidence(
    gateway: Start, stand_in: stand_in.Running, tmp_path: Path
) -> None:
    made = gateway(config(stand_in, tmp_path, "observe"))
    for _ in range(3):
        reply = made.chat("desk", content=HARD)
        assert reply.headers["x-nearfar-deployment"] == "near"
        assert "observed only" in reply.headers["x-nearfar-reason"]
    running.eventually(
        lambda: 0 < made.metric("nearfar_router_evidence", route="desk") < 1,
        "what it would send far loses nothing, which speaks for the promise",
    )
    assert made.metric("nearfar_router_leans_total", route="desk", lean="far_observed") == 3
