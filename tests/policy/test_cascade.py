"""The cascade keeps, asks and escalates for the right reasons, and is sure of the right order."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.policy.cascade import MOST_OPINIONS, Answer, Rules, confidence, judge, look


def near(text: str = "#### 18", **more: Any) -> Answer:
    return Answer(text=text, **more)


def sure(text: str = "#### 18", opinions: tuple[str | None, ...] = (), **more: Any) -> float:
    return confidence(look(near(text, **more), "number"), opinions)


def test_agreement_orders_prompts() -> None:
    """Two opinions that agree against the answer are worse for it than two that scatter."""
    both, one, none = sure(opinions=("18", "18")), sure(opinions=("18", "7")), sure(opinions=("6", "7"))
    against = sure(opinions=("7", "7"))
    assert both > sure(opinions=("18",)) > one > sure() > none > against
    assert sure(opinions=("18", "7")) == pytest.approx(sure(opinions=("7", "18")))
    assert sure(opinions=(None,)) == sure()


@pytest.mark.parametrize(
    "worse",
    [
        {"finish": "length"},
        {"text": "2 + 2 = 5\n#### 18"},
        {"text": "I'm sorry, I can't help with that. 18"},
        {"logprobs": (-1.0, -0.9, -2.0)},
        {"text": "no number"},
    ],
    ids=lambda worse: next(iter(worse)),
)
def test_what_an_answer_shows_lowers_the_confidence(worse: dict[str, Any]) -> None:
    assert sure(**worse) < sure()
    assert sure(**worse, opinions=("18",)) < sure(opinions=("18",))


def test_probable_tokens_raise_it_and_length_alone_does_not() -> None:
    assert sure(logprobs=(-0.01, -0.02)) > sure()
    assert sure(logprobs=(-0.25,)) == pytest.approx(sure(logprobs=(-0.25,) * 500))


def test_much_work_for_a_short_result_lowers_it_and_a_long_text_is_what_was_asked_for() -> None:
    work = "So we go on from here and look at it once more. "
    assert sure(work * 40 + "#### 18") < sure(work * 10 + "#### 18") < sure()
    short, long = (look(near(work * many), "text") for many in (2, 40))
    assert confidence(long, ()) == pytest.approx(confidence(short, ()))


def test_a_schema_counts() -> None:
    schema: dict[str, object] = {"type": "object", "required": ["a"]}
    good = look(near('{"a": 1}'), "json", schema=schema)
    bad = look(near('{"b": 1}'), "json", schema=schema)
    assert confidence(good, ()) > 0.5 > confidence(bad, ())
    assert "schema" in judge(bad, (), Rules(opinions=0)).reason


def test_the_path_of_an_uncertain_answer() -> None:
    signals, rules = look(near(), "number"), Rules()
    assert judge(signals, (), rules).action == "ask"
    assert judge(signals, ("18",), rules).action == "ask"
    assert judge(signals, ("18", "18"), rules).action == "keep"
    assert judge(signals, ("7", "7"), rules).action == "escalate"
    assert "0 of 2 opinions agree" in judge(signals, ("7", "7"), rules).reason


def test_outside_the_uncertain_band_nobody_is_asked() -> None:
    unreadable = look(near("no number"), "number")
    assert judge(unreadable, (), Rules()).action == "escalate"
    assert judge(look(near(), "number"), (), Rules(sure=0.5)).action == "keep"


def test_never_more_than_two_opinions() -> None:
    signals, rules = look(near(), "number"), Rules(opinions=9, sure=1.0, lost=0.0)
    assert judge(signals, ("18", "7"), rules).action != "ask"
    assert MOST_OPINIONS == 2


def test_a_learned_confidence_decides_in_the_end_but_not_whether_to_ask() -> None:
    signals = look(near(), "number")
    assert judge(signals, (), Rules(), trained=0.99).action == "ask"
    assert judge(signals, ("18", "18"), Rules(), trained=0.2).action == "escalate"


@given(
    st.text(max_size=80),
    st.lists(st.one_of(st.none(), st.sampled_from(["1", "2", "18"])), max_size=2),
    st.lists(st.floats(max_value=0, allow_nan=False), max_size=5),
    st.sampled_from(["", "stop", "length"]),
)
def test_confidence_is_a_probability(text: str, opinions: list[str | None], logs: list[float], finish: str) -> None:
    found = confidence(look(Answer(text=text, logprobs=logs, finish=finish), "number"), opinions)
    assert 0 <= found <= 1
    verdict = judge(look(Answer(text=text, logprobs=logs, finish=finish), "number"), opinions, Rules())
    assert verdict.action == "ask" or len(opinions) <= MOST_OPINIONS


def test_it_needs_no_numpy() -> None:
    code = "import sys, nearfar.policy.cascade; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
