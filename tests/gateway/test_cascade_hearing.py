"""What is heard of a reply: words, end, probabilities, calls; and what is kept from the client."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import (
    Chunk,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from nearfar.core.errors import UpstreamError
from nearfar.gateway import cascade_hearing
from nearfar.gateway.cascade_hearing import Hearing


def heard(*events: Event, strips: bool = False) -> tuple[Hearing, list[Chunk]]:
    hearing = Hearing(strips=strips)
    chunks = [Chunk(events=(event,)) for event in events]
    hearing.hear(chunks)
    return hearing, chunks


def logprobs(value: object) -> LogprobsDelta:
    return LogprobsDelta(msgspec.Raw(msgspec.json.encode(value)))


def test_words_without_the_thinking() -> None:
    hearing, _ = heard(
        ReasoningDelta("hm"), TextDelta("<think>or 41"), TextDelta("</think>\nIt is "), TextDelta("42."), Finish("stop")
    )
    assert (hearing.answer().text, hearing.answer().finish, hearing.calls) == ("It is 42.", "stop", None)
    assert heard(RefusalDelta("No."))[0].answer().text == "No."


def test_probabilities() -> None:
    tops = [{"logprob": -0.1}, {"logprob": -2.1}]
    tokens = [{"logprob": -0.1, "top_logprobs": tops}, {"logprob": None}]
    hearing, chunks = heard(logprobs({"content": tokens}), logprobs({"content": [{"logprob": -0.5}]}))
    assert hearing.answer().logprobs == (-0.1, -0.5)
    assert hearing.answer().margin == pytest.approx(2.0)
    assert all(chunk.events for chunk in chunks)


def test_what_the_client_did_not_ask_for_is_taken_out() -> None:
    hearing, chunks = heard(TextDelta("a"), logprobs({"content": [{"logprob": -0.5}]}), strips=True)
    assert [chunk.events for chunk in chunks] == [(TextDelta("a"),), ()]
    assert hearing.answer().logprobs == (-0.5,)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["content", "logprob"]), x),
    )
)
def test_any_oddity_of_a_server_is_no_error(value: object) -> None:
    heard(logprobs(value))[0].answer()


@pytest.mark.parametrize(
    ("pieces", "well"), [(['{"a":', " 1}"], True), ([""], True), (['{"a":'], False), (["[1]"], False)]
)
def test_calls(pieces: list[str], well: bool) -> None:
    assert heard(*(ToolCallDelta(call=0, arguments=piece) for piece in pieces))[0].calls is well


def test_the_older_form_of_calls() -> None:
    assert heard(Finish("function_call"))[0].calls is True


def test_what_is_too_long_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade_hearing, "MOST", 10)
    hearing = Hearing()
    hearing.hear([Chunk(raw=b"12345")])
    with pytest.raises(UpstreamError) as error:
        hearing.hear([Chunk(raw=b"123456")])
    assert error.value.code == "reply_too_long"
