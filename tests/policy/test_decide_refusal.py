"""Which error a refusal by policy is."""

from __future__ import annotations

import pytest

from nearfar.core.errors import EgressDenied, GuardError, PiiBlocked
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked, Reason, Rejected
from nearfar.policy.decide_refusal import refusal

FAR = Deployment(name="far", provider="p", model="m", wire="w", base_url="https://x", place=Place.CLOUD)
FOUND = Reason(class_=Class.CONFIDENTIAL, source="found", detail="tw.national_id: identifies one person")


def decision(*codes: str, reasons: tuple[Reason, ...] = (), guard: str = "", ranked: bool = False) -> Decision:
    return Decision(
        id="dec-1",
        route="r",
        strategy="local-first",
        policy="team",
        class_=Class.CONFIDENTIAL,
        class_reason="x",
        furthest=Place.LAN,
        ranked=(Ranked(candidate=Candidate(deployment=FAR), reason="first"),) if ranked else (),
        rejected=tuple(Rejected(deployment=f"d{n}", code=code, reason=f"why {code}") for n, code in enumerate(codes)),
        reasons=reasons,
        guard=guard,
    )


def test_what_was_found_blocks_with_its_own_code() -> None:
    error = refusal(decision("place", "strategy", reasons=(FOUND,)))
    assert isinstance(error, PiiBlocked)
    assert (error.status, error.code) == (400, "pii_blocked")
    assert "tw.national_id" in error.text


def test_what_was_said_is_left_to_the_plain_refusal() -> None:
    said = Reason(class_=Class.CONFIDENTIAL, source="header")
    assert refusal(decision("place", reasons=(said, FOUND))) is None
    assert refusal(decision("place")) is None


def test_a_failed_detector_without_a_near_deployment() -> None:
    error = refusal(decision("guard", "strategy", reasons=(FOUND,), guard="names hung"))
    assert isinstance(error, GuardError)
    assert (error.status, error.code) == (503, "guard_unavailable")
    assert "names hung" in error.text


@pytest.mark.parametrize(
    ("codes", "code"), [(("media",), "media_denied"), (("elsewhere", "media"), "elsewhere_denied")]
)
def test_media_and_what_is_held_elsewhere(codes: tuple[str, ...], code: str) -> None:
    error = refusal(decision(*codes))
    assert isinstance(error, EgressDenied)
    assert error.code == code


def test_other_reasons_are_not_the_policys() -> None:
    assert refusal(decision("context")) is None
    assert refusal(decision("unusable", "media")) is None
    assert refusal(decision("place", reasons=(FOUND,), ranked=True)) is None
