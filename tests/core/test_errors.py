"""Every error has a status, a stable code and a text; an upstream's status becomes the right one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from nearfar.core import errors
from nearfar.core.errors import NearfarError, from_status


def tree(kind: type[NearfarError] = NearfarError) -> Iterator[type[NearfarError]]:
    """``kind`` and its subclasses in core; other rooms may have their own below."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_each_error_is_complete_and_drawn_in_the_tree(kind: type[NearfarError]) -> None:
    error = kind("It broke.", hint="Mend it.")
    assert 400 <= error.status <= 599
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert error.text == "It broke. Mend it."
    assert str(error) == "It broke."
    drawn = re.search(rf"\b{kind.__name__}(?: +(\d{{3}}))?\b", errors.__doc__ or "")
    assert drawn is not None
    assert drawn[1] in {None, str(kind.status)}


@pytest.mark.parametrize(
    ("message", "hint", "text"),
    [
        ("slow down", "Tried: far.", "slow down. Tried: far."),
        ("Slow down.", "Tried: far.", "Slow down. Tried: far."),
        ("請稍候。", "Tried: far.", "請稍候。 Tried: far."),
        ("slow down", "", "slow down"),
        ("", "Mend it.", "Mend it."),
    ],
)
def test_the_words_of_an_upstream_end_before_the_next_step(message: str, hint: str, text: str) -> None:
    assert NearfarError(message, hint=hint).text == text


def test_what_an_error_carries() -> None:
    error = errors.RateLimitError(
        "Slow down.", code="own", param="model", retry_after=2.5, upstream_status=429, upstream_body=b"{}"
    )
    assert (error.code, error.param, error.retry_after, error.upstream_status, error.upstream_body) == (
        "own",
        "model",
        2.5,
        429,
        b"{}",
    )
    assert error.text == "Slow down."


@pytest.mark.parametrize(
    ("status", "kind", "moves_on"),
    [
        (307, errors.UpstreamError, True),
        (400, errors.BadRequestError, False),
        (401, errors.UpstreamError, True),
        (402, errors.UpstreamError, True),
        (403, errors.UpstreamError, True),
        (404, errors.UpstreamError, True),
        (408, errors.APITimeoutError, True),
        (413, errors.RequestTooLargeError, False),
        (422, errors.UnprocessableEntityError, False),
        (429, errors.RateLimitError, True),
        (500, errors.UpstreamError, True),
        (503, errors.Overloaded, True),
        (504, errors.APITimeoutError, True),
        (529, errors.Overloaded, True),
    ],
)
def test_the_error_of_an_upstreams_status(status: int, kind: type[NearfarError], moves_on: bool) -> None:
    error = from_status(status, "no", retry_after=1.0, body=b"raw", code="c")
    assert type(error) is kind
    assert error.moves_on == moves_on
    assert (error.upstream_status, error.upstream_body, error.retry_after, error.code) == (status, b"raw", 1.0, "c")


@pytest.mark.parametrize("kind", [errors.EgressDenied, errors.BudgetExceeded, errors.ClientGone])
def test_no_other_deployment_is_tried_after_these(kind: type[NearfarError]) -> None:
    assert not kind.moves_on


@pytest.mark.parametrize("kind", [errors.MaskingFailed, errors.AuditUnavailable])
def test_what_may_not_leave_may_still_be_answered_near(kind: type[NearfarError]) -> None:
    assert kind.moves_on
    assert not kind.cools_down, "the deployment is not to blame"
