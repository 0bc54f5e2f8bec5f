"""Masks: the same for the same value in the same conversation, never for another value, caller, conversation or key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.masking import KEY, vault

from nearfar.core.errors import MaskingFailed
from nearfar.privacy.vault import Vault, fold, identity, label


def test_a_mask_says_what_stands_there_and_nothing_of_the_value() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    assert mask.startswith("⟦PERSON_")
    assert mask.endswith("⟧")
    assert own.value(mask[1:-1]) == "王小明"


def test_the_next_turn_on_another_replica_makes_the_same_masks() -> None:
    first, second = vault(), vault()
    masks = [first.mask(value, "person") for value in ("a b", "c d")]
    assert [second.mask(value, "person") for value in ("a b", "c d", "e f")][:2] == masks


@pytest.mark.parametrize("other", [{"caller": "bank"}, {"first": "hello"}, {"key": KEY[::-1]}])
def test_masks_of_another_caller_conversation_or_key_are_others_and_mean_nothing_here(other: dict[str, str]) -> None:
    own, strange = vault(), vault(**other)  # type: ignore[arg-type]  # one of three keywords
    word = strange.word("王小明", "person")
    assert own.word("王小明", "person") != word
    assert own.value(word) is None


def test_caller_and_conversation_do_not_run_into_each_other() -> None:
    one = Vault(KEY, caller="ab", conversation=b"c")
    other = Vault(KEY, caller="a", conversation=b"bc")
    assert one.word("x", "person") != other.word("x", "person")


def test_spellings_of_one_value_share_their_code_and_each_comes_back_as_it_was() -> None:
    own = vault()
    spellings = ["王小明", "王 小明", "王\u200b小明"]
    words = [own.word(value, "person") for value in spellings]
    assert len(set(words)) == 3
    assert all(word.startswith(words[0]) for word in words)
    assert [own.value(word) for word in words] == spellings
    assert own.word("Ａ１２３", "id")[:9] == own.word("a123", "id")[:9]


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=60))
def test_two_values_are_never_equal(values: list[str]) -> None:
    own = vault()
    words = [own.word(value, "person") for value in values]
    assert len(set(words)) == len(values)
    assert [own.value(word) for word in words] == values
    assert [own.word(value, "person") for value in values] == words


def test_a_collision_of_codes_takes_a_longer_code(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Vault._code
    monkeypatch.setattr(
        Vault, "_code", lambda self, n, form, size: "BBBBBB" if n == 0 else real(self, n, form, size)
    )  # every first try gives one and the same code
    own = vault()
    words = [own.word(value, "person") for value in ("one", "two", "three")]
    assert len(set(words)) == 3
    assert not any(a != b and b.startswith(a) for a in words for b in words), "a cut mask must not be another's"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("person", "PERSON"), ("tw.national_id", "NATIONALID"), ("x1", "PRIVATE"), ("", "PRIVATE"), ("a" * 40, "A" * 12)],
)
def test_labels(kind: str, expected: str) -> None:
    assert label(kind) == expected


def test_what_is_forgotten_is_gone() -> None:
    own = vault()
    word = own.word("王小明", "person")
    own.forget()
    assert own.value(word) is None
    assert own.private == []
    assert not own.labels
    with pytest.raises(MaskingFailed, match="forgotten"):
        own.word("王小明", "person")


def test_it_is_bounded() -> None:
    own = vault(limit=2)
    own.word("a", "person")
    own.word("b", "person")
    assert own.word("a", "person")
    with pytest.raises(MaskingFailed, match="more than 2"):
        own.word("c", "person")


def test_it_never_prints_a_value() -> None:
    own = vault()
    own.word("王小明", "person")
    assert repr(own) == "<Vault of 1 values>"
    assert len(own) == 1


def test_a_short_key_is_refused() -> None:
    with pytest.raises(MaskingFailed, match="16 bytes"):
        vault(key=b"short")


def test_a_conversation_is_known_by_its_first_words() -> None:
    assert identity("hi") == identity("hi") != identity("hi ")


def test_the_comparable_form() -> None:
    assert fold("王 小\u200b明") == "王小明"
    assert fold("Ａ１２３ ") == "a123"
    assert fold("  ") == "  ", "nothing but space is still a value of its own"


def test_what_is_kept_restores_and_masks_nothing_new() -> None:
    own = vault()
    word = own.word("王小明", "person")
    kept = Vault.kept(own.pairs())
    assert kept.value(word) == "王小明"
    assert kept.labels == {"PERSON"}
    assert kept.word("王小明", "person") == word
    with pytest.raises(MaskingFailed, match="only restores"):
        kept.word("李大華", "person")
