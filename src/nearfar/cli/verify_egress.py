"""``nearfar verify-egress``: plants private values everywhere and reads, byte by byte, what a recording cloud got.

It decides nothing about requests: it asks a gateway of its own, and compares bytes.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Sets, of
from nearfar.settings.model import Policy

if TYPE_CHECKING:  # stage and corpus are only needed when the command runs
    from nearfar.cli.verify_corpus import Canary, Spot
    from nearfar.cli.verify_stage import Stage

STAYED, MASKED, REWRITTEN, WITHOUT, REFUSED = "stayed", "masked", "rewritten", "without", "refused"
"""A near deployment answered; a cloud was asked with a mask; or a question that a near model wrote; or without the
member that held it; nobody was asked."""
ALLOWED, LEAKED = "allowed", "LEAKED"
"""It left, as the policy allows for its kind; or against the policy."""
OUTCOMES = (STAYED, MASKED, REWRITTEN, WITHOUT, REFUSED, ALLOWED, LEAKED)
_QUESTION = "What is the usual next step in such a case?"
_LARGE = 200_000
_TOO_LARGE = 9_000_000
"""Characters of a request that is read beside the event loop, and of one that is not read at all."""


class Row(msgspec.Struct, kw_only=True):
    """One dialect and place, and how often what happened there."""

    dialect: str
    place: str
    asked: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    note: str = ""


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One value that got out; the value itself is not told."""

    dialect: str
    place: str
    stream: bool
    route: str
    kind: str


class Report(msgspec.Struct, kw_only=True):
    """All that was seen."""

    policy: str
    isolated: bool
    canaries: int
    skipped: list[str]
    looks: bool = True
    """Whether the policy has texts looked at."""
    ok: bool = False
    requests: int = 0
    rows: list[Row] = []
    leaks: list[Leak] = []
    kept: dict[str, list[str]] = {}
    """Where something is kept (logs, metrics, the ledger …) → kinds of the values found there; empty is right."""


def verify_egress(
    ctx: typer.Context,
    policy: Annotated[
        str, typer.Option("--policy", metavar="PRESET", help="Test this preset instead of the configured policy.")
    ] = "",
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Every value in every place (minutes), not each once per dialect.")
    ] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    inside: Annotated[bool, typer.Option("--inside", hidden=True)] = False,
) -> None:
    """Plant private values in every place of every dialect and read what a recording cloud got. Exits with 1 on a leak.

    Everything runs on this machine: a gateway of its own, folders of its own, no real cloud, and where the system
    allows it a network without any way out.
    """
    wanted = chosen(ctx, policy, config, sets)
    if not inside:
        from nearfar.cli.verify_stage import unshare

        if wrapped := unshare():
            again = ["--policy", policy] if policy else []
            again += ["--thorough"] if thorough else []
            again += ["--config", str(config)] if config else []
            again += [word for item in sets or () for word in ("--set", item)]
            again += ["--json"] if json else []
            raise typer.Exit(_again(wrapped, ["verify-egress", "--inside", *again], of(ctx).environ))
        output.note("This system lets the command have no network of its own; it runs in the usual one.")
    else:
        from nearfar.cli.verify_stage import loopback_up

        loopback_up()
    from nearfar.cli.verify_stage import Stage

    with Stage(of(ctx).environ, wanted) as stage:
        report = verify(stage, wanted, thorough=thorough, isolated=inside)
    if json:
        output.json(report)
    else:
        tell(report)
    if not report.ok:
        raise typer.Exit(1)


def chosen(ctx: typer.Context, preset: str, config: Path | None, sets: Sequence[str] | None) -> Policy:
    """The policy to test."""
    from nearfar.policy.presets import NAMES

    if preset and preset not in NAMES:
        raise UsageError(f"There is no preset {preset!r}.", hint=f"Use one of {', '.join(NAMES)}.")
    configured = of(ctx).load(config, sets).settings.policy
    return msgspec.convert({"preset": preset, "detect": configured.detect}, Policy) if preset else configured


def _again(wrapped: list[str], arguments: list[str], environ: Mapping[str, str]) -> int:
    command = [*wrapped, sys.executable, "-P", "-m", "nearfar", *arguments]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def verify(stage: Stage, policy: Policy, *, thorough: bool, isolated: bool) -> Report:
    """Everything that the command does, in order."""
    from nearfar import build
    from nearfar.cli.verify_corpus import canaries, spots
    from nearfar.policy import presets
    from nearfar.settings.model import Settings

    rules = presets.rules(Settings(policy=policy))
    planted, short = canaries(rules)
    report = Report(policy=rules.name, isolated=isolated, canaries=len(planted), skipped=short)
    report.looks = build.guard(Settings(policy=policy), rules) is not None
    run = _Run(stage, report, planted)
    run.prove_the_tap()
    with stage.gateway("sound") as url:
        run.url = url
        run.everywhere(spots(), thorough=thorough)
        run.failing()
        run.large()
        run.metrics()
        run.files()
    with stage.gateway("broken", broken=True) as url:
        run.url = url
        run.detector_fails(spots())
    run.rewritten()
    run.files()
    report.ok = not report.leaks and not any(report.kept.values()) and report.requests > 0
    return report


