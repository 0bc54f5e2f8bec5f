"""The scanner: all rules over all readings, one finding per place, the memo, detectors that fail, linear time."""

from __future__ import annotations

import base64
import itertools
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.privacy import HOSTILE
from nearfar.core.errors import GuardError
from nearfar.privacy import rules
from nearfar.privacy.findings import Finding
from nearfar.privacy.names import Names
from nearfar.privacy.normal import Normal
from nearfar.privacy.scan import Memo, Scanner, _resolved, bare

SCANNER = Scanner(detectors=[Names.shipped()])
RULES = Scanner()


def kinds(text: str) -> dict[str, str]:
    return {text[each.start : each.end]: each.kind for each in RULES.scan(text).findings}


def test_a_record_in_chinese() -> None:
    text = (
        "病患王小明，身分證字號A123456789，63/3/12生，手機0912-345-678，信箱mei@example.org，卡號4111-1111-1111-1111。"
    )
    found = {text[each.start : each.end]: each.kind for each in SCANNER.scan(text).findings}
    assert found == {
        "王小明": "person",
        "A123456789": "tw.national_id",
        "63/3/12": "birth_date",
        "0912-345-678": "tw.mobile",
        "mei@example.org": "email",
        "4111-1111-1111-1111": "card",
    }


@pytest.mark.parametrize(
    "text",
    [
        "Ａ１２３４５６７８９",
        "A12\u200b345\u200d6789",
        "A123\u202e456\u202c789",
        json.dumps({"id": "號A123456789"}),
        json.dumps(json.dumps({"id": "\u865fA123456789"})),
        urllib.parse.quote("號碼A123456789"),
        base64.b64encode("身分證A123456789".encode()).decode(),
        "身分證A123456789".encode().hex(),
        "".join(f"&#{ord(char)};" for char in "A123456789"),
        "".join(chr(0xE0000 + ord(char)) for char in "A123456789"),
    ],
)
def test_disguises(text: str) -> None:
    found = RULES.scan(f"x {text} y").findings
    assert [each.kind for each in found] == ["tw.national_id"]
    assert 2 <= found[0].start < found[0].end <= 2 + len(text)


def test_the_nearest_word_decides_between_equal_shapes() -> None:
    assert kinds("統編04595257") == {"04595257": "tw.business_number"}
    assert kinds("病歷號04595257") == {"04595257": "medical_record"}
    assert kinds("電話04595257，統編10458575") == {"04595257": "phone", "10458575": "tw.business_number"}


def test_a_link_gives_way_to_what_it_holds() -> None:
    assert kinds("見https://example.org/a") == {"https://example.org/a": "url"}
    assert kinds("https://example.org/?id=A123456789") == {"A123456789": "tw.national_id"}


def test_findings_do_not_overlap_and_are_in_order() -> None:
    text = "帳號012-3456789012電話0223456789卡號4111111111111111 a@b.org A123456789 " * 20
    found = SCANNER.scan(text).findings
    assert len(found) >= 80
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_the_owner_lists_what_is_harmless() -> None:
    scanner = Scanner(harmless=["02 2345 6789", "INFO@example.org"])
    scanned = scanner.scan("電話(02)2345-6789，info@example.org，手機0912345678")
    assert [each.kind for each in scanned.findings] == ["tw.mobile"]
    assert scanned.harmless == 2
    assert bare("(02)２３４５-6789") == "0223456789"


def test_what_cannot_be_read_is_told() -> None:
    blob = base64.b64encode(bytes((n * 89 + 31) % 256 | 0x80 for n in range(600))).decode()
    scanned = RULES.scan(f"file {blob}")
    assert [(each.start, each.end) for each in scanned.unknowns] == [(5, 5 + len(blob))]


class Broken:
    """A fake of an optional engine; it stands for what cannot run here."""

    name = "broken"
    version = "1"

    def __init__(self, findings: list[Finding] | Exception) -> None:
        self.findings = findings

    def scan(self, text: Normal) -> list[Finding]:
        if isinstance(self.findings, Exception):
            raise self.findings
        return self.findings


@pytest.mark.parametrize(
    "detector",
    [
        Broken(RuntimeError("out of memory")),
        Broken(GuardError("no answer in time")),
        Broken([Finding(3, 99, "person", 0.9, "broken")]),
        Broken([Finding(-1, 2, "person", 0.9, "broken")]),
        Broken([Finding(2, 2, "person", 0.9, "broken")]),
    ],
)
def test_a_detector_that_fails_fails_the_scan(detector: Broken) -> None:
    with pytest.raises(GuardError) as caught:
        Scanner(detectors=[detector]).scan("a short text")
    assert caught.value.code == "guard_unavailable"
    assert "short text" not in caught.value.text


