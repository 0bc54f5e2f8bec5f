"""Names in running Chinese text: what speaks for one, what against, and where it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.privacy.naming import NAMES, found

from nearfar.privacy.names import DOUBTFUL, FREE
from nearfar.privacy.normal import Normal


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("林雅婷昨天打電話來", ["林雅婷"]),
        ("由陳冠宇辦理貸款", ["陳冠宇"]),
        ("黃淑芬說明了經過", ["黃淑芬"]),
        ("署長吳柏翰直言不可行", ["吳柏翰"]),
        ("楊佩珊、許家瑋，以及鄭宇軒等人", ["楊佩珊", "許家瑋", "鄭宇軒"]),
        ("鄰居蔡如萍坐輪椅", ["蔡如萍"]),
        ("陳○○與林Ｏ美到院", ["陳○○", "林O美"]),
        ("王*明簽收", ["王*明"]),
        ("劉 ", []),
    ],
)
def test_what_stands_beside_tells(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "江南、華東、華南的雨量都不同",
        "高麗菜、金針菇、葉菜類、胡蘿蔔、湯圓",
        "沿林森路直走，再到張江路口",
        "歐洲人比較麻煩，歐洲的絕大部分地區",
        "請張貼公告，由陳列改為張掛",
        "與金額、日期、方向有關的欄位",
        "程式馬上連線，許多溫度紀錄",
        "王國、王子、國王與黃金",
        "第○條、王○ 高○",
        "林立的高樓，陳年的老酒，張力十足",
        "許有限的幾種速率",
    ],
)
def test_what_is_none(text: str) -> None:
    assert found(text) == []


def test_one_character_after_a_surname_is_less_sure() -> None:
    scores = {each.end - each.start: each.score for each in NAMES.scan(Normal.of("張偉、陳美玲三位病人"))}
    assert scores == {2: DOUBTFUL, 3: FREE}
    assert DOUBTFUL >= 0.4, "a scanner counts from 0.4 on"


@settings(max_examples=60)
@given(
    st.text(
        st.sampled_from("王陳林小明志玲○O*、，請幫明天說\n\r\u2028\u200bＯ"),
        max_size=30,
    )
)
def test_no_name_crosses_the_end_of_a_line(text: str) -> None:
    normal = Normal.of(text)
    for each in NAMES.scan(normal):
        assert 0 <= each.start < each.end <= len(normal.text)
        assert len(normal.text[each.start : each.end].splitlines()) == 1


def test_a_name_is_found_where_it_stood_before_the_text_was_made_normal() -> None:
    text = "Ｎo\u200bte：請幫林\u200b志玲安排"
    normal = Normal.of(text)
    (name,) = NAMES.scan(normal)
    start, end = normal.original(name.start, name.end)
    assert text[start:end] == "林\u200b志玲"
