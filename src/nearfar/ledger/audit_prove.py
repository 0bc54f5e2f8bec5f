"""What the chains say about one class: whether anything of it left, and what that answer rests on. It writes nothing.

The answer is about records. It holds as far as the records are whole, as the detectors found what was there, and as
every process that could send bytes wrote one: the proof lists all of that, so that a reader can judge it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from nearfar.core.places import Class, Place, Treatment
from nearfar.ledger.audit_read import Anchor, Chain, Report, verify
from nearfar.ledger.audit_records import Attempted, Entry, Head, Opened, Refused, Replied

HOLDS = "holds"
FAILS = "fails"
OPEN = "cannot be told"
_MOST = 50
"""Records that are listed as speaking against a claim; the rest is counted."""
_DEMANDED = {"never": "its policy demanded no records", "unknown": "what its policy demanded is not known"}
_EVER = 1 << 63
"""Later than any time in nanoseconds since the epoch."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of ``class_`` or higher went beyond ``stays``, from ``since`` to before ``until``."""

    class_: Class
    stays: Place = Place.LAN
    form: Treatment = Treatment.CLEAR
    """What must be done to content that goes further: ``clear`` allows none of it, in whatever form."""
    since: int | None = None
    """Nanoseconds since the epoch; None: from the first record on."""
    until: int | None = None

    @property
    def text(self) -> str:
        """In words."""
        form = f", but {self.form.label}" if self.form is not Treatment.CLEAR else ""
        return f"nothing of class {self.class_.label} or higher left {self.stays.label}{form}"


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A record that speaks against the claim."""

    writer: str
    n: int
    at: int
    request: str
    attempt: str
    class_: str = msgspec.field(name="class")
    place: str
    deployment: str
    treatment: str
    kinds: dict[str, int]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One chain, as the proof names it."""

    writer: str
    process: int
    first: int
    last: int
    records: int
    head: Head
    ended: str
    """``in order``, ``runs`` or ``without an end``: killed, or its last file is missing."""
    policy: str
    policy_version: str
    demanded: str
    detectors: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and all that it rests on."""

    claim: str
    answer: str
    """``holds``, ``fails`` or ``cannot be told``."""
    why: list[str]
    """What makes it fail, or what makes it impossible to tell."""
    against: list[Against]
    against_count: int
    records: int
    """Records read, of every kind and time."""
    attempts: int
    """Attempts in the time asked for, of every class."""
    of_class: int
    """Those of the class or higher."""
    near: int
    """Those of them that stayed."""
    refused: int
    """Requests of the class that were refused."""
    masked: int
    """Attempts of the class that went further, masked or rewritten."""
    unread: int
    """Attempts that went further with pieces that nobody could read, or that no detector looked at, of any class."""
    processes: list[Process]
    gaps: list[tuple[int, int]]
    """Times in which no chain was open, between the first and the last record asked for: nanoseconds."""
    missed: int
    """Records that processes say they could not write."""
    unacknowledged: int
    anchor: str
    """``none``, or what the anchor covers."""
    limits: list[str]
    """What no chain can say."""


LIMITS = (
    "The class is what was said about a request and what its detectors found: what they missed is in no record.",
    "Only processes of nearfar with this folder write here: what reached a model on another way is in no record.",
    "Whoever owns the files can write a chain anew; an anchor kept elsewhere speaks against that, up to its time.",
    "Records are waited for where bytes leave the local network; those of near attempts are written without waiting.",
    "Files removed from the end of a chain are missed only by an anchor, or by a chain that was opened later.",
)


class _Counts:
    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.against: list[Against] = []
        self.against_count = self.attempts = self.of_class = self.near = self.refused = self.masked = self.unread = 0

    def visit(self, writer: str, entry: Entry, hash_: str) -> None:
        del hash_
        claim, body = self.claim, entry.body
        if not inside(entry, claim.since, claim.until):
            return
        if isinstance(body, Refused) and Class.parse(body.class_) >= claim.class_:
            self.refused += 1
        if not isinstance(body, Attempted):
            return
        self.attempts += 1
        stayed = Place.parse(body.place) <= claim.stays
        if not stayed and (body.unknown or body.guard):
            self.unread += 1
        if Class.parse(body.class_) < claim.class_:
            return
        self.of_class += 1
        treatment = Treatment.parse(body.treatment)
        if stayed:
            self.near += 1
        elif claim.form is not Treatment.CLEAR and treatment >= claim.form:
            self.masked += 1
        else:
            self.masked += treatment is not Treatment.CLEAR
            self.against_count += 1
            if len(self.against) < _MOST:
                self.against.append(_against(writer, entry.n, entry.at, body))


def prove(folder: Path, claim: Claim, *, anchor: Anchor | None = None, elsewhere: int | None = None) -> Proof:
    """Whether ``claim`` holds, by the chains in ``folder``.

    ``elsewhere``: attempts that another book (the ledger) has of this class beyond that place in that time; None when
    nobody asked it.
    """
    counts = _Counts(claim)
    report = verify(folder, anchor=anchor, visit=counts.visit)
    chains = [chain for chain in report.chains if _touches(chain, claim)]
    fails = []
    if counts.against_count:
        fails.append(f"{counts.against_count} records say that something of this class left")
    if elsewhere and elsewhere > counts.against_count + counts.masked:
        fails.append(f"the ledger has {elsewhere} attempts of this class beyond {claim.stays.label}")
    gaps = _gaps(chains)
    open_ = [f"{len(report.problems)} problems in the chains: `nearfar audit verify`"] if report.problems else []
    open_ += _unknown(chains, claim)
    if claim.stays < Place.LAN and elsewhere is None:
        # Nobody waits for the record of a near attempt: a process that was killed may owe its last ones.
        open_.append("records of attempts on the local network are not waited for, and the ledger was not asked")
    answer = FAILS if fails else OPEN if open_ else HOLDS
    return Proof(
        claim=claim.text,
        answer=answer,
        why=fails + open_,
        against=counts.against,
        against_count=counts.against_count,
        records=report.records,
        attempts=counts.attempts,
        of_class=counts.of_class,
        near=counts.near,
        refused=counts.refused,
        masked=counts.masked,
        unread=counts.unread,
        processes=[made for chain in chains if (made := _process(chain)) is not None],
        gaps=gaps,
        missed=sum(chain.missed for chain in chains),
        unacknowledged=sum(chain.unacknowledged for chain in chains),
        anchor=_anchor(report, anchor),
        limits=[*LIMITS, *(["The ledger was not asked."] if elsewhere is None else [])],
    )


def _unknown(chains: list[Chain], claim: Claim) -> list[str]:
    """What makes it impossible to tell."""
    if not any(chain.records for chain in chains):
        return ["no chain speaks of that time: no gateway ran, or none whose policy demanded records"]
    why = []
    for chain in chains:
        demanded = chain.opened.demanded if chain.opened is not None else "unknown"
        if demanded in {"never", "unknown"} or Class.parse(demanded) > claim.class_:
            some = f"its policy demanded records only from class {demanded} on"
            why.append(f"chain {chain.writer}: {_DEMANDED.get(demanded, some)}")
    missed = sum(chain.missed for chain in chains)
    if missed and claim.stays < Place.LAN:
        why.append(f"{missed} records could not be written; their requests were refused, or answered as far as lan")
    begun = min(chain.first for chain in chains if chain.first is not None)
    if claim.since is not None and claim.since < begun and not any(_before(chain, claim.since) for chain in chains):
        why.append("the records begin after the time asked for")
    return why


def _before(chain: Chain, moment: int) -> bool:
    return chain.first is not None and chain.first <= moment


def _touches(chain: Chain, claim: Claim) -> bool:
    """Whether the chain speaks of some of the time asked for; one that nobody can date does."""
    if chain.first is None or chain.last is None:
        return bool(chain.problems)
    ended = chain.last if not chain.alive else None
    return (claim.until is None or chain.first < claim.until) and (
        claim.since is None or ended is None or ended >= claim.since
    )


def _gaps(chains: list[Chain]) -> list[tuple[int, int]]:
    # One that runs is open beyond its last record.
    spans = sorted(
        (chain.first, _EVER if chain.alive else chain.last)
        for chain in chains
        if chain.first is not None and chain.last is not None
    )
    gaps, reached = [], None
    for first, last in spans:
        if reached is not None and first > reached:
            gaps.append((reached, first))
        reached = last if reached is None else max(reached, last)
    return gaps


def _process(chain: Chain) -> Process | None:
    opened = chain.opened or Opened(
        process=0, version="", policy="", policy_version="", demanded="unknown", detectors=""
    )
    if chain.head is None or chain.first is None or chain.last is None:
        return None
    return Process(
        writer=chain.writer,
        process=opened.process,
        first=chain.first,
        last=chain.last,
        records=chain.records,
        head=chain.head,
        ended="in order" if chain.closed else "runs" if chain.alive else "without an end",
        policy=opened.policy,
        policy_version=opened.policy_version,
        demanded=opened.demanded,
        detectors=opened.detectors,
    )


def _anchor(report: Report, anchor: Anchor | None) -> str:
    if anchor is None:
        return "none: whoever owns the files could have written them anew"
    if not report.anchored:
        return "does not fit the chains"
    return f"holds for {report.records - report.after_anchor} records; {report.after_anchor} came after it"


def _against(writer: str, n: int, at: int, body: Attempted) -> Against:
    return Against(
        writer=writer,
        n=n,
        at=at,
        request=body.request,
        attempt=body.attempt,
        class_=body.class_,
        place=body.place,
        deployment=body.deployment,
        treatment=body.treatment,
        kinds=body.kinds,
    )


def inside(entry: Entry, since: int | None, until: int | None) -> bool:
    """Whether a record was made in that time."""
    return (since is None or entry.at >= since) and (until is None or entry.at < until)


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it is handed out: one line of JSON."""

    writer: str
    hash: str
    entry: Entry


def export(
    folder: Path,
    take: Callable[[Exported], None],
    *,
    since: int | None = None,
    until: int | None = None,
    class_: Class | None = None,
) -> Report:
    """Give every sound record of that time to ``take``; with ``class_`` only requests of it or higher."""

    def visit(writer: str, entry: Entry, hash_: str) -> None:
        body = entry.body
        if not inside(entry, since, until):
            return
        if class_ is None or (isinstance(body, Attempted | Refused | Replied) and Class.parse(body.class_) >= class_):
            take(Exported(writer=writer, hash=hash_, entry=entry))

    return verify(folder, visit=visit)