class _Run:
    """One pass over a stage."""

    def __init__(self, stage: Stage, report: Report, planted: list[Canary]) -> None:
        self.url = ""
        self._stage = stage
        self._report = report
        self._planted = planted
        self._rows: dict[tuple[str, str], Row] = {}

    def prove_the_tap(self) -> None:
        """What is sent to the recording cloud must be seen there: else all that follows says nothing."""
        from nearfar.cli.verify_corpus import Haystack
        from nearfar.cli.verify_stage import ask
        from nearfar.core.errors import InternalServerError

        for canary in self._planted:
            body = msgspec.json.encode({"messages": [{"role": "user", "content": canary.text}]})
            ask(self._stage.clouds.tap.url, "/v1/chat/completions", body)
            seen = Haystack(self._stage.clouds.tap.take())
            if not all(map(seen.holds, canary.values)):
                raise InternalServerError(f"The recording cloud does not see what it is sent ({canary.kind}).")

    def everywhere(self, spots: Sequence[Spot], *, thorough: bool) -> None:
        """Each value in each place, or else each value at least once in each dialect and each place several times."""
        from nearfar.cli.verify_stage import BOTH, FAR, OTHER

        for spot in spots:
            self._may_be_asked(spot)
        for dialect in dict.fromkeys(spot.dialect for spot in spots):
            here = [spot for spot in spots if spot.dialect == dialect]
            output.progress(f"{dialect}: {len(here)} places")
            for number, canary in enumerate(self._planted):
                for at, spot in enumerate(here):
                    if thorough or at == number % len(here):
                        turn = number // len(here) + at
                        routes = (BOTH, FAR) if dialect == "embeddings" else (BOTH, FAR, OTHER)
                        self._plant(spot, routes[turn % len(routes)], canary, spot.place)

    def _may_be_asked(self, spot: Spot) -> None:
        """Whether such a request is answered at all while it holds nothing: a refusal would prove nothing."""
        from nearfar.cli.verify_stage import BOTH, ask

        reply = ask(self.url, *spot.filled(BOTH, "x"))
        if reply.status != 200:
            self._row(spot.dialect, spot.place).note = f"never accepted: status {reply.status}"
        self._stage.clouds.tap.take()

    def failing(self) -> None:
        """The first cloud fails in every way, others are asked after it."""
        from nearfar.cli.verify_corpus import spots
        from nearfar.cli.verify_stage import FAILURES

        users = [spot for spot in spots() if spot.place == "user" and spot.dialect in {"chat", "messages", "gemini"}]
        for number, mode in enumerate(FAILURES):
            for spot in users:
                for canary in self._some(number, 3):
                    self._plant(spot, f"failing-{mode}", canary, f"cloud fails: {mode}")

    def large(self) -> None:
        """Texts that are read beside the event loop, and texts that are too large to be read."""
        from nearfar.cli.verify_corpus import spots
        from nearfar.cli.verify_stage import BOTH, FAR

        users = [spot for spot in spots() if spot.place == "user" and not spot.stream]
        for size, place in ((_LARGE, "200 kB"), (_TOO_LARGE, "9 MB")):
            for spot in users[: None if size == _LARGE else 2]:
                for route, canary in zip((BOTH, FAR), self._some(size, 2), strict=True):
                    padded = msgspec.structs.replace(canary, text="word " * (size // 5) + canary.text)
                    self._plant(spot, route, padded, place)

    def detector_fails(self, spots: Sequence[Spot]) -> None:
        """The same with a gateway in which the detector fails on every text."""
        from nearfar.cli.verify_stage import BOTH, FAR

        for number, spot in enumerate(spot for spot in spots if spot.place == "user"):
            for route, canary in zip((BOTH, FAR), self._some(number, 2), strict=True):
                self._plant(spot, route, canary, "detector fails")

    def rewritten(self) -> None:
        """What is private goes to a cloud rewritten, by a near model that does as it is told, and by careless ones."""
        from nearfar.cli.verify_corpus import canaries, questions
        from nearfar.cli.verify_stage import FAR, rewriting
        from nearfar.policy import presets
        from nearfar.settings.model import Settings

        planted, _ = canaries(presets.rules(Settings(policy=rewriting(self._stage.root))))
        guarded = [canary for canary in planted if not canary.allowed]
        said = guarded[0]
        scribes = {"well": (_QUESTION,), "repeated": (), "given away": (said.text,)}
        users = questions()
        for number, (how, scribe) in enumerate(scribes.items()):
            with self._stage.gateway(f"rewriting-{number}", scribe=scribe) as url:
                self.url = url
                for at, spot in enumerate(users):
                    for canary in (said, guarded[(number + 5 * at + 1) % len(guarded)]):
                        self._plant(spot, FAR, canary, f"rewritten: {how}")

    def _some(self, seed: int, count: int) -> Iterator[Canary]:
        guarded = [canary for canary in self._planted if not canary.allowed] or self._planted
        for number in range(count):
            yield guarded[(seed * 7 + number * 13) % len(guarded)]

    def _plant(self, spot: Spot, route: str, canary: Canary, place: str) -> None:
        from nearfar.cli.verify_corpus import Haystack
        from nearfar.cli.verify_stage import ask

        reply = ask(self.url, *spot.filled(route, canary.text))
        sent = self._stage.clouds.tap.take()
        self._report.requests += 1
        if sent and any(map(Haystack(sent).holds, canary.values)):
            outcome = ALLOWED if canary.allowed else LEAKED
        elif b"POST " in sent:
            outcome = _how(reply.deviations)
        else:
            outcome = STAYED if reply.status == 200 else REFUSED
        row = self._row(spot.dialect, place)
        row.asked += 1
        row.outcomes[outcome] += 1
        if outcome == LEAKED:
            leak = Leak(dialect=spot.dialect, place=place, stream=spot.stream, route=route, kind=canary.kind)
            self._report.leaks.append(leak)

    def _row(self, dialect: str, place: str) -> Row:
        row = self._rows.get((dialect, place))
        if row is None:
            row = self._rows[dialect, place] = Row(dialect=dialect, place=place)
            self._report.rows.append(row)
        return row

    def metrics(self) -> None:
        """What the running gateway tells of itself."""
        from nearfar.cli.verify_stage import ask

        for path in ("/metrics", "/nearfar/v1/ps"):
            self._keeps(path, ask(self.url, path, None).body)

    def files(self) -> None:
        """Every file that the gateways wrote; their configuration, which holds only the policy, is none."""
        for path in sorted(self._stage.root.rglob("*")):
            if path.name in {"config.toml", "policy.toml"} or not path.is_file():
                continue
            # A running gateway removes what it no longer needs, such as journals that the ledger has taken over.
            with contextlib.suppress(FileNotFoundError):
                self._keeps(_where(path.relative_to(self._stage.root)), path.read_bytes())

    def _keeps(self, where: str, data: bytes) -> None:
        from nearfar.cli.verify_corpus import Haystack

        seen = Haystack(data)
        found = sorted({canary.kind for canary in self._planted if any(map(seen.holds, canary.values))})
        self._report.kept[where] = sorted({*self._report.kept.get(where, []), *found})


def _how(deviations: str) -> str:
    """In which form a cloud was asked, by what the gateway told."""
    return REWRITTEN if "rewritten:" in deviations else MASKED if "masked:" in deviations else WITHOUT


def _where(path: Path) -> str:
    """What a file is, without the names that change from run to run."""
    parts = path.parts[1:]
    if parts[:1] == ("state",) and len(parts) > 2:
        return f"{parts[1]}/*{path.suffix}"
    return path.name


def tell(report: Report) -> None:
    """The table, what is kept, and a total."""
    rows = [
        (row.dialect, row.place, row.asked, *(row.outcomes[name] or "" for name in OUTCOMES), row.note)
        for row in report.rows
    ]
    columns = ("DIALECT", "PLACE", "ASKED", *(name.upper() for name in OUTCOMES), "NOTE")
    output.table(columns, rows, right=(2, 3, 4, 5, 6, 7, 8, 9), flow=("NOTE",))
    output.line()
    output.table(("KEPT IN", "FOUND"), [(where, ", ".join(found) or "nothing") for where, found in report.kept.items()])
    output.line()
    for leak in report.leaks[:20]:
        how = "a stream" if leak.stream else "plain"
        output.line(f"LEAKED: {leak.kind} in {leak.dialect}, {leak.place}, {how}, route {leak.route}")
    if len(report.leaks) > 20:
        output.line(f"… and {len(report.leaks) - 20} more (--json)")
    network = "in a network without a way out" if report.isolated else "in this machine's own network"
    output.line(
        f"Policy {report.policy}: {report.requests} requests with {report.canaries} values, {network}: "
        f"{len(report.leaks)} leaked, {sum(map(len, report.kept.values()))} kept where they should not be."
    )
    if not report.looks:
        output.note("This policy looks at no text (policy.detect), so it can keep back none of what was planted.")
    if report.skipped:
        output.note(f"Too short to be told from other bytes, so not planted: {', '.join(report.skipped)}.")
