"""Words: every language says everything, with the same gaps, and nothing that nobody says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.advisor.cases import advice

from nearfar.advisor import words
from nearfar.advisor.report import page
from nearfar.catalog import licences, models, second
from nearfar.catalog.prices import shipped_source

ROOM = Path(words.__file__).parent


def test_all_languages_say_the_same_things_with_the_same_gaps() -> None:
    first, *others = (words.tables()[language] for language in words.LANGUAGES)
    for other in others:
        assert other.keys() == first.keys()
        for key, sentence in first.items():
            assert words.gaps(other[key]) == words.gaps(sentence), key


def test_no_word_of_the_mainland() -> None:
    text = "".join(words.tables()["zh-Hant"].values())
    assert not re.search("软|务|数据|用戶|默認|服務器|信息|視頻|網絡|令牌", text)


def test_every_key_is_said_somewhere() -> None:
    code = "".join(path.read_text() for path in ROOM.glob("*.py"))
    made = re.compile("(way|lacks|part|flip|even|cheapest|licence|rule|name|ask|rate|level)_")
    unsaid = [key for key in words.tables()["en"] if not re.search(f"[\"']{key}[\"']", code) and not made.match(key)]
    assert not unsaid


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize(
    "said",
    [
        {},
        {"stay": True},
        {"offline": True, "hardware": "RTX 3090"},
        {"stay": True, "hardware": "GTX 1050 Ti"},
        {"prototype": True},
        {"quality": "best", "hardware": "RTX 3090"},
        {"finetune": True, "traditional_chinese": True},
        {"work": {"peak": 12}, "hardware": "RTX 3090"},
        {"work": {"private_share": 0.5}},
        {"operator": False},
        {"use": "commercial, EU, 800M users"},
    ],
)
def test_every_case_can_be_said(language: str, said: dict[str, object]) -> None:
    made, found = advice(**said)
    told = page(made, found, words.words(language), shipped_source(), second.shipped())
    text = repr(told)
    assert "{" not in re.sub(r"code='.*?'\)", "", text, flags=re.DOTALL).replace("{'", "")
    assert any(section.lines for section in told.sections)


def test_what_licences_say_is_said_in_taiwans_chinese() -> None:
    """Quoted marks, names of policies and of models are English; a sentence that is left over is not."""
    say = words.words("zh-Hant")
    for model in models.shipped().values():
        for used in ("", "commercial, EU, 2M users", "commercial, 900M users, redistribute, fine-tune", "end user, EU"):
            answer = licences.judge(model, licences.use(used))
            for text in (*(each.text for each in answer.reasons), *answer.unverified):
                told = say("licence_reason", licence="", text=text)
                plain = re.sub(r"「[^」]*」|（[^）]*）|[\w.-]+/[\w.-]+", "", told)
                left = re.findall(r"\b[a-z]{2,}\b", plain)
                assert not left, (text, told)


def test_where_prices_come_from_is_said_in_the_readers_language() -> None:
    say = words.words("zh-Hant")
    told = say("prices", source=shipped_source().source)
    assert re.fullmatch(r"價格：PyPI 套件 genai-prices [\d.]+ 的費率，日期為 [\d-]+；以供應商自己的網頁為準。", told)
    told = say("second_agrees", source=second.shipped().source, date="2026-11-22", names="x")
    assert " of PyPI" not in told
