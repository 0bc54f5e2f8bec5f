"""Both languages say the same things."""

from __future__ import annotations

import re
from string import Formatter

from nearfar.evaluation.words import LANGUAGES, tables, words


def gaps(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_language_has_every_sentence_with_the_same_gaps() -> None:
    assert set(LANGUAGES.values()) == tables().keys()
    english, chinese = tables()["en"], tables()["zh-Hant"]
    assert english.keys() == chinese.keys()
    assert {key: gaps(text) for key, text in english.items()} == {key: gaps(text) for key, text in chinese.items()}
    # A score, a share or the name of an option may stand alone; words may not be left in English.
    assert all(
        re.search(r"[\u4e00-\u9fff]", text) or not re.search(r"[a-z]{3}", re.sub(r"{\w+}", "", text))
        for text in chinese.values()
    )


def test_gaps_are_filled() -> None:
    assert words("en")("of", part=3, whole=4) == "3 of 4"
    assert words("zh-Hant")("bill", spent="$1").startswith("合計至多 $1")
