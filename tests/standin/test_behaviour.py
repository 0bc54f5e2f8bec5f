"""Behaviours are read strictly, and say when to come back in three forms."""

from __future__ import annotations

import email.utils

import pytest

from nearfar.standin.behaviour import Behaviour, parse


def test_reads_json() -> None:
    assert parse('{"mode": "cut", "after": 5, "chunk_ms": 2}') == Behaviour(mode="cut", after=5, chunk_ms=2)
    assert parse(b"{}") == Behaviour()


@pytest.mark.parametrize("mode", ["401", "429", "500", "503", "529"])
def test_a_number_is_a_status(mode: str) -> None:
    assert Behaviour(mode=mode).status == int(mode)


@pytest.mark.parametrize("text", ['{"mode": "explode"}', '{"mode": "200"}', '{"mode": "42９"}', '{"after": -1}'])
def test_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(ValueError, match=r"mode|negative"):
        parse(text)


@pytest.mark.parametrize("text", ["", "[]", '{"moode": "ok"}', '{"after": "3"}', '{"retry_after_form": "weeks"}'])
def test_refuses_what_is_not_a_behaviour(text: str) -> None:
    with pytest.raises(ValueError, match="not a behaviour"):
        parse(text)


def test_retry_after_in_three_forms() -> None:
    now = 1_790_000_000.0
    assert Behaviour(mode="429").retry_headers(now) == []
    assert Behaviour(retry_after=1.5).retry_headers(now) == [("retry-after", "1.5")]
    assert Behaviour(retry_after=0.25, retry_after_form="ms").retry_headers(now) == [("retry-after-ms", "250")]
    dated = dict(Behaviour(retry_after=60, retry_after_form="date").retry_headers(now))
    assert email.utils.parsedate_to_datetime(dated["date"]).timestamp() == now
    assert email.utils.parsedate_to_datetime(dated["retry-after"]).timestamp() == now + 60
