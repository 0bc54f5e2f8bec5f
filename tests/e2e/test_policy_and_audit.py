"""A policy from its name to the disk: `nearfar serve` with a preset, a stand-in as its cloud, and the chain it leaves.

The stand-in keeps what reached it, so what "left" means here is bytes on a socket.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from tests import running, stand_in

from nearfar.core.places import Class, Treatment
from nearfar.ledger.audit_prove import FAILS, HOLDS, Claim, Exported, export, prove
from nearfar.ledger.audit_read import verify
from nearfar.ledger.audit_records import Attempted, Opened, Refused

Start = Callable[..., running.Gateway]

PERSON = "身分證字號A123456789的客戶想改約，請回信。"
RECORD = "病歷號：A40154823，主訴胸痛三天。"
PLAIN = "什麼是糖尿病？"

pytestmark = pytest.mark.slow


def config(preset: str, cloud: str) -> str:
    return f'[policy]\npreset = "{preset}"\n' + running.far("far", cloud) + running.route("desk", "far")


def reached(cloud: stand_in.Running) -> str:
    return "\n".join(seen.body for seen in cloud.report().requests)


def records(gateway: running.Gateway) -> list[Exported]:
    found: list[Exported] = []
    assert export(gateway.state / "audit", found.append).sound
    return found


def test_a_team_s_requests(gateway: Start, stand_in: stand_in.Running) -> None:
    started = gateway(config("team", stand_in.url))
    assert started.chat("desk", content=PLAIN).status == 200
    masked = started.chat("desk", content=PERSON)
    assert masked.status == 200, masked.body
    assert "A123456789" not in reached(stand_in)
    blocked = started.chat("desk", content=RECORD)
    assert (blocked.status, blocked.error["code"]) == (400, "pii_blocked")
    assert "A40154823" not in reached(stand_in)
    assert "A40154823" not in blocked.body.decode()
    started.stop()

    bodies = [record.entry.body for record in records(started)]
    assert isinstance(bodies[0], Opened)
    assert (bodies[0].policy, bodies[0].demanded) == ("team", "confidential")
    (sent,) = [body for body in bodies if isinstance(body, Attempted)]
    assert (sent.class_, sent.place, sent.treatment) == ("confidential", "cloud", "masked")
    assert sent.kinds["tw.national_id"] == 1
    assert sent.masks >= 1
    (refused,) = [body for body in bodies if isinstance(body, Refused)]
    assert (refused.class_, refused.code, refused.kinds["medical_record"]) == ("restricted", "pii_blocked", 1)

    folder = started.state / "audit"
    assert verify(folder).chains[0].closed
    assert prove(folder, Claim(class_=Class.RESTRICTED)).answer == HOLDS
    assert prove(folder, Claim(class_=Class.CONFIDENTIAL)).answer == FAILS
    assert prove(folder, Claim(class_=Class.CONFIDENTIAL, form=Treatment.MASKED)).answer == HOLDS
    text = b"".join(path.read_bytes() for path in folder.iterdir()).decode()
    assert "A123456789" not in text
    assert "A40154823" not in text


def test_what_is_said_to_be_public_is_not_believed_against_what_is_in_it(
    gateway: Start, stand_in: stand_in.Running
) -> None:
    started = gateway(config("government", stand_in.url))
    public = {"x-nearfar-class": "public"}
    assert started.chat("desk", content=PLAIN, headers=public).status == 200
    for content in (PERSON, RECORD):
        refused = started.chat("desk", content=content, headers=public)
        assert (refused.status, refused.error["code"]) == (400, "pii_blocked")
    assert started.chat("desk", content=PLAIN).status == 403  # nobody said that it is public
    started.stop()
    assert PERSON not in reached(stand_in)
    assert len(stand_in.report().requests) == 1
    attempts = [item for item in records(started) if isinstance(item.entry.body, Attempted)]
    assert len(attempts) == 1, "the agency's policy wants public requests on record too"


def test_a_folder_that_takes_no_record_any_more_stops_what_would_leave(
    gateway: Start, stand_in: stand_in.Running
) -> None:
    started = gateway(config("government", stand_in.url))
    public = {"x-nearfar-class": "public"}
    assert started.chat("far", content=PLAIN, headers=public).status == 200
    audit = started.state / "audit"
    shutil.rmtree(audit)
    audit.write_text("a file where the folder was")
    refused = started.chat("far", content=PLAIN, headers=public)
    assert (refused.status, refused.error["code"]) == (503, "audit_unavailable")
    assert len(stand_in.report().requests) == 1
    audit.unlink()
    assert started.chat("far", content=PLAIN, headers=public).status == 200, "the folder is well again"
    started.stop()
    report = verify(audit)
    assert report.chains[0].missed == 1
    assert "what came before is missing" in report.problems[0], "the chain tells that its beginning was removed"


def test_places_hold_whatever_the_preset(gateway: Start, stand_in: stand_in.Running) -> None:
    started = gateway(config("offline", stand_in.url))
    assert started.chat("desk", content=PLAIN).status == 403
    assert stand_in.report().requests == []
