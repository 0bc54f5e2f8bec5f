"""A record and its line: what is written is read back, what was changed is not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Request
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked, Reason
from nearfar.ledger.audit_records import (
    GENESIS,
    Attempted,
    Body,
    Closed,
    Entry,
    Head,
    Observed,
    Opened,
    Refused,
    Replied,
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


COMMON: dict[str, Any] = {
    "request": "req-1",
    "caller": "key-1",
    "route": "auto",
    "class_": "confidential",
    "decision": "dec-1",
    "policy": "team",
    "policy_version": "v1",
    "detectors": "d1",
    "kinds": {"tw.national_id": 2},
}
SEEN: dict[str, Any] = {"reasons": ("confidential: found",), "unknown": 1, "harmless": 3, "guard": ""}
WHERE: dict[str, Any] = {"deployment": "far", "place": "cloud"}
RECORDED: list[tuple[Body, str]] = [
    (
        Opened(
            process=1,
            version="0.1.0",
            policy="team",
            policy_version="v1",
            demanded="confidential",
            detectors="d1",
            heads={"a": Head(n=3, hash="ab")},
        ),
        "582ba7a692dca42a899e5f13cb0051caef41ec33ab065af76f86a4b6511ec5cf",
    ),
    (
        Attempted(
            attempt="att-1",
            operation="chat",
            purpose="serve",
            provider="p",
            model="m",
            host="cloud.example",
            treatment="masked",
            masks=2,
            bytes=6,
            body_hash="cd",
            **COMMON,
            **SEEN,
            **WHERE,
        ),
        "55a0050249db6643d56bdedc1f0c1be430f9ed196573cd8b935085128d415d8f",
    ),
    (
        Refused(code="pii_blocked", **COMMON, **SEEN),
        "229d5351da1e5612e30a825c3ce71f6073646bbdbf127238b6f1e45db3768d79",
    ),
    (
        Replied(attempt="att-1", action="redact", **COMMON, **WHERE),
        "45eb94d6816a5e2c125064a22e886912b24206ec60410f6e6404722206d0274d",
    ),
    (
        Observed(treatment="clear", code="", outcome="same", **COMMON, **SEEN, **WHERE),
        "225e7acd49f6abb831fe31029e60d20658df8a32a0733c01459165c6fc29bc70",
    ),
    (Resumed(why="full", missed=2), "47c33059917b9122e3ffa3289ba9a2b8988bd481b435b73ccff069c75038e285"),
    (Closed(missed=1), "185a936d6b4aa63c70701120ee43105f8067a213cf39b43d40fa9d7dccd719f4"),
]


@pytest.mark.parametrize(("body", "expected"), RECORDED, ids=lambda item: type(item).__name__)
def test_the_bytes_of_a_record_stay_what_they_were(body: Body, expected: str) -> None:
    """Chains that were written are checked for years: the order of fields and their names are a promise."""
    line, found = to_line(Entry(n=1, at=2, prev=GENESIS, body=body))
    assert found == expected
    assert from_line(line[:-1])[0].body == body
