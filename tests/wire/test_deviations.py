import msgspec
import pytest

from nearfar.wire.deviations import SPELLINGS, Deviations, says_something, unsupported


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def test_each_deviation_once_in_order() -> None:
    note = Deviations()
    for name in ("dropped:b", "dropped:a", "dropped:b"):
        note.add(name)
    assert note.all() == ("dropped:b", "dropped:a")


def test_keep_notes_what_it_leaves() -> None:
    note = Deviations()
    extra = {"own": raw("1"), "other": raw("2"), "empty": raw("[]"), "content": raw("[1]")}
    assert note.keep(extra, frozenset({"own"})) == {"own": raw("1")}
    assert note.all() == ("dropped:other",)


@pytest.mark.parametrize("text", ["null", "[]", "{}", '""'])
def test_empty_members_say_nothing(text: str) -> None:
    assert not says_something("anything", raw(text))
    assert says_something("anything", raw("false"))


def test_spellings_say_nothing() -> None:
    assert not any(says_something(name, raw("5")) for name in SPELLINGS)


def test_a_refusal_says_who_what_and_the_next_step() -> None:
    error = unsupported("It", "such thing", "p")
    assert (error.message, error.code, error.param) == ("It has no such thing.", "unsupported", "p")
    assert error.hint
