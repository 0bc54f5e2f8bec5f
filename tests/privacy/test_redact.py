"""Values that a reply brings up: found in every split, taken out whole, and nothing taken that the caller sent."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.errors import GuardError
from nearfar.privacy.findings import Finding
from nearfar.privacy.redact import AHEAD, MOST, STEP, Own, Redaction, Redactor, placeholder
from nearfar.privacy.scan import Scanner

MAIL, CARD, SSN = "alice.quill@example.org", "4111-1111-1111-1111", "539-04-1284"
MOBILE, ID = "0912-345-678", "A123456789"
KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 90 + "-----END PRIVATE KEY-----"


@functools.cache
def scanner() -> Scanner:
    return Scanner()


def look(text: str) -> list[Finding]:
    return [each for each in scanner().scan(text).findings if each.kind != "url"]


def how(*said: str, redact: bool = True) -> Redaction:
    return Redaction(scan=look, own=Own(lambda: said), redact=redact)


def shown(
    text: str, cuts: Iterable[int] = (), *said: str, arguments: bool = False, redact: bool = True
) -> tuple[str, dict[str, int]]:
    """``text`` as the client gets it, fed in pieces of ``cuts`` characters and the rest, and what was counted."""
    about = how(*said, redact=redact)
    redactor = Redactor(about, lambda _: None, arguments=arguments)
    out, at = "", 0
    for size in cuts:
        out += redactor.feed([(text[at : at + size], None)])
        at += size
    out += redactor.feed([(text[at:], None)])
    return out + redactor.feed([], final=True), about.report.kinds


def test_what_the_reply_brings_up_is_taken_out() -> None:
    text = f"Write to {MAIL}, card {CARD}, SSN {SSN}. 手機{MOBILE}，身分證{ID}。"
    expected = "Write to [redacted:email], card [redacted:card], SSN [redacted:us.ssn]. "
    expected += "手機[redacted:tw.mobile]，身分證[redacted:tw.national_id]。"
    counted = {"email": 1, "card": 1, "us.ssn": 1, "tw.mobile": 1, "tw.national_id": 1}
    assert shown(text) == (expected, counted)


def test_a_value_in_two_pieces_is_found_at_every_cut() -> None:
    text = f"Reference record: {CARD} and {MAIL}"
    whole = shown(text)
    assert CARD not in whole[0]
    for cut in range(len(text)):
        assert shown(text, [cut]) == whole
    assert shown(text, [1] * len(text)) == whole


WORDS = st.sampled_from(
    [
        MAIL,
        CARD,
        SSN,
        MOBILE,
        ID,
        "手機",
        "身分證字號：",
        "card ",
        " ",
        "\n",
        "，",
        "the quick brown fox ",
        "ａｂｃ１２３",
        "%40",
        "\\u0040",
        "example.org",
        "4111",
        "-",
        "🙂",
        "x" * 40,
        '{"a": "',
        '"}',
        "password = hunter2hunter2",
    ]
)


@given(st.lists(WORDS, max_size=30).map("".join), st.lists(st.integers(1, 60), max_size=40), st.booleans())
@examples(60)
def test_every_split_gives_the_same(text: str, cuts: list[int], arguments: bool) -> None:
    assert shown(text, cuts, arguments=arguments) == shown(text, arguments=arguments)


@given(st.lists(WORDS, max_size=30).map("".join), st.lists(st.integers(1, 60), max_size=40))
@examples(40)
def test_what_is_only_told_of_passes_and_counts_the_same(text: str, cuts: list[int]) -> None:
    told = shown(text, cuts, redact=False)
    assert told == (text, shown(text, cuts)[1])


def test_what_is_only_told_of_is_not_held_back() -> None:
    redactor = Redactor(how(redact=False), lambda _: None)
    assert redactor.feed([("4111-11", None)]) == "4111-11"


def test_at_most_a_stretch_is_held_back() -> None:
    redactor = Redactor(how(), lambda _: None)
    text = "word " * 400
    out, most = 0, 0
    for number, char in enumerate(text, 1):
        out += len(redactor.feed([(char, None)]))
        most = max(most, number - out)
    assert most <= STEP + AHEAD + 2 * len("word ")


def test_a_run_without_an_end_is_held_back_only_so_far() -> None:
    redactor = Redactor(how(), lambda _: None)
    out = redactor.feed([("x" * (3 * MOST), None)])
    assert len(out) >= MOST
    assert len(out) + len(redactor.feed([], final=True)) == 3 * MOST


@pytest.mark.parametrize("size", [7, 500, 5000])
def test_a_key_of_many_lines_goes_as_a_whole(size: int) -> None:
    text = f"Here it is:\n{KEY}\nKeep it safe."
    expected = "Here it is:\n[redacted:secret.private_key]\nKeep it safe."
    assert shown(text, [size] * (len(text) // size))[0] == expected


def test_what_the_caller_sent_stays() -> None:
    text = f"You gave {MAIL} and 4111 1111 1111 1111; I add {SSN}."
    said = (f"mail {MAIL}", json.dumps({"card": CARD}))
    assert shown(text, (), *said) == (text.replace(SSN, "[redacted:us.ssn]"), {"us.ssn": 1})


def test_the_caller_is_asked_only_when_something_is_found() -> None:
    def texts() -> Sequence[str]:
        raise AssertionError("nobody needs them")

    redactor = Redactor(Redaction(scan=look, own=Own(texts), redact=True), lambda _: None)
    assert redactor.feed([("nothing private " * 50, None)], final=True) == "nothing private " * 50


def test_what_was_restored_stays_and_the_rest_of_the_finding_goes() -> None:
    def found(text: str) -> list[Finding]:
        return [Finding(0, len(text), "tw.address", 1.0, "test")]

    about = Redaction(scan=found, own=lambda _: False, redact=True)
    redactor = Redactor(about, {"MASK_BCDFGH": "x"}.get)
    segments = [("No. 1, ", None), ("⟦ADDRESS_QQQQQQ⟧", "Old Street"), (", ", None), ("⟦MASK_BCDFGH⟧", None)]
    assert redactor.feed(segments, final=True) == "[redacted:tw.address]Old Street, ⟦MASK_BCDFGH⟧"
    assert about.report.kinds == {"tw.address": 1}


def test_restored_alone_is_no_finding() -> None:
    about = Redaction(scan=look, own=lambda _: False, redact=True)
    redactor = Redactor(about, lambda _: None)
    assert redactor.feed([("Mail ", None), ("⟦EMAIL_BCDFGH⟧", MAIL), (".", None)], final=True) == f"Mail {MAIL}."
    assert about.report.count == 0


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_arguments_stay_json_and_come_when_they_are_whole(size: int) -> None:
    about = how()
    redactor = Redactor(about, lambda _: None, arguments=True)
    text = json.dumps({"to": MAIL, "pay": 4111111111111111, "note": f'he said "{SSN}" – ok', "n": [1, 2]})
    out = "".join(redactor.feed([(text[at : at + size], None)]) for at in range(0, len(text), size))
    read = json.loads(out)  # nothing is held any more
    assert read == {
        "to": placeholder("email"),
        "pay": placeholder("card"),
        "note": f'he said "{placeholder("us.ssn")}" – ok',
        "n": [1, 2],
    }
    assert about.report.count == 3


def test_what_follows_whole_arguments_is_looked_at_too() -> None:
    for cuts in ((), [1] * 60):
        out, counted = shown(f'{{"a": 1}} {CARD} ', cuts, arguments=True)
        assert CARD not in out
        assert counted == {"card": 1}


def test_who_cannot_look_lets_nothing_through() -> None:
    def broken(text: str) -> list[Finding]:
        raise GuardError(f"gone at {len(text)}")

    redactor = Redactor(Redaction(scan=broken, own=lambda _: False, redact=True), lambda _: None)
    assert redactor.feed([("held", None)]) == ""
    with pytest.raises(GuardError):
        redactor.feed([], final=True)
    told = Redaction(scan=broken, own=lambda _: False, redact=False)
    redactor = Redactor(told, lambda _: None)
    assert redactor.feed([("passes", None)], final=True) == "passes"
    assert told.report.unread == 1


def test_a_text_that_goes_on_after_a_break_remembers_its_context() -> None:
    about = how()
    redactor = Redactor(about, lambda _: None)
    out = redactor.feed([("統一編號是", None)], final=True)
    out += redactor.feed([(" 04595257 。", None)], final=True)
    whole = shown("統一編號是 04595257 。")
    assert (out, about.report.kinds) == whole
    assert whole[1], "the words before it explain it"
