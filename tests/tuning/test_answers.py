"""Recorded answers go the gateway's way: opinions one by one, in an order fixed beforehand."""

from __future__ import annotations

import math

import msgspec
import pytest
from tests.tuning import made

from nearfar.policy.cascade import Answer, Rules, look
from nearfar.tuning.answers import chosen, numbers, option, seen, signals, verdict
from nearfar.tuning.labels import BadLabels, Label, Opinion


def one(*answers: str, local: str = "#### 3") -> Label:
    label = made.labels(1, answers=True)[0]
    opinions = [Opinion(model=f"m{at}", answer=text) for at, text in enumerate(answers)]
    return msgspec.structs.replace(label, local=msgspec.structs.replace(label.local, answer=local), opinions=opinions)


def test_who_is_asked_is_fixed_beforehand() -> None:
    labels = [one(), one("1", "2", "3")]
    assert chosen(labels) == ["m0", "m1"]
    assert chosen(labels, ["m2"]) == ["m2"]
    assert chosen([one()]) == []
    with pytest.raises(BadLabels, match="At most 2"):
        chosen(labels, ["m0", "m1", "m2"])
    with pytest.raises(BadLabels, match="No line has an opinion of 'x'"):
        chosen(labels, ["x"])


def test_nobody_is_asked_about_what_is_decided() -> None:
    assert seen(one("3", "3", local="no idea"), ["m0", "m1"], Rules()).opinions == []
    assert seen(one("3", "3"), ["m0", "m1"], Rules()).opinions == ["3", "3"]
    assert seen(one("3", "3"), ["m0", "m1"], Rules(sure=0.9)).opinions == ["3"]
    assert seen(one("3"), ["m0", "m1"], Rules()).opinions == ["3", None]


def test_the_verdict_is_the_last_word() -> None:
    agreed = seen(one("3", "3"), ["m0", "m1"], Rules())
    assert verdict(agreed, Rules()).action == "keep"
    assert verdict(agreed, Rules(), trained=0.1).action == "escalate"
    assert verdict(seen(one("4", "4"), ["m0", "m1"], Rules()), Rules()).action == "escalate"


def test_numbers_tell_paths_apart() -> None:
    paths = [seen(one(*said), ["m0", "m1"], Rules()) for said in (("3", "3"), ("3", "4"), ("4", "4"), ("4", "5"))]
    found = {tuple(numbers(item)) for item in paths}
    assert len(found) == 4
    assert len({len(item) for item in found}) == 1
    assert all(math.isfinite(value) for item in found for value in item)


def test_the_length_of_an_answer_counts_where_only_its_result_is_recorded() -> None:
    label = one("3", "3")
    long = msgspec.structs.replace(label, local=msgspec.structs.replace(label.local, length=2000))
    assert signals(long).length == 2000
    assert signals(label).length == len("#### 3")
    assert seen(long, ["m0"], Rules()).confidence < seen(label, ["m0"], Rules()).confidence


def test_what_is_told_of_the_chosen_option() -> None:
    prompt = "Which?\nA. a pear\nB. 12\n(C) none of the above\nD) an apple and a pear\nAnswer:"
    assert option(prompt, look(Answer(text="B"), "choice")) == (0.375, 0.125, False, True)
    assert option(prompt, look(Answer(text="C"), "choice")) == (0.625, 0.625, True, False)
    assert option(prompt, look(Answer(text="E"), "choice")) is None
    assert option("no options", look(Answer(text="A"), "choice")) is None
    assert option(prompt, look(Answer(text="12"), "number")) is None
