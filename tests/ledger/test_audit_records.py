"""A record and its line: what is written is read back, what was changed is not."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Request
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked, Reason
from nearfar.ledger.audit_records import (
    GENESIS,
    Attempted,
    Closed,
    Entry,
    Opened,
    Refused,
    Resumed,
    attempted,
    from_line,
    refused,
    to_line,
)

FAR = Deployment(name="far", provider="p", model="m", wire="w", base_url="https://x", place=Place.CLOUD)
RANKED = Ranked(candidate=Candidate(deployment=FAR), reason="first", treatment=Treatment.MASKED)
DECISION = Decision(
    id="dec-1",
    route="auto",
    strategy="local-first",
    policy="team",
    class_=Class.CONFIDENTIAL,
    class_reason="found tw.national_id",
    furthest=Place.CLOUD,
    ranked=(RANKED,),
    rejected=(),
    policy_version="v1",
    reasons=(Reason(class_=Class.CONFIDENTIAL, source="found", detail="tw.national_id: why"),),
    guard="",
)
REQUEST = Request(
    id="req-1",
    wire="openai.chat",
    operation="chat",
    model="auto",
    body=b"{}",
    fields={},
    caller="key-1",
    purpose="serve",
)
texts = st.text(max_size=20)


def entry(body: Attempted | Refused | Opened | Resumed | Closed, n: int = 0) -> Entry:
    return Entry(n=n, at=1, prev=GENESIS, body=body)


def test_what_an_attempt_says() -> None:
    made = attempted(
        REQUEST,
        DECISION,
        RANKED,
        attempt="att-1",
        host="cloud.example",
        body=b"masked",
        detectors="d1",
        kinds={"tw.national_id": 2},
        harmless=1,
        masks=2,
    )
    assert (made.class_, made.place, made.treatment, made.bytes, made.masks) == (
        "confidential",
        "cloud",
        "masked",
        6,
        2,
    )
    assert made.body_hash == hashlib.sha256(b"masked").hexdigest()
    assert made.reasons == ("confidential: found: tw.national_id: why",)
    assert (made.caller, made.host, made.policy_version, made.detectors) == ("key-1", "cloud.example", "v1", "d1")
    assert (made.kinds, made.harmless, made.unknown) == ({"tw.national_id": 2}, 1, 0)


def test_what_a_refusal_says() -> None:
    made = refused(REQUEST, DECISION, code="pii_blocked", kinds={"email": 1}, unknown=3)
    assert (made.code, made.class_, made.unknown, made.kinds) == ("pii_blocked", "confidential", 3, {"email": 1})


def test_a_line_can_be_checked_without_nearfar() -> None:
    line, found = to_line(entry(Closed()))
    assert line == b'{"hash":"%b","entry":%b}\n' % (found.encode(), line[line.index(b'"entry":') + 8 : -2])
    assert hashlib.sha256(line[line.index(b'"entry":') + 8 : -2]).hexdigest() == found


@given(texts, texts, st.dictionaries(texts, st.integers(0, 9), max_size=3))
def test_any_record_is_read_back(caller: str, route: str, kinds: dict[str, int]) -> None:
    request = Request(id="r", wire="w", operation="chat", model="m", body=b"", fields={}, caller=caller)
    body = refused(request, DECISION, code=route, kinds=kinds)
    line, found = to_line(entry(body, 7))
    assert line.count(b"\n") == 1
    assert from_line(line[:-1]) == (entry(body, 7), found)


def test_half_of_a_surrogate_pair_is_no_reason_to_lose_a_record() -> None:
    request = Request(id="r", wire="w", operation="chat", model="m", body=b"", fields={}, caller="a\ud800b")
    line, _ = to_line(entry(refused(request, DECISION, code="x", kinds={"a\ud800": 1})))
    body = from_line(line[:-1])[0].body
    assert isinstance(body, Refused)
    assert (body.caller, body.kinds) == ("a?b", {"a?": 1})


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"missed":5', b'"missed":6'),
        lambda line: line.replace(b'{"hash"', b'{ "hash"'),
        lambda line: line[:-1] + b',"x":1}',
        lambda line: b"",
        lambda line: b"{}",
        lambda line: b"\xff",
        lambda line: line[: len(line) // 2],
    ],
)
def test_a_changed_line_is_no_record(change: object) -> None:
    line, _ = to_line(entry(Closed(missed=5)))
    assert callable(change)
    with pytest.raises(ValueError):
        from_line(change(line[:-1]))


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    line = to_line(entry(Resumed(why="disk full", missed=3)))[0][:-1]
    at = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[at]))
    with pytest.raises(ValueError):
        from_line(line[:at] + bytes([byte]) + line[at + 1 :])
