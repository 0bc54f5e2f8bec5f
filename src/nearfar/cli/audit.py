"""``nearfar audit``: checks the chains, hands them out, and says what they prove. It changes no record."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.cli.usage import moment
from nearfar.core.places import Class, Place, Treatment
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the ledger's room is only needed when a command runs
    from nearfar.ledger.audit_prove import Claim, Exported, Proof
    from nearfar.ledger.audit_read import Anchor, Report

app = typer.Typer(no_args_is_help=True, help="The audit's chains: verify, export, prove, anchor.")

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Read these chains [default: this gateway's]."),
]
Since = Annotated[str, typer.Option("--since", metavar="WHEN", help="30m, 24h, 7d, 2w, or a date such as 2026-11-22.")]
Until = Annotated[str, typer.Option("--until", metavar="WHEN", help="The same; records before it.")]
AnchorFile = Annotated[
    Path | None, typer.Option("--anchor", metavar="FILE", help="Heads that were kept elsewhere, to hold the chains to.")
]


@app.command("verify")
def verify(
    ctx: typer.Context,
    anchor: AnchorFile = None,
    folder: Folder = None,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check every record, every link, and what the chains say of each other. Exits with 1 when something is wrong."""
    from nearfar.ledger import audit_read

    where = _folder(of(ctx).load(config, sets), folder)
    report = audit_read.verify(where, anchor=_anchor(anchor))
    if json:
        output.json({"sound": report.sound, "records": report.records, **msgspec.structs.asdict(report)})
    elif not quiet:
        _chains(report)
    if not json:
        for text in report.problems:
            output.line(text)
    if not report.sound:
        raise typer.Exit(1)


def _chains(report: Report) -> None:
    rows = [
        (
            chain.writer,
            chain.records,
            _when(chain.first),
            _when(chain.last),
            "runs" if chain.alive else "in order" if chain.closed else "without an end",
            chain.missed or "",
            "" if chain.head is None else chain.head.hash[:16],
        )
        for chain in report.chains
    ]
    head = ("CHAIN", "RECORDS", "FROM (UTC)", "TO", "ENDED", "MISSED", "HEAD")
    output.table(head, rows, right=(1, 5), drop=("MISSED", "FROM (UTC)", "TO"))
    output.line(f"{len(report.chains)} chains, {report.records} records, {len(report.problems)} problems")
    if report.anchor_at is None:
        output.note("No anchor: whoever owns these files could have written them anew. See `nearfar audit anchor`.")
    else:
        output.line(f"anchor of {_when(report.anchor_at)}: {report.after_anchor} records came after it")


@app.command("export")
def export(
    ctx: typer.Context,
    class_: Annotated[
        str, typer.Option("--class", metavar="CLASS", help="Only requests of this class or higher.")
    ] = "",
    since: Since = "",
    until: Until = "",
    to: Annotated[
        str,
        typer.Option("--to", metavar="URL", help="Into this database instead: sqlite:///PATH, postgresql://…"),
    ] = "",
    folder: Folder = None,
    config: ConfigFile = None,
    sets: Sets = None,
) -> None:
    """Print the records as JSON lines, with the hash of each. They hold kinds and counts, never values."""
    from nearfar.ledger.audit_prove import export as records

    loaded = of(ctx).load(config, sets)
    where = _folder(loaded, folder)
    if to:
        _copy(where, loaded, to)
        return
    out = sys.stdout

    def take(record: Exported) -> None:
        out.write(msgspec.json.encode(record).decode() + "\n")

    floor = _class(class_) if class_ else None
    report = records(where, take, since=moment(since, "--since"), until=moment(until, "--until"), class_=floor)
    if not report.sound:
        output.note(f"{len(report.problems)} problems in the chains: `nearfar audit verify` names them.")
        raise typer.Exit(1)


def _copy(where: Path, loaded: Loaded, to: str) -> None:
    from nearfar.ledger.audit_copy import copy
    from nearfar.settings.secrets import is_reference, resolve

    url = resolve(to, loaded.environ).reveal() if is_reference(to) else to
    output.line(f"{copy(where, url)} records brought in")


