"""Special data in plain words: what says that somebody has it is found, what only speaks of the subject is left."""

from __future__ import annotations

import pytest

from nearfar.core.places import Class
from nearfar.policy import classify_kinds
from nearfar.privacy import rules
from nearfar.privacy.scan import Scanner

SPECIAL = [rule for rule in rules.shipped() if rule.kind.startswith("special.")]
SCANNER = Scanner(SPECIAL)

SAID = [
    ("special.health", "林小姐三年前罹患乳癌，目前追蹤中"),
    ("special.health", "家父確診第四期肝癌後搬來同住"),
    ("special.health", "他因憂鬱症請了三個月的假"),
    ("special.health", "個案病史：第二型糖尿病"),
    ("special.health", "我太太下週開始化療"),
    ("special.health", "診斷碼：F32.9"),
    ("special.health", "Ms. Lee was diagnosed with early stage lung cancer last week"),
    ("special.health", "My son has epilepsy and needs a quiet room"),
    ("special.health", "the tenant is HIV positive"),
    ("special.health", "coded as ICD-10-CM E11.65"),
    ("special.genetic", "基因檢測結果為BRCA1突變"),
    ("special.sex_life", "同事是同性戀，請勿外傳"),
    ("special.sex_life", "she came out as lesbian to her team"),
    ("special.religion", "客戶是虔誠的基督徒"),
    ("special.religion", "Religion: Buddhist"),
    ("special.union", "他擔任產業工會理事，請留意"),
    ("special.politics", "黨籍：國民黨"),
    ("special.criminal", "應徵者有酒駕前科"),
    ("special.criminal", "The candidate was convicted of tax evasion in 2019"),
]
LEFT = [
    "糖尿病患者的飲食要注意什麼？",
    "請說明高血壓的成因與預防方法。",
    "乳癌篩檢的年齡建議是幾歲？",
    "這家醫院的癌症中心很有名。",
    "因此病毒碼需要更新。",
    "因為老毛病又犯了，印表機卡紙。",
    "確診個案數今天下降。",
    "診斷為主機板故障。",
    "他有語病，請改寫這句話。",
    "我想寫一篇關於愛滋病防治的報告。",
    "宗教自由是基本權利。",
    "基督教書院的課程表",
    "他信任教授的判斷。",
    "民進黨與國民黨的政見比較",
    "工會會員大會下週舉行。",
    "工會法第六條的規定為何？",
    "犯罪紀錄證明書要去哪裡申請？",
    "刑法第三百二十條規定處五年以下有期徒刑。",
    "同志們，加油！",
    "同性婚姻的法律效果",
    "深藍色比較耐看。",
    "化療藥物的作用機轉是什麼？",
    "試管嬰兒一次要多少錢？",
    "主訴這個欄位要填什麼？",
    "What are the symptoms of diabetes?",
    "Write an article about cancer research funding.",
    "The project suffers from scope creep.",
    "Our build is suffering from flaky tests.",
    "Diagnosis: the disk is full.",
    "He has a history of great releases.",
    "How is HIV transmitted?",
    "My name is Christian Jensen.",
    "The Catholic University of Leuven",
    "a union member of this struct",
    "She is a member of the European Union delegation",
    "The Republican party won the vote.",
    "criminal law in the United States",
    "The battery is charged with 20 W.",
    "I am gaily decorating the hall",
    "a carrier of good news",
    "Lesbian poetry of the nineteenth century",
    "the socialist countries of the eighties",
    "depression in the grammar of a landscape",
    "She is a stroke player",
]


@pytest.mark.parametrize(("kind", "text"), SAID)
def test_what_says_that_somebody_has_it(kind: str, text: str) -> None:
    assert [each.kind for each in SCANNER.scan(text).findings] == [kind]


@pytest.mark.parametrize("text", LEFT)
def test_what_only_speaks_of_it(text: str) -> None:
    assert SCANNER.scan(text).findings == ()


@pytest.mark.parametrize("kind", sorted({rule.kind for rule in SPECIAL}))
def test_it_is_restricted(kind: str) -> None:
    meaning = classify_kinds.shipped().of(kind)
    assert (meaning.class_, meaning.group) == (Class.RESTRICTED, "special")
