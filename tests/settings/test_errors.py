"""Problems are told with their place; an error tells the first and counts the rest."""

from __future__ import annotations

from nearfar.settings.errors import Problem, refuse


def test_the_words_of_a_problem() -> None:
    assert Problem(key="a.b", origin="env X", message="is wrong").text == "a.b: is wrong (env X)"
    assert Problem(key="", origin="", message="is wrong").text == "is wrong"


def test_one_and_several() -> None:
    first = Problem(key="a", origin="", message="x", hint="Do y.")
    assert (refuse([first]).message, refuse([first]).hint) == ("a: x", "Do y.")
    several = refuse([first, first, first])
    assert several.message == "a: x (and 2 more: nearfar config check)"
    assert (several.status, several.code, len(several.problems)) == (400, "bad_settings", 3)
