"""The demo's scenes: what is asked, what is done to near and far meanwhile, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nearfar.cli.demo_stage import Reply, Stage
from nearfar.core.money import usd
from nearfar.ledger.query import Entry

EASY = "Who are you?"
LONG = "Summarise this in one sentence. " + "The quick brown fox jumps over the lazy dog, again and again. " * 120
RETRY_SECONDS = 0.05
"""How long the refusing cloud asks to be left alone: short, so that the demo need not wait for it."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One scene as it came out."""

    scene: str
    asked: str
    ran: str
    """Where the answer came from."""
    why: str
    answer: str
    """How the answer begins."""
    input_tokens: int | None
    output_tokens: int | None
    cost: int | None
    """Nano-USD over all attempts; None when one of them has no known cost."""
    milliseconds: float
    held: bool
    """It went as promised."""
    broken: str = ""
    """What did not; empty when it held."""

    @property
    def tokens(self) -> str:
        """``12 → 40``, with a question mark for what nobody reported."""
        return " → ".join("?" if count is None else str(count) for count in (self.input_tokens, self.output_tokens))

    @property
    def money(self) -> str:
        """The cost for people."""
        return usd(self.cost)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A scene and the function that plays it."""

    title: str
    play: Callable[[Stage, str], Row]


def easy(stage: Stage, title: str) -> Row:
    """An easy question stays near."""
    reply = stage.ask("near-first", EASY)
    return _row(stage, title, EASY, reply, _answered(reply, "device"))


def long(stage: Stage, title: str) -> Row:
    """A question that does not fit the local model goes far."""
    reply = stage.ask("near-first", LONG)
    return _row(stage, title, f"{len(LONG):,} characters", reply, _answered(reply, "cloud"))


def cloud_first(stage: Stage, title: str) -> Row:
    """Where the route says so, an easy question goes far: what the next scene is compared with."""
    reply = stage.ask("cloud-first", EASY)
    return _row(stage, title, EASY, reply, _answered(reply, "cloud"))


def busy(stage: Stage, title: str) -> Row:
    """The same question while the cloud refuses: near answers, and says that it stepped in."""
    with stage.cloud_behaves("429", retry_after=RETRY_SECONDS, retry_after_form="ms"):
        reply = stage.ask("cloud-first", EASY)
    broken = _answered(reply, "device") or _deviates(reply, "failover:stand-in:rate_limit_exceeded")
    row = _row(stage, title, EASY, reply, broken)
    stage.rested()
    return row


def killed(stage: Stage, title: str) -> Row:
    """The local engine is killed while it works: far answers, and says that it stepped in."""
    with stage.engine_is_killed() as pids:
        reply = stage.ask("near-first", EASY)
    broken = _answered(reply, "cloud") or _deviates(reply, "failover:near:")
    return _row(stage, title, EASY, reply, broken or ("" if pids else "no engine was there to be killed"))


def cut(stage: Stage, title: str) -> Row:
    """The cloud breaks off in mid-stream: the client gets an error, never an ending that looks whole."""
    with stage.cloud_behaves("cut", after=6):
        reply = stage.ask("cloud", EASY)
    broken = ""
    if reply.done or not reply.error:
        broken = "the stream ended as if it were whole"
    elif not reply.text:
        broken = "nothing was shown before the cut"
    row = _row(stage, title, EASY, reply, broken, outcome="cut")
    stage.rested()
    return row


def hang_up(stage: Stage, title: str) -> Row:
    """The client hangs up: the gateway cancels upstream, as the cloud's own record shows."""
    with stage.cloud_behaves("ok", chunks=400, chunk_ms=25):
        reply = stage.ask("cloud", EASY, hang_up=True)
        cancelled = stage.cloud_saw("cancelled")
    broken = "" if cancelled else "the cloud was left writing"
    return _row(stage, title, EASY, reply, broken, outcome="cancelled")


SCENES = (
    Scene(title="easy question", play=easy),
    Scene(title="long question", play=long),
    Scene(title="cloud first", play=cloud_first),
    Scene(title="cloud answers 429", play=busy),
    Scene(title="engine is killed", play=killed),
    Scene(title="cloud breaks off", play=cut),
    Scene(title="client hangs up", play=hang_up),
)


def _answered(reply: Reply, place: str) -> str:
    """What is wrong with an answer that should be whole and from ``place``."""
    if reply.error:
        return f"it failed: {reply.error}"
    if not reply.done:
        return "its end never came"
    if not reply.text:
        return "it said nothing"
    came = reply.headers.get("x-nearfar-place", "")
    return "" if came == place else f"it ran at {came or 'an unknown place'}, not at {place}"


def _deviates(reply: Reply, start: str) -> str:
    told = reply.headers.get("x-nearfar-deviations", "")
    return "" if any(item.strip().startswith(start) for item in told.split(",")) else f"{start} was not told"


def _row(stage: Stage, title: str, asked: str, reply: Reply, broken: str, *, outcome: str = "ok") -> Row:
    """The reply beside what the ledger says of it; where the two differ, the scene did not hold."""
    entries = stage.entries(reply.headers.get("x-nearfar-request", ""))
    last = entries[-1] if entries else None
    if not broken and (last is None or last.outcome != outcome):
        broken = f"the ledger says {last.outcome if last else 'nothing'}, not {outcome}"
    costs = [entry.cost for entry in entries]
    where = reply.headers.get("x-nearfar-deployment", "nowhere")
    return Row(
        scene=title,
        asked=asked,
        ran=f"{where} ({reply.headers.get('x-nearfar-place', '?')})",
        why=_why(reply, outcome, last),
        answer=_beginning(reply.text),
        input_tokens=last.input_tokens if last else None,
        output_tokens=last.output_tokens if last else None,
        cost=None if not costs or None in costs else sum(cost for cost in costs if cost is not None),
        milliseconds=reply.milliseconds,
        held=not broken,
        broken=broken,
    )


def _why(reply: Reply, outcome: str, last: Entry | None) -> str:
    """The gateway's own words: the reason, what deviated, and how it ended if not well."""
    parts = [reply.headers.get("x-nearfar-reason", "")]
    if reply.headers.get("x-nearfar-deviations"):
        parts.append(reply.headers["x-nearfar-deviations"])
    if outcome == "cut":
        parts.append(f"ended with the error {reply.error}, not clean")
    elif outcome == "cancelled":
        parts.append("cancelled upstream")
    elif last is not None and last.finish == "length":
        parts.append("stopped at the output limit")
    return "; ".join(part for part in parts if part)


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
