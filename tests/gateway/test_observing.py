"""A policy that is tried out tells what it would do, and does nothing."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.gateway.house import RULES, House, house, plain, run, snapshot, target
from tests.gateway.scripted import upstream

from nearfar.core.places import Class, Place
from nearfar.gateway.decider import Decider, Said
from nearfar.gateway.guard import Guard
from nearfar.gateway.observing import Observer
from nearfar.gateway.pipeline import Pipeline
from nearfar.ledger.audit import Audit
from nearfar.ledger.audit_prove import OPEN, Claim, prove
from nearfar.ledger.audit_read import verify
from nearfar.ledger.audit_records import Entry, Observed, Opened
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.privacy.scan import Scanner
from nearfar.settings.model import Policy, Settings
from nearfar.store.ids import Ids

ID = "A123456789"
MAIL = "mei@example.org"
MEDICAL = presets.rules(Settings(policy=Policy(preset="tw-medical")))
TEAM = presets.rules(Settings(policy=Policy(preset="team")))


def observing(made: House, rules: Rules, audit: Audit | None = None) -> None:
    """The house with a policy that is observed beside its own."""
    guard = Guard(rules, lambda harmless: Scanner(detectors=(), harmless=harmless))
    decider = Decider(made.fleet, made.health, rules, masks=True)
    observer = Observer(decider, made.metrics, guard=guard, audit=audit)
    made.pipeline = Pipeline(
        fleet=made.fleet,
        decider=Decider(made.fleet, made.health, RULES),
        attempts=made.attempts,
        metrics=made.metrics,
        observer=observer,
    )


@pytest.mark.parametrize(
    ("rules", "text", "would"),
    [
        (
            MEDICAL,
            f"Patient {ID} coughs",
            "refused; class=restricted (found tw.national_id); error=pii_blocked; policy=tw-medical",
        ),
        (
            TEAM,
            f"Patient {ID} coughs",
            "masked; class=confidential (found tw.national_id); deployment=far; place=cloud; policy=team",
        ),
        (TEAM, "Which tea helps?", "masked; class=internal (default); deployment=far; place=cloud; policy=team"),
    ],
)
def test_what_would_be_done_is_told_and_not_done(tmp_path: Path, rules: Rules, text: str, would: str) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            observing(made, rules)
            out = await made.chat(messages=[{"role": "user", "content": text}])
            assert out.status == 200
            assert out.headers["x-nearfar-would"] == would
            assert out.headers["x-nearfar-class"] == "internal", "the class that holds"
            assert text.encode() in far.requests[0], "it left as it was"
            told = f'policy="{rules.name}"'
            (line,) = made.counted("nearfar_policy_observed_total")
            assert told in line
            assert f'outcome="{would.partition(";")[0]}"' in line

    run(scenario())


def test_where_nothing_would_be_otherwise_it_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain(), plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            observing(made, TEAM)
            asked = made.request()
            out = await made.answer(asked, Said(header=Class.PUBLIC))
            assert out.headers["x-nearfar-would"].startswith("same; class=public (route)")
            near = msgspec.structs.replace(TEAM, furthest=(Place.LAN,) * 4, masked=None)
            observing(made, near)
            out = await made.answer(made.request(), Said(header=Class.CONFIDENTIAL))
            assert (out.status, out.headers["x-nearfar-would"].partition(";")[0]) == (403, "same"), "both refuse"

    run(scenario())


def test_what_the_enforced_policy_forbids_stays_forbidden(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with upstream(plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            observing(made, TEAM)
            out = await made.answer(made.request(), Said(header=Class.CONFIDENTIAL))
            assert json.loads(out.body)["error"]["code"] == "egress_denied"
            assert out.headers["x-nearfar-would"].startswith("masked; ")
            assert far.requests == []

    run(scenario())


def test_records_say_what_would_have_been_done_and_hold_no_value(tmp_path: Path) -> None:
    async def scenario() -> None:
        folder = tmp_path / "audit"
        folder.mkdir()
        opened = Opened(
            process=1, version="0", policy="tw-medical", policy_version="v", demanded="never", detectors="d"
        )
        audit = Audit(folder, Ids(), opened, wait=5.0)
        audit.start()
        async with upstream(plain()) as far, house(tmp_path, snapshot(target("far", far.port))) as made:
            observing(made, MEDICAL, audit)
            await made.chat(messages=[{"role": "user", "content": f"Patient {ID}, {MAIL}"}])
            await made.answer(made.request(), Said(header=Class.PUBLIC))
        audit.close()
        entries: list[Entry] = []
        report = verify(folder, visit=lambda _writer, entry, _hash: entries.append(entry))
        assert not report.problems
        (record,) = [entry.body for entry in entries if isinstance(entry.body, Observed)]
        assert (record.outcome, record.code, record.class_) == ("refused", "pii_blocked", "restricted")
        assert record.kinds == {"email": 1, "tw.national_id": 1}
        assert prove(folder, Claim(class_=Class.RESTRICTED)).answer == OPEN, "what was only observed proves nothing"
        stored = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
        assert ID.encode() not in stored
        assert MAIL.encode() not in stored

    run(scenario())