def test_a_failed_scan_is_not_remembered() -> None:
    memo = Memo()
    with pytest.raises(GuardError):
        Scanner(detectors=[Broken(RuntimeError())], memo=memo).scan("text")
    assert len(memo) == 0


def test_the_memo_gives_the_same_and_keeps_no_text() -> None:
    memo = Memo(entries=3)
    scanner = Scanner(memo=memo)
    text = "手機0912-345-678"
    first = scanner.scan(text)
    assert scanner.scan(text) is first
    assert first == RULES.scan(text)
    assert "0912" not in repr(vars(memo))
    for n in range(10):
        scanner.scan(f"text {n}")
    assert len(memo) == 3


def test_another_version_is_another_entry() -> None:
    memo = Memo()
    one, two = Scanner(memo=memo), Scanner(harmless=["0912-345-678"], memo=memo)
    assert one.version != two.version
    assert len(one.scan("手機0912-345-678").findings) == 1
    assert two.scan("手機0912-345-678").findings == ()
    three = Scanner(detectors=[Broken([])])
    assert three.version not in {one.version, two.version}


@given(st.text(st.characters() | st.sampled_from("0123456789-@.:/A身分證電話帳號 \u200b%\\"), max_size=120))
def test_any_text_has_an_answer_within_it(text: str) -> None:
    scanned = SCANNER.scan(text)
    places = [(each.start, each.end) for each in scanned.findings] + [
        (each.start, each.end) for each in scanned.unknowns
    ]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert scanned == SCANNER.scan(text)


@given(
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=30),
    st.sampled_from(
        sorted(
            {
                (rule.kind, rules.marked(example)[0])
                for rule in rules.shipped()
                if rule.row.score >= 0.85 and not rule.row.need
                for example in rule.row.good[:1]
            }
        )
    ),
)
def test_ideographs_around_a_value_hide_nothing(around: str, case: tuple[str, str]) -> None:
    """Chinese characters are no letters of a word: what is found alone is found between them."""
    kind, text = case
    alone = {each.kind for each in RULES.scan(text).findings}
    if kind in alone:
        assert kind in {each.kind for each in RULES.scan(f"{around} {text} {around}").findings} | {"url"}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_repetition_is_answered(name: str) -> None:
    """20 kB of what stopped other detectors for half a minute; a hang would meet the suite's own limit."""
    SCANNER.scan(HOSTILE[name])


class Told:
    """A detector that is told what to find: stands for an engine whose spans cross those of the rules."""

    name, version = "told", "1"

    def __init__(self, *spans: tuple[int, int, str, float]) -> None:
        self.spans = spans

    def scan(self, text: Normal) -> list[Finding]:
        return [Finding(*span, self.name) for span in self.spans if span[1] <= len(text.text)]


def test_of_two_that_overlap_in_part_nothing_is_left_uncovered() -> None:
    text = "Alice Wong Street 12, Taipei"
    found = Scanner((), [Told((0, 10, "person", 0.6), (6, 20, "address", 0.6))]).scan(text).findings
    assert [(text[each.start : each.end], each.kind) for each in found] == [
        ("Alice", "person"),
        ("Wong Street 12", "address"),
    ]


def test_signs_alone_are_no_finding() -> None:
    text = "(02) 2345 and so on"
    found = Scanner((), [Told((0, 9, "phone", 0.6), (1, 12, "x", 0.6))]).scan(text).findings
    assert [(each.start, each.end, each.kind) for each in found] == [(1, 12, "x")]


def test_a_link_gives_way_as_a_whole() -> None:
    text = "https://example.org/0912345678/x"
    assert [each.kind for each in Scanner().scan(text).findings] == ["tw.mobile"]


SPANS = st.tuples(
    st.booleans(), st.integers(0, 30), st.integers(1, 12), st.sampled_from([0.5, 0.7]), st.sampled_from("ab")
)


@given(st.lists(SPANS, max_size=9), st.text("x1 -字", min_size=42, max_size=42))
def test_whatever_overlaps_all_of_it_is_covered_once(
    given_: list[tuple[bool, int, int, float, str]], text: str
) -> None:
    spots = [(yields, -size, -score, at, at + size, kind, kind) for yields, at, size, score, kind in given_]
    chosen = _resolved(list(spots), text)
    assert all(one[3] < one[4] <= other[3] for one, other in itertools.pairwise(chosen))
    covered = {at for each in chosen for at in range(each[3], each[4])}
    wanted = {at for each in spots if not each[0] for at in range(each[3], each[4]) if text[at].isalnum()}
    assert wanted <= covered
