"""The seal: only what policy allowed, only as it was sealed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import EgressDenied, MaskingFailed
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked
from nearfar.policy.seal import Origin, Sealed, Sealer

SEALER = Sealer(b"k" * 32)
ORIGIN = Origin(scheme="https", host="cloud.example", port=443)


def deployment(place: Place) -> Deployment:
    return Deployment(name="d", provider="p", model="m", wire="w", base_url="https://cloud.example", place=place)


def decision(target: Deployment, furthest: Place = Place.CLOUD) -> Decision:
    return Decision(
        id="dec-1",
        route="r",
        strategy="local-first",
        policy="test",
        class_=Class.INTERNAL,
        class_reason="default",
        furthest=furthest,
        ranked=(Ranked(candidate=Candidate(deployment=target), reason="first"),),
        rejected=(),
    )


def sealed(body: bytes = b"{}", **more: Any) -> Sealed:
    target = deployment(Place.CLOUD)
    values: dict[str, Any] = {"attempt": "a", "origin": ORIGIN, "target": "/v1", "head": b"POST /v1 HTTP/1.1"}
    return SEALER.seal(decision(target), target, body=body, **(values | more))


def test_what_was_sealed_is_verified() -> None:
    SEALER.verify(sealed())


def test_what_was_sealed_is_verified_as_often_as_asked_and_in_any_order() -> None:
    first, second = sealed(), sealed(body=b"[]")
    for one in (second, first, second, first):
        SEALER.verify(one)


@pytest.mark.parametrize("as_newest", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{ }"},
        {"head": b"POST /v2 HTTP/1.1"},
        {"target": "/v2"},
        {"origin": Origin(scheme="https", host="elsewhere.example", port=443)},
        {"origin": Origin(scheme="http", host="cloud.example", port=443)},
        {"place": Place.DEVICE},
        {"furthest": Place.DEVICE},
        {"class_": Class.PUBLIC},
        {"decision": "dec-2"},
        {"attempt": "b"},
        {"tag": b"0" * 16},
    ],
)
def test_any_change_breaks_the_seal(change: dict[str, Any], as_newest: bool) -> None:
    one = sealed()
    if not as_newest:
        sealed(body=b"[]")
    with pytest.raises(EgressDenied):
        SEALER.verify(msgspec.structs.replace(one, **change))
    SEALER.verify(one)


def test_a_sealed_request_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        sealed().body = b"{ }"  # type: ignore[misc]  # what is asked here


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_bytes_cannot_move_between_head_and_body(head: bytes, body: bytes) -> None:
    one = sealed(head=head, body=body)
    SEALER.verify(one)
    if body:
        moved = msgspec.structs.replace(one, head=head + body[:1], body=body[1:])
        with pytest.raises(EgressDenied):
            SEALER.verify(moved)


def test_another_gateways_seal_is_refused() -> None:
    with pytest.raises(EgressDenied):
        Sealer(b"x" * 32).verify(sealed())


def test_a_place_beyond_the_reach_is_not_sealed() -> None:
    target = deployment(Place.CLOUD)
    with pytest.raises(EgressDenied, match="device"):
        SEALER.seal(decision(target, Place.DEVICE), target, attempt="a", origin=ORIGIN, target="/", head=b"", body=b"")


def test_a_deployment_the_decision_did_not_rank_is_not_sealed() -> None:
    with pytest.raises(EgressDenied, match="did not allow"):
        SEALER.seal(
            decision(deployment(Place.CLOUD)),
            deployment(Place.CLOUD),
            attempt="a",
            origin=ORIGIN,
            target="/",
            head=b"",
            body=b"",
        )


def test_a_probe_carries_no_content_and_stays_within_its_reach() -> None:
    probe = SEALER.probe(
        attempt="p", place=Place.DEVICE, reach=Place.DEVICE, origin=ORIGIN, target="/", head=b"GET / HTTP/1.1"
    )
    SEALER.verify(probe)
    assert probe.body == b""
    load = SEALER.probe(
        attempt="p",
        place=Place.DEVICE,
        reach=Place.DEVICE,
        origin=ORIGIN,
        target="/",
        head=b"POST / HTTP/1.1",
        body=b'{"model":"m"}',
    )
    SEALER.verify(load)
    with pytest.raises(EgressDenied):
        SEALER.verify(msgspec.structs.replace(load, body=b'{"model":"n"}'))
    with pytest.raises(EgressDenied):
        SEALER.probe(attempt="p", place=Place.CLOUD, reach=Place.DEVICE, origin=ORIGIN, target="/", head=b"")


def test_a_sealed_value_does_not_print_its_bytes() -> None:
    one = sealed(head=b"authorization: Bearer sk-secret", body=b"private words")
    assert "sk-secret" not in repr(one)
    assert "private words" not in f"{one}"


# ---------------------------------------------------------------- what must be masked


def seal_masked(**more: Any) -> Sealed:
    target = deployment(Place.CLOUD)
    made = decision(target)
    ranked = Ranked(candidate=Candidate(deployment=target), reason="first", treatment=Treatment.MASKED)
    values: dict[str, Any] = {"attempt": "a", "origin": ORIGIN, "target": "/v1", "head": b"POST", "body": b"hidden"}
    return SEALER.seal(msgspec.structs.replace(made, ranked=(ranked,)), target, **(values | more))


def test_what_must_be_masked_is_not_sealed_in_clear() -> None:
    with pytest.raises(EgressDenied, match="only what is masked"):
        seal_masked()
    with pytest.raises(EgressDenied, match="looked at once more"):
        seal_masked(treatment=Treatment.MASKED)


def test_the_last_look_sees_every_byte_that_leaves() -> None:
    seen: list[bytes] = []
    SEALER.verify(seal_masked(treatment=Treatment.MASKED, last_look=seen.append))
    assert seen == [b"/v1", b"POST", b"hidden"]
    SEALER.verify(seal_masked(treatment=Treatment.REWRITTEN, last_look=seen.append))


def test_the_last_look_can_stop_it() -> None:
    def look(data: bytes) -> None:
        if b"hidden" in data:
            raise MaskingFailed("a value that was masked stands in the bytes")

    with pytest.raises(MaskingFailed):
        seal_masked(treatment=Treatment.MASKED, last_look=look)
