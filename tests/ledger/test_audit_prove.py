"""What the chains prove: an answer that fails when something left, and is open when the records cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.ledger.audits import OPENED, REFUSED, REPLIED, attempt, audit, chain, clock, file

from nearfar.core.places import Class, Place, Treatment
from nearfar.ledger.audit_prove import FAILS, HOLDS, OPEN, Claim, Exported, export, prove
from nearfar.ledger.audit_read import anchor

PRIVATE: dict[str, Any] = {"class_": "restricted", "kinds": {"medical.x": 1}}
CLAIM = Claim(class_=Class.RESTRICTED)


def far(**more: Any) -> Any:
    return attempt(**{"place": "cloud", "deployment": "far", "host": "cloud.example"} | more)


def test_nothing_of_a_class_left(tmp_path: Path) -> None:
    chain(tmp_path, attempt(**PRIVATE), far(), REFUSED)
    proof = prove(tmp_path, CLAIM, elsewhere=0)
    assert (proof.answer, proof.why) == (HOLDS, [])
    assert (proof.records, proof.attempts, proof.of_class, proof.near, proof.refused) == (5, 2, 1, 1, 1)
    assert proof.claim == "nothing of class restricted or higher left lan"
    assert proof.anchor.startswith("none")
    assert any("write a chain anew" in text for text in proof.limits)
    (process,) = proof.processes
    assert (process.ended, process.demanded, process.detectors, process.records) == ("in order", "internal", "d1", 5)


def test_one_record_speaks_against_it(tmp_path: Path) -> None:
    chain(tmp_path, far(**PRIVATE, request="req-9", attempt="att-9"), attempt(**PRIVATE))
    proof = prove(tmp_path, CLAIM)
    assert proof.answer == FAILS
    assert (proof.against_count, proof.of_class, proof.near) == (1, 2, 1)
    assert (proof.against[0].request, proof.against[0].place, proof.against[0].kinds) == (
        "req-9",
        "cloud",
        {"medical.x": 1},
    )


def test_lower_classes_and_other_places_are_another_claim(tmp_path: Path) -> None:
    chain(tmp_path, far(class_="confidential"), attempt(**PRIVATE, place="lan"))
    assert prove(tmp_path, CLAIM).answer == HOLDS
    assert prove(tmp_path, Claim(class_=Class.CONFIDENTIAL)).answer == FAILS
    assert prove(tmp_path, Claim(class_=Class.RESTRICTED, stays=Place.DEVICE)).answer == FAILS


def test_masked_content_has_left_unless_the_claim_says_so(tmp_path: Path) -> None:
    chain(tmp_path, far(**PRIVATE, treatment="masked"))
    assert prove(tmp_path, CLAIM).answer == FAILS
    allowed = prove(tmp_path, Claim(class_=Class.RESTRICTED, form=Treatment.MASKED))
    assert (allowed.answer, allowed.masked) == (HOLDS, 1)
    assert "but masked" in allowed.claim
    assert prove(tmp_path, Claim(class_=Class.RESTRICTED, form=Treatment.REWRITTEN)).answer == FAILS


def test_only_the_time_asked_for_counts(tmp_path: Path) -> None:
    chain(tmp_path, far(**PRIVATE), attempt(**PRIVATE), clock=clock(start=1000, step=100))  # opened at 1000
    assert prove(tmp_path, Claim(class_=Class.RESTRICTED, since=1150)).answer == HOLDS
    assert prove(tmp_path, Claim(class_=Class.RESTRICTED, until=1100)).answer == HOLDS
    assert prove(tmp_path, Claim(class_=Class.RESTRICTED, since=1000, until=1101)).answer == FAILS


def test_nobody_wrote_at_that_time(tmp_path: Path) -> None:
    assert prove(tmp_path, CLAIM).answer == OPEN
    chain(tmp_path, attempt())
    proof = prove(tmp_path, Claim(class_=Class.RESTRICTED, since=10_000))
    assert (proof.answer, proof.why[0][:24]) == (OPEN, "no chain speaks of that ")
    assert prove(tmp_path, Claim(class_=Class.RESTRICTED, since=10)).why == [
        "the records begin after the time asked for"
    ]


def test_a_policy_that_demanded_no_records_proves_nothing(tmp_path: Path) -> None:
    chain(tmp_path, attempt(), opened=msgspec.structs.replace(OPENED, demanded="restricted"))
    assert prove(tmp_path, CLAIM).answer == HOLDS
    assert prove(tmp_path, Claim(class_=Class.CONFIDENTIAL)).answer == OPEN
    chain(tmp_path, opened=msgspec.structs.replace(OPENED, demanded="never"))
    assert prove(tmp_path, CLAIM).why[0].endswith("its policy demanded no records")


def test_damage_leaves_the_answer_open_but_not_a_failure(tmp_path: Path) -> None:
    path = file(tmp_path, chain(tmp_path, attempt(**PRIVATE), attempt()))
    path.write_bytes(path.read_bytes().replace(b'"device"', b'"cloud!"', 1))
    proof = prove(tmp_path, CLAIM)
    assert proof.answer == OPEN
    assert "problems in the chains" in proof.why[0]


def test_the_ledger_can_speak_against_it(tmp_path: Path) -> None:
    chain(tmp_path, attempt(**PRIVATE))
    proof = prove(tmp_path, CLAIM, elsewhere=2)
    assert (proof.answer, proof.why) == (FAILS, ["the ledger has 2 attempts of this class beyond lan"])
    assert any("ledger was not asked" in text for text in prove(tmp_path, CLAIM).limits)


def test_a_chain_that_runs_leaves_no_gap(tmp_path: Path) -> None:
    runs = audit(tmp_path, clock=clock(start=1000, step=10))
    runs.start()
    chain(tmp_path, attempt(**PRIVATE), clock=clock(start=5000, step=10))
    proof = prove(tmp_path, CLAIM)
    runs.close()
    assert (proof.answer, proof.gaps) == (HOLDS, [])


def test_what_it_rests_on_names_gaps_and_anchor(tmp_path: Path) -> None:
    chain(tmp_path, attempt(**PRIVATE), clock=clock(start=1000, step=10))
    kept = anchor(tmp_path)
    chain(tmp_path, attempt(**PRIVATE), clock=clock(start=5000, step=10), close=False)
    proof = prove(tmp_path, CLAIM, anchor=kept)
    assert proof.gaps == [(1020, 5000)]
    assert proof.anchor == "holds for 3 records; 2 came after it"
    assert sorted(process.ended for process in proof.processes) == ["in order", "runs"]


def test_content_that_nobody_could_read_is_told(tmp_path: Path) -> None:
    chain(tmp_path, far(unknown=2), far(guard="hung"), far(), attempt(unknown=1))
    assert prove(tmp_path, CLAIM).unread == 2


def test_near_attempts_need_a_second_book(tmp_path: Path) -> None:
    chain(tmp_path, attempt(**PRIVATE))
    claim = Claim(class_=Class.RESTRICTED, stays=Place.DEVICE)
    assert prove(tmp_path, claim).answer == OPEN
    assert prove(tmp_path, claim, elsewhere=0).answer == HOLDS
    assert prove(tmp_path, claim, elsewhere=1).answer == FAILS


@pytest.mark.parametrize(("stays", "answer"), [(Place.LAN, HOLDS), (Place.DEVICE, OPEN)])
def test_records_that_were_lost_were_answered_near(tmp_path: Path, stays: Place, answer: str) -> None:
    made = audit(tmp_path)
    made.submit(attempt(**PRIVATE)).result(10)
    made.missed = 3
    made.submit(attempt(**PRIVATE)).result(10)
    made.close()
    proof = prove(tmp_path, Claim(class_=Class.RESTRICTED, stays=stays), elsewhere=0)
    assert (proof.answer, proof.missed) == (answer, 3)


def test_what_a_reply_brought_up_left_with_nobody(tmp_path: Path) -> None:
    chain(tmp_path, attempt(**PRIVATE, place="lan"), REPLIED)
    assert prove(tmp_path, CLAIM).answer == HOLDS
    found: list[Exported] = []
    export(tmp_path, found.append, class_=Class.RESTRICTED)
    assert REPLIED in [each.entry.body for each in found]


def test_an_export_has_every_record_or_those_of_a_class(tmp_path: Path) -> None:
    chain(tmp_path, attempt(**PRIVATE), far(), REFUSED)
    found: list[Exported] = []
    assert export(tmp_path, found.append).sound
    assert [item.entry.n for item in found] == [0, 1, 2, 3, 4]
    found.clear()
    export(tmp_path, found.append, class_=Class.RESTRICTED)
    assert [item.entry.n for item in found] == [1, 3]
    found.clear()
    export(tmp_path, found.append, since=1001, until=1003)
    assert [item.entry.n for item in found] == [1, 2]
