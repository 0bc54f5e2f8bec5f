"""Names in both languages: what tells of one, what does not, and how the data is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.naming import NAMES, found

from nearfar.privacy.names import Names
from nearfar.privacy.normal import Normal


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("姓名：王小明，性別男", ["王小明"]),
        ("病患陳怡君主訴頭痛", ["陳怡君"]),
        ("請王小明先生到三號櫃台", ["王小明"]),
        ("請王先生到三號櫃台", ["王先生"]),
        ("病患陳先生主訴頭痛", ["陳先生"]),
        ("糖尿病患者黃小姐", ["黃小姐"]),
        ("聯絡人：高女士", ["高女士"]),
        ("請聯絡陳先生，並通知洪醫師", ["陳先生", "洪醫師"]),
        ("今天早上張小姐來換藥", ["張小姐"]),
        ("昨天林太太和楊老師都在", ["林太太", "楊老師"]),
        ("聯絡人歐陽惠龍", ["歐陽惠龍"]),
        ("戶名張簡志明", ["張簡志明"]),
        ("病患王明來院", ["王明"]),
        ('{"name":"林淑芬"}', ["林淑芬"]),
        ("與陳志明、林淑芬一起", ["陳志明", "林淑芬"]),
        ("我叫瓦歷斯‧諾幹", ["瓦歷斯‧諾幹"]),
        ("姓名：王\u200b小明", ["王小明"]),
        ("王小明明天要回診", ["王小明"]),
        ("請幫林志玲安排明天的門診", ["林志玲"]),
        ("張偉、李娜、陳美玲三位病人", ["張偉", "李娜", "陳美玲"]),
        ("王○明今天到院", ["王○明"]),
        ("愛滋病患者陳先生今天拿藥", ["陳先生"]),
        ("客户李国强的电话", ["李国强"]),
        ("My name is Rubija.", ["Rubija"]),
        ("Dear Mr. Novak,", ["Novak"]),
        ("ask Dr. Maria van der Berg about it", ["Maria van der Berg"]),
        ("we met John Smith there", ["John Smith"]),
        ("Patient: Wang Xiao-Ming", ["Wang Xiao-Ming"]),
        ("spoke to Lin Yi-Chun today", ["Lin Yi-Chun"]),
        ("said Janka M. Szabo", ["Janka M. Szabo"]),
        ("Teresa's address is in the file", ["Teresa"]),
        ("she said Russell knew", ["Russell"]),
        ("Bryan: You saved my life!", ["Bryan"]),
        ("Ubul Csonka lives at 12 Main Road", ["Ubul Csonka"]),
    ],
)
def test_what_is_a_name(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "高興地說方法很簡單",
        "許多人謝謝您",
        "黃金價格上漲",
        "林業與石化工業",
        "本系統的程式連線溫度",
        "第三條 施行日期",
        "張開雙手",
        "那一張小姐的照片，每張老師都簽了名",
        "緊張先生、國王先生與森林小姐",
        "感謝老師，也許醫師會來，請信賴醫師",
        "主任醫師說設施經理在山莊",
        "她推著行李，行李小姐是綽號",
        "The Quick Brown Fox",
        "New York City",
        "See the Table of Contents",
        "Visual Studio Code",
        "GET /v1/models HTTP",
        "Victoria has hills",
        "a Jordan river",
        "Docs: see below",
        "the Mark operator",
        "",
    ],
)
def test_what_is_none(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Why is Samantha so late?", ["Samantha"]),
        ("I gave it to Nathaniel yesterday", ["Nathaniel"]),
        ("They had four: Erik, Amy, Nathaniel, Donald and Kristen.", ["Erik", "Amy", "Nathaniel", "Donald", "Kristen"]),
        ('"It moves that way," says Bergqvist.', ["Bergqvist"]),
        ('"It moves that way," explained Rebeca Souza in June', ["Rebeca Souza"]),
        ("we add Edvard Petrussen as a beneficiary", ["Edvard Petrussen"]),
        ("Please follow up with Matheus Araujo in May", ["Matheus Araujo"]),
    ],
)
def test_without_a_label(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "Claude is a model, and so is Gemma",
        "Victoria, Jordan, Georgia and Virginia are places",
        "Samantha.method(x)",
        "call Kristen() or Kristen[0]",
        "Nathaniel Street",
        "Jenkins, Docker, Grafana and Kafka run here",
        "Thomas and Sons",
        "a Rebecca2 release",
        "Hope, Faith, Joy and Grace",
    ],
)
def test_a_given_name_that_may_be_something_else(text: str) -> None:
    assert found(text) == []


def test_a_label_says_more_than_a_place() -> None:
    labelled = NAMES.scan(Normal.of("姓名：王小明"))[0]
    free = NAMES.scan(Normal.of("他和王志明。"))[0]
    assert labelled.score > free.score
    assert labelled.kind == free.kind == "person"
    assert labelled.detector == NAMES.name


@given(st.text(st.characters() | st.sampled_from("王陳林先生小姐姓名：:Mr. John Smith"), max_size=80))
def test_findings_lie_in_the_text(text: str) -> None:
    normal = Normal.of(text)
    for each in NAMES.scan(normal):
        assert 0 <= each.start < each.end <= len(normal.text)


def test_wrong_data_is_refused() -> None:
    with pytest.raises(ValueError, match="not a file of names"):
        Names(b"[chinese]\nsurnames = 1")


def test_the_version_changes_with_the_data() -> None:
    assert NAMES.version
    assert len(NAMES.version) == 12
