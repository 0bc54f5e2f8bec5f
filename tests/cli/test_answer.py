"""The stream is read through any cutting of its bytes, and ends clean only when it says so."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.cli.answer import COST, UNKNOWN, Answer, facts, summary, together
from nearfar.core.errors import InternalServerError, NearfarError, StreamCut


def event(**more: object) -> bytes:
    return b"data: " + json.dumps({"id": "x", "model": "m", **more}).encode() + b"\n\n"


def delta(text: str, finish: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


WHOLE = (
    b": keep-alive\n\n"
    + event(choices=[{"index": 0, "delta": {"role": "assistant", "content": None}}])
    + delta("Grüße ")
    + delta("世界", "stop")
    + event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
    + b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(min_value=0, max_value=len(WHOLE)), max_size=12))
def test_any_cutting_gives_the_same_answer(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    answer = Answer()
    shown = "".join(answer.feed(WHOLE[a:b]) for a, b in itertools.pairwise(edges))
    answer.close()
    assert shown == answer.text == "Grüße 世界"
    assert (answer.input, answer.output, answer.finish, answer.model) == (3, 2, "stop", "m")


def test_a_stream_without_its_end_is_cut() -> None:
    answer = Answer()
    answer.feed(delta("half"))
    with pytest.raises(StreamCut):
        answer.close()


def test_an_error_in_the_stream_is_raised() -> None:
    answer = Answer()
    answer.feed(delta("half"))
    with pytest.raises(NearfarError, match="upstream") as caught:
        answer.feed(b'data: {"error": {"message": "upstream cut", "code": "stream_cut"}}\n\n')
    assert caught.value.code == "stream_cut"


def test_what_is_no_chunk_is_an_error() -> None:
    with pytest.raises(InternalServerError):
        Answer().feed(b"data: {\n")


def test_the_summary_tells_where_why_and_what_it_took() -> None:
    answer = Answer()
    answer.feed(WHOLE)
    headers = {
        "x-nearfar-deployment": "near",
        "x-nearfar-place": "device",
        "x-nearfar-reason": "local first",
        "x-nearfar-deviations": "failover:far:rate_limit_exceeded",
        "x-nearfar-cost-usd": "0.000012000",
    }
    assert summary(answer, headers, 12.4) == (
        "near (device) · local first · 3 → 2 tokens · $0.000012 · 12 ms · deviations: failover:far:rate_limit_exceeded"
    )
    assert summary(Answer(), {}, 1) == "? (?) · ? → ? tokens · cost: in the ledger · 1 ms"
    assert "cost unknown" in summary(Answer(), {COST: UNKNOWN}, 1)
    assert facts(Answer(), {COST: UNKNOWN}, 1)["cost_usd"] is None


@given(st.lists(st.integers(min_value=0, max_value=200), max_size=12))
def test_what_is_said_beside_the_stream_is_heard(cuts: list[int]) -> None:
    notes = (
        b": x-nearfar-place: cloud; x-nearfar-reason: far (near: busy; other: cold); x-nearfar-deviations: a\n\n"
        b": x-nearfar-deviations: b\n\n: x-nearfar-cost-usd: 0.5\n\n"
    )
    answer = Answer()
    edges = [0, *sorted(min(cut, len(notes)) for cut in cuts), len(notes)]
    for a, b in itertools.pairwise(edges):
        answer.feed(notes[a:b])
    assert answer.told == {
        "x-nearfar-place": "cloud",
        "x-nearfar-reason": "far (near: busy; other: cold)",
        "x-nearfar-deviations": "a, b",
        "x-nearfar-cost-usd": "0.5",
    }
    told = together({"x-nearfar-place": "pending", "x-nearfar-deviations": "z"}, answer.told)
    assert (told["x-nearfar-place"], told["x-nearfar-deviations"]) == ("cloud", "z, a, b")


def test_names_beyond_ascii_are_read_whole() -> None:
    answer = Answer()
    answer.feed(b": x-nearfar-deviations: a; x-nearfar-cost-usd: 0.5\n\n: x-nearfar-deviations: continued:??:cut\n\n")
    answer.feed(b": x-nearfar-deviations-encoded: continued:%E9%81%A0%E8%99%95:cut\n\n: x-nearfar-deviations: b\n\n")
    head = {
        "x-nearfar-reason": "far (??: cold)",
        "x-nearfar-reason-encoded": "far (%E8%BF%91: cold)",
        "x-nearfar-deviations": "failover:??:cold",
        "x-nearfar-deviations-encoded": "failover:%E8%BF%91:cold",
    }
    assert facts(answer, head, 1)["deviations"] == ["failover:近:cold"]
    told = together(head, answer.told)
    assert told["x-nearfar-deviations"] == "failover:近:cold, a, continued:遠處:cut, b"
    assert facts(answer, told, 1)["reason"] == "far (近: cold)"
    assert "deviations: failover:近:cold, a, continued:遠處:cut, b" in summary(answer, told, 1)


def test_tool_calls_are_put_together_from_their_pieces() -> None:
    answer = Answer()
    for call in (
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a":'}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
    ):
        event = {"choices": [{"delta": {"tool_calls": [call]}}]}
        answer.feed(b"data: %b\n\n" % json.dumps(event).encode())
    assert answer.calls == {0: ("f", '{"a":1}'), 1: ("g", "{}")}
    assert answer.text == ""


def test_log_probabilities_are_gathered_and_the_first_margin_is_kept() -> None:
    answer = Answer()
    first = {"logprob": -0.5, "top_logprobs": [{"logprob": -2.0}, {"logprob": -0.5}]}
    for tokens in ([first], [{"logprob": -0.1, "top_logprobs": []}, {"logprob": None}], []):
        event = {"choices": [{"delta": {"content": "x"}, "logprobs": {"content": tokens}}]}
        answer.feed(b"data: %b\n\n" % json.dumps(event).encode())
    assert (answer.logprobs, answer.margin) == ([-0.5, -0.1], 1.5)
    assert (Answer().logprobs, Answer().margin) == ([], None)
