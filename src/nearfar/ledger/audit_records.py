"""What the audit says, as values and as lines of a chain: each holds the hash of the one before. It opens no file.

A line is ``{"hash":H,"entry":E}``: ``H`` is the SHA-256 of the bytes of ``E``, in hexadecimal digits, and ``E`` holds
``prev``, the hash of the line before (64 zeros for the first). Anybody can check that without nearfar. No record holds
content: kinds and counts of findings, never a value.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.routing import Decision, Ranked

GENESIS = "0" * 64


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The last record of a chain: its number, counted from 0, and its hash."""

    n: int
    hash: str


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """The first record of every chain: which process writes it, and under which policy."""

    process: int
    version: str
    """Of nearfar."""
    policy: str
    policy_version: str
    demanded: str
    """The class from which a record must stand before bytes leave."""
    detectors: str
    """Stands for rules and detectors with their versions."""
    heads: dict[str, Head] = {}
    """The chains that stood in the folder at that time: none of them may be shorter later."""


class Attempted(msgspec.Struct, frozen=True, kw_only=True, tag="attempt"):
    """Bytes are about to leave for a deployment. Whether they arrived, the ledger says."""

    request: str
    attempt: str
    caller: str
    route: str
    operation: str
    purpose: str
    class_: str = msgspec.field(name="class")
    reasons: tuple[str, ...]
    """Why it has this class, the highest first."""
    decision: str
    policy: str
    policy_version: str
    detectors: str
    kinds: dict[str, int]
    """Kind of a finding → how many."""
    unknown: int
    """Pieces that nobody could read."""
    harmless: int
    """Values that the owner lists as harmless."""
    guard: str
    """Why the content could not be looked at; empty when it was."""
    deployment: str
    provider: str
    model: str
    place: str
    host: str
    treatment: str
    masks: int
    """Values that were masked."""
    bytes: int
    """Of the body."""
    body_hash: str
    """SHA-256 of the body as it leaves."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """A request that got no answer because of what it holds: nothing left."""

    request: str
    caller: str
    route: str
    class_: str = msgspec.field(name="class")
    reasons: tuple[str, ...]
    decision: str
    policy: str
    policy_version: str
    detectors: str
    kinds: dict[str, int]
    unknown: int
    harmless: int
    guard: str
    code: str
    """The error that the caller got."""


class Replied(msgspec.Struct, frozen=True, kw_only=True, tag="reply"):
    """A reply brought up private values that its caller had not sent. Nothing left with it."""

    request: str
    attempt: str
    caller: str
    route: str
    class_: str = msgspec.field(name="class")
    decision: str
    policy: str
    policy_version: str
    detectors: str
    deployment: str
    place: str
    action: str
    """``redact``: the caller got none of them; ``tell``: the caller got them."""
    kinds: dict[str, int]


class Observed(msgspec.Struct, frozen=True, kw_only=True, tag="observed"):
    """What a policy that is only tried out would have done. Nothing was held to it."""

    request: str
    caller: str
    route: str
    class_: str = msgspec.field(name="class")
    reasons: tuple[str, ...]
    decision: str
    policy: str
    policy_version: str
    detectors: str
    kinds: dict[str, int]
    unknown: int
    harmless: int
    guard: str
    deployment: str
    """Where it would have run first; empty where it would have been refused."""
    place: str
    treatment: str
    code: str
    """The error that the caller would have got; empty for none."""
    outcome: str
    """``same``, ``elsewhere``, ``masked``, ``rewritten`` or ``refused``."""


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resumed"):
    """Records could not be written for a while. The segment before may end in one that nobody relied on."""

    why: str
    missed: int
    """Records that were lost: their requests were answered near, or refused."""


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """The process ended in order: nothing may follow."""

    missed: int = 0
    """Records that were lost and not told of yet."""


Body = Opened | Attempted | Refused | Observed | Replied | Resumed | Closed


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record in its chain."""

    n: int
    at: int
    """Nanoseconds since the epoch, by the clock of that machine."""
    prev: str
    body: Body


class _Line(msgspec.Struct, frozen=True):
    hash: str
    entry: msgspec.Raw


