"""The forms in which masks come back, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.privacy.masking import TEXTS

from nearfar.privacy import mask_form
from nearfar.privacy.mask_form import BEGUN, FORM, _may_become, begun, finds, word

WORD = "PERSON_7K3Q2M"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "⟦PERSON_7K3Q2M⟧",
            "PERSON_7K3Q2M",
            "person_7k3q2m",
            "⟦Person_7k3Q2m⟧",
            "⟦ PERSON_7K3Q2M ⟧",
            "⟦PERSON _ 7K3Q2M⟧",
        ),
        *(
            "[[PERSON_7K3Q2M]]",
            "{{PERSON_7K3Q2M}}",
            "<PERSON_7K3Q2M>",
            "&lt;PERSON_7K3Q2M&gt;",
            "&#x27E6;PERSON_7K3Q2M&#x27E7;",
        ),
        *(
            "\\u27e6PERSON_7K3Q2M\\u27e7",
            "\\\\u27e6PERSON_7K3Q2M\\\\u27e7",
            "PERSON\\_7K3Q2M",
            "【ＰＥＲＳＯＮ＿７Ｋ３Ｑ２Ｍ】",
        ),
        *("⟦PERSON-7K3Q2M⟧", "⟦PERSON·7K3Q2M⟧", "⟦PERSON：7K3Q2M⟧", "⟦PERSON_7K3 Q2M⟧", "⟦PERSON_\n7K3Q2M⟧"),
    ],
)
def test_echoes(text: str) -> None:
    [found] = finds(f"言{text}言")
    assert (found[0], word(found)) == (text, WORD)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "PERSON_7K3Q2",
            "PERSON_COUNT",
            "xPERSON_7K3Q2M_y",
            "PERSON_7K3Q2Mabcdefghijkl",
            "PERSON-7K3Q2M",
            "PERSON 7K3Q2M",
        ),
        *("⟦PERSON⟧", "P_7K3Q2M", "⟦⟧", "_PERSON_7K3Q2M", "PERSON_7K3Q2M_", "MAX_LENGTH", "0PERSON_7K3Q2M"),
    ],
)
def test_what_is_no_mask(text: str) -> None:
    assert list(finds(text)) == []


@given(TEXTS)
def test_the_quick_search_finds_what_the_slow_one_does(text: str) -> None:
    text = text.replace("BCDFGH", "7K3Q2M")
    assert [found.span() for found in finds(text)] == [found.span() for found in FORM.finditer(text)]


@pytest.mark.parametrize(
    "text", ["⟦PERSON_7K3Q2M⟧", "&lt;PERSON\\_7K3Q2M&gt;", "\\\\u27e6 PERSON _ 7K3 Q2M \\\\u27e7", "PERSON_7K3Q2M"]
)
def test_every_beginning_of_a_mask_is_known_as_one(text: str) -> None:
    for size in range(1, len(text)):
        assert begun(text[:size], 0, {"PERSON"}) == 0, text[:size]
        assert begun("x, " * 50 + text[:size], 0, {"PERSON"}) == 150


def test_only_labels_of_this_request_are_waited_for() -> None:
    assert begun("a person", 0, {"EMAIL"}) == 8
    assert begun("a person", 0, {"PERSONAL"}) == 2
    assert begun("a person_", 0, {"PERSONAL"}) == 9
    assert begun("a ⟦person", 0, {"EMAIL"}) == 9
    assert begun("⟦", 1, {"EMAIL"}) == 1


@given(TEXTS)
def test_the_quick_search_for_a_beginning_finds_what_the_slow_one_does(text: str) -> None:
    found = BEGUN.search(text)
    while found is not None and not _may_become(found, {"PERSON"}):
        found = BEGUN.search(text, found.start() + 1)
    assert begun(text, 0, {"PERSON"}) == (len(text) if found is None else found.start())


def test_a_form_is_bounded() -> None:
    longest = "\\\\u27e6  " + "A" * 12 + "  \\\\_  " + " ".join("7" * 16) + "  \\\\u27e7"
    [found] = finds(longest)
    assert found[0] == longest
    assert len(longest) <= mask_form.SPAN
