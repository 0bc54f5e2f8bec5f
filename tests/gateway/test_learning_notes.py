"""gateway/learning_notes.py: which two answers make a pair, and whose the client got."""

from __future__ import annotations

from tests.gateway.house import target

from nearfar.core.chat import Chunk, Finish, TextDelta, ToolCallDelta
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.cascade_hearing import Hearing
from nearfar.gateway.learning_notes import MOST, MOST_RAW, Heard, Notes, heard
from nearfar.policy.cascade import Answer

NEAR = target("near", 1, Place.DEVICE).deployment
FAR = target("far", 1).deployment


def said(text: str) -> list[Chunk]:
    return [Chunk(events=(TextDelta(text=text),), raw=text.encode()), Chunk(events=(Finish(reason="stop"),))]


def hearing(text: str) -> Hearing:
    made = Hearing()
    made.hear(said(text))
    return made


def shadow(text: str, deployment: Deployment = FAR) -> Heard:
    return Heard(deployment=deployment, answer=Answer(text=text, finish="stop"))


def served(deployment: Deployment, text: str) -> Notes:
    notes = Notes(drawn=True)
    notes.begin(deployment, goes_on=False)
    notes.hear(said(text))
    return notes


def test_a_served_answer_and_a_shadows() -> None:
    both = served(NEAR, "one").both(shadow("two"))
    assert both is not None
    assert (both.near.answer.text, both.far.answer.text, both.served) == ("one", "two", "near")
    both = served(FAR, "one").both(shadow("two", NEAR))
    assert both is not None
    assert (both.near.answer.text, both.far.answer.text, both.served) == ("two", "one", "far")


def test_two_of_one_side_are_no_pair() -> None:
    assert served(FAR, "one").both(shadow("two")) is None
    assert served(FAR, "one").both() is None
    assert Notes(drawn=True).both(shadow("two")) is None


def test_a_later_attempt_takes_the_place_of_one_that_failed() -> None:
    notes = served(NEAR, "half of")
    notes.begin(NEAR, goes_on=False)
    notes.hear(said("one"))
    both = notes.both(shadow("two"))
    assert both is not None
    assert both.near.answer.text == "one"


def test_a_reply_in_two_halves_makes_no_pair() -> None:
    notes = served(NEAR, "half of")
    notes.begin(NEAR, goes_on=True)
    notes.hear(said("it"))
    assert notes.both(shadow("two")) is None


def test_what_a_cascade_held_and_gave() -> None:
    notes = Notes(drawn=True)
    notes.held(NEAR, hearing("one"))
    both = notes.both(shadow("two"))
    assert both is not None
    assert (both.near.answer.text, both.served) == ("one", "near")
    notes.begin(FAR, goes_on=False)
    notes.hear(said("tw"))
    notes.kept()
    both = notes.both(shadow("two"))
    assert both is not None
    assert (both.far.answer.text, both.served) == ("two", "near"), "the escalation failed, and its half is nothing"


def test_what_a_cascade_escalated() -> None:
    notes = served(FAR, "two")
    notes.held(NEAR, hearing("one"))
    both = notes.both()
    assert both is not None
    assert (both.near.answer.text, both.far.answer.text, both.served) == ("one", "two", "far")


def test_words_alone_can_be_compared() -> None:
    calling = Hearing()
    calling.hear([Chunk(events=(ToolCallDelta(call=0, name="look", arguments="{}"),))])
    assert heard(NEAR, calling) is None
    assert heard(NEAR, hearing("<think>hm</think> ")) is None
    for size in (MOST, MOST_RAW):
        notes = served(NEAR, "x" * (size + 1))
        assert notes.both(shadow("two")) is None