_entry = msgspec.json.Decoder(Entry)
_line = msgspec.json.Decoder(_Line)


def to_line(entry: Entry) -> tuple[bytes, str]:
    """The line, and its hash."""
    try:
        data = msgspec.json.encode(entry)
    except UnicodeEncodeError:  # half of a surrogate pair, in a name that a client chose
        body = msgspec.structs.replace(
            entry.body, **{key: _sound(value) for key, value in msgspec.structs.asdict(entry.body).items()}
        )
        data = msgspec.json.encode(msgspec.structs.replace(entry, body=body))
    found = hashlib.sha256(data).hexdigest()
    return b'{"hash":"%b","entry":%b}\n' % (found.encode(), data), found


def from_line(line: bytes) -> tuple[Entry, str]:
    """The record of a line without its line feed, and its hash. ValueError when the line is not what was written."""
    try:
        read = _line.decode(line)
        entry = _entry.decode(read.entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a record: {error}") from error
    data = bytes(read.entry)
    if hashlib.sha256(data).hexdigest() != read.hash:
        raise ValueError("its hash is not that of its content")
    if line != b'{"hash":"%b","entry":%b}' % (read.hash.encode(), data):
        raise ValueError("something stands beside hash and entry")
    return entry, read.hash


def attempted(
    request: Request,
    decision: Decision,
    ranked: Ranked,
    *,
    attempt: str,
    host: str,
    body: bytes,
    detectors: str = "",
    kinds: dict[str, int] | None = None,
    unknown: int = 0,
    harmless: int = 0,
    masks: int = 0,
) -> Attempted:
    """The record of ``body``, which is about to leave for the deployment of ``ranked``."""
    deployment = ranked.candidate.deployment
    return Attempted(
        request=request.id,
        attempt=attempt,
        caller=request.caller,
        route=decision.route,
        operation=request.operation,
        purpose=request.purpose,
        class_=decision.class_.label,
        reasons=_reasons(decision),
        decision=decision.id,
        policy=decision.policy,
        policy_version=decision.policy_version,
        detectors=detectors,
        kinds=kinds or {},
        unknown=unknown,
        harmless=harmless,
        guard=decision.guard,
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.model,
        place=deployment.place.label,
        host=host,
        treatment=ranked.treatment.label,
        masks=masks,
        bytes=len(body),
        body_hash=hashlib.sha256(body).hexdigest(),
    )


def refused(
    request: Request,
    decision: Decision,
    *,
    code: str,
    detectors: str = "",
    kinds: dict[str, int] | None = None,
    unknown: int = 0,
    harmless: int = 0,
) -> Refused:
    """The record of a request that policy refused."""
    return Refused(
        request=request.id,
        caller=request.caller,
        route=decision.route,
        class_=decision.class_.label,
        reasons=_reasons(decision),
        decision=decision.id,
        policy=decision.policy,
        policy_version=decision.policy_version,
        detectors=detectors,
        kinds=kinds or {},
        unknown=unknown,
        harmless=harmless,
        guard=decision.guard,
        code=code,
    )


def replied(
    request: Request,
    decision: Decision,
    ranked: Ranked,
    *,
    attempt: str,
    action: str,
    kinds: dict[str, int],
    detectors: str,
) -> Replied:
    """The record of what the reply of ``ranked``'s deployment brought up."""
    deployment = ranked.candidate.deployment
    return Replied(
        request=request.id,
        attempt=attempt,
        caller=request.caller,
        route=decision.route,
        class_=decision.class_.label,
        decision=decision.id,
        policy=decision.policy,
        policy_version=decision.policy_version,
        detectors=detectors,
        deployment=deployment.name,
        place=deployment.place.label,
        action=action,
        kinds=dict(sorted(kinds.items())),
    )


def _reasons(decision: Decision) -> tuple[str, ...]:
    return tuple(f"{item.class_.label}: {item.text}" for item in decision.reasons) or (
        f"{decision.class_.label}: {decision.class_reason}",
    )


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(_sound(item) for item in value)
    if isinstance(value, dict):
        return {_sound(key): item for key, item in value.items()}
    return value
