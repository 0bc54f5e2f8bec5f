"""``nearfar router status``: the routers that routes name, what they promise, and what has been learned about that.

It reads the configuration, the routers' files and the state database; a gateway need not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of

if TYPE_CHECKING:
    from nearfar.core.learned import Standing
    from nearfar.store.labels_judges import Counted


def status(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """Say how the routers of all routes do: mode, threshold, promise, evidence, alarms, and the next step."""
    from nearfar.cli import checkup_learning
    from nearfar.parts.routers import in_use

    loaded = of(ctx).load(config, sets)
    kept = checkup_learning.found(loaded)
    found = [used.standing() for used in in_use(loaded, loaded.ledger_url).values()]
    if json:
        output.json({"routers": found, "learning": kept})
        return
    if quiet:
        for item in found:
            output.line(item.route)
        return
    if not found:
        output.line("No route names a router.")
        _labels(kept)
        return
    output.table(
        ("ROUTE", "MODE", "THRESHOLD", "JUDGED", "LOST", "EVIDENCE", "ALARMS"),
        [_row(item) for item in found],
        right=(2, 3, 4, 6),
    )
    for item in found:
        for text in about(item):
            output.line(f"{item.route}: {text}")
    _labels(kept)


def _labels(kept: Counted) -> None:
    """What gateways have kept to learn from, and whose word is not used."""
    from nearfar.cli import checkup_learning

    if kept.pairs or kept.judges:
        output.line(f"labels: {checkup_learning.count(kept)}")
    for judge in kept.judges:
        used = "" if judge.trusted else ": what it says is NOT USED"
        output.line(f"judge: {checkup_learning.agreed(judge)}{used}")


def _row(item: Standing) -> tuple[object, ...]:
    mode = f"{item.mode} {item.share:g}" if item.mode == "canary" else item.mode
    threshold = "none" if item.threshold is None else f"{item.threshold:+.3f}"
    lost = "" if item.lost is None else f"{item.lost:.1%}"
    evidence = f"{item.evidence:.1f} of {item.alarm_at:.0f}" if item.alarm_at else "not watched"
    return item.route, mode, threshold, item.seen, lost, evidence, item.alarms


def about(item: Standing) -> Iterable[str]:
    """In sentences: what is promised, what has happened, and what the evidence speaks for."""
    if item.loss is None or item.confidence is None:
        yield "nothing is promised: the threshold is the owner's own"
    else:
        yield f"at most {item.loss:.1%} lost, with confidence {item.confidence:.0%} (certified {item.certified})"
    if not item.trusted:
        yield f"it has {item.labels} labels, too few to be followed: the strategy decides"
    if item.alarms:
        now = "nothing stays near" if item.threshold is None else f"the threshold is {item.threshold:+.3f}"
        yield f"ALARM on {item.alarmed}: it lost more than was promised; {now}, it began at {item.begun:+.3f}"
        yield "next: fit and certify it anew, on labels of today's traffic"
    elif item.recommended != item.mode:
        yield f"next: mode = {item.recommended!r}, after {item.seen} judged requests without an alarm"
    elif item.loss is not None and item.mode != "on":
        yield f"next: more judged requests ({item.seen} so far)"