@app.command("prove")
def prove(
    ctx: typer.Context,
    class_: Annotated[str, typer.Option("--class", metavar="CLASS", help="Nothing of this class or higher left …")],
    since: Since = "",
    until: Until = "",
    stays: Annotated[str, typer.Option("--stays", metavar="PLACE", help="… this place.")] = "lan",
    form: Annotated[
        str, typer.Option("--unless", metavar="FORM", help="What may have gone further: masked, or rewritten.")
    ] = "clear",
    anchor: AnchorFile = None,
    folder: Folder = None,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether nothing of a class left, and what that answer rests on.

    Exits with 0 only when it holds: 1 when it fails, or when the records cannot tell.
    """
    from nearfar.ledger import audit_prove

    try:
        claim = audit_prove.Claim(
            class_=_class(class_),
            stays=Place.parse(stays),
            form=Treatment.parse(form),
            since=moment(since, "--since"),
            until=moment(until, "--until"),
        )
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    loaded = of(ctx).load(config, sets)
    elsewhere = _ledger(loaded, claim) if folder is None else None
    proof = audit_prove.prove(_folder(loaded, folder), claim, anchor=_anchor(anchor), elsewhere=elsewhere)
    if json:
        output.json(proof)
    elif quiet:
        output.line(proof.answer)
    else:
        _proof(proof, claim)
    if proof.answer != audit_prove.HOLDS:
        raise typer.Exit(1)


def _proof(proof: Proof, claim: Claim) -> None:
    output.line(f"{proof.claim}: {proof.answer}")
    for text in proof.why:
        output.line(f"  {text}")
    for item in proof.against:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in item.kinds.items()) or "nothing found"
        went = f"{item.class_} → {item.deployment} ({item.place}, {item.treatment})"
        output.line(f"  {_when(item.at)} {item.request} {went}: {kinds}")
    output.line("It rests on:")
    begun = min((process.first for process in proof.processes), default=None)
    asked = _when(claim.since) if claim.since is not None else f"the first record on, {_when(begun)},"
    output.line(f"  time asked for: from {asked} to {_when(claim.until) if claim.until is not None else 'now'}")
    output.line(
        f"  {proof.records} records; {proof.attempts} attempts in that time, {proof.of_class} of the class: "
        f"{proof.near} stayed, {proof.masked} went further masked, {proof.against_count} speak against it; "
        f"{proof.refused} requests of the class were refused"
    )
    output.line(f"  attempts of any class that went further with parts that nobody could read: {proof.unread}")
    for process in proof.processes:
        demanded = "of no class" if process.demanded == "never" else f"from class {process.demanded} on"
        output.line(
            f"  chain {process.writer}: {process.records} records, {_when(process.first)} to {_when(process.last)}, "
            f"ended: {process.ended}; policy {process.policy} ({process.policy_version}), records {demanded}, "
            f"detectors {process.detectors or 'none'}; head {process.head.n} {process.head.hash}"
        )
    for begun, ended in proof.gaps:
        output.line(f"  no chain was open from {_when(begun)} to {_when(ended)}")
    output.line(
        f"  records that could not be written: {proof.missed}; written and not relied on: {proof.unacknowledged}"
    )
    output.line(f"  anchor: {proof.anchor}")
    output.line("It cannot say:")
    for text in proof.limits:
        output.line(f"  {text}")


def _ledger(loaded: Loaded, claim: Claim) -> int | None:
    """Attempts that the ledger has of this class beyond that place in that time; None when there is no ledger yet."""
    from contextlib import closing

    from nearfar.cli.usage import open_ledger
    from nearfar.ledger import query

    url = loaded.ledger_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    with closing(open_ledger(loaded)) as connection:
        sums = query.usage(connection, ("class", "place"), query.Filter(since=claim.since, until=claim.until))
    return sum(
        item.attempts
        for item in sums
        if Class.parse(item.group["class"]) >= claim.class_ and Place.parse(item.group["place"]) > claim.stays
    )


@app.command("anchor")
def anchor_(
    ctx: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the heads there, too; a new file.")
    ] = None,
    folder: Folder = None,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the heads of all chains. Kept where the owner of the chains cannot write, they show a later change."""
    from nearfar.ledger import audit_read

    made = audit_read.anchor(_folder(of(ctx).load(config, sets), folder))
    if to is not None:
        try:
            with to.open("xb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
        except FileExistsError as error:
            hint = "Name another file, such as one with today's date."
            raise UsageError(f"{to} exists. An anchor is never overwritten.", hint=hint) from error
        except OSError as error:
            raise UsageError(f"{to} cannot be written: {error.strerror or error}.") from error
    if json:
        output.json(made)
    elif quiet:
        output.line(made.digest)
    else:
        for writer, head in sorted(made.heads.items()):
            output.line(f"{writer} {head.n} {head.hash}")
        output.line(f"digest {made.digest}")


def _folder(loaded: Loaded, named: Path | None) -> Path:
    if named is not None and not named.is_dir():
        raise UsageError(f"There is no folder {named}.")
    return named or loaded.audit


def _anchor(path: Path | None) -> Anchor | None:
    from nearfar.ledger.audit_read import load_anchor

    if path is None:
        return None
    try:
        return load_anchor(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(f"{error}.", hint="`nearfar audit anchor --to FILE` makes one.") from error


def _class(text: str) -> Class:
    try:
        return Class.parse(text)
    except ValueError as error:
        raise UsageError(f"--class: {error}.") from error


def _when(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return "-"
    return dt.datetime.fromtimestamp(nanoseconds / 1e9, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
