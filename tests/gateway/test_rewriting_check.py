"""Whatever a near model writes, no value of the original leaves with it."""

from __future__ import annotations

import asyncio
import base64
import html
import json
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Request
from nearfar.core.errors import MaskingFailed
from nearfar.core.places import Class, Place
from nearfar.core.routing import Decision, Reason
from nearfar.gateway.guard import Guard
from nearfar.gateway.masking import Masking
from nearfar.gateway.rewriting_check import CODE, Bound, Original, check
from nearfar.policy import presets
from nearfar.privacy.scan import Scanner
from nearfar.privacy.vault import Vault
from nearfar.settings.model import Policy, Settings
from nearfar.wire.openai_chat import CLIENT

ID, MAIL, CARD = "A123456789", "mei.lin@example.org", "4111 1111 1111 1111"
CANARIES = (ID, MAIL, CARD)
ASKED = f"The patient {ID} pays with {CARD}; write to {MAIL} that she is well."
RULES = msgspec.structs.replace(
    presets.rules(Settings(policy=Policy(preset="team"))),
    masked=(Place.CLOUD, Place.CLOUD, Place.LAN, Place.LAN),
    rewritten=(Place.CLOUD, Place.CLOUD, Place.CLOUD, Place.LAN),
)
BOUND = Bound(rules=RULES, place=Place.CLOUD, purpose="serve", operation="chat", words=True)
MASKING = Masking(Guard(RULES, lambda harmless: Scanner(detectors=(), harmless=harmless)), RULES, b"k" * 32)


def chat(text: str) -> Request:
    return CLIENT.parse(json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode(), "req-1")


def leaving(question: str, bound: Bound = BOUND) -> bytes | None:
    """What would leave; None when nothing does. The last look sees it too, as it would before the seal."""
    original = asyncio.run(MASKING.original(chat(ASKED), "auto"))
    try:
        made = MASKING.instead(original, chat(question), "auto", bound=bound)
        made.look(made.request.body)
    except MaskingFailed:
        return None
    return made.request.body


def _wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


FORMS = (
    str,
    str.upper,
    str.lower,
    _wide,
    " ".join,
    "\u200b".join,
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    lambda text: html.escape("".join(f"&#{ord(char)};" for char in text)).replace("&amp;", "&"),
    lambda text: text.encode().hex(),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.b64encode(f"see {text} there".encode()).decode(),
)
SAID = st.sampled_from([form(value) for form in FORMS for value in CANARIES] + [ASKED])


@given(st.lists(st.one_of(st.text(max_size=30), SAID), max_size=5), st.sampled_from(["", " ", "\n", ": "]))
def test_for_any_words_of_the_near_model_no_canary_leaves(pieces: list[str], between: str) -> None:
    out = leaving(between.join(pieces))
    if out is None:
        return
    said = json.loads(out)["messages"][0]["content"]
    plain = "".join(said.split()).casefold()
    assert not any("".join(value.split()).casefold() in plain for value in CANARIES)
    for value in CANARIES:
        assert value.encode() not in out
        assert value.encode().hex() not in plain
        assert base64.b64encode(value.encode()).decode().rstrip("=") not in said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", CANARIES)
def test_each_form_of_each_value_stays(form: object, value: str) -> None:
    assert callable(form)
    assert leaving(f"What is {form(value)} for?") is None


def test_the_original_itself_stays() -> None:
    assert leaving(ASKED) is None
    assert leaving(f"Sure! Here it is: {ASKED}") is None


def test_what_is_new_and_may_leave_masked_is_masked_and_all_else_stays() -> None:
    out = leaving("Should somebody write to other@example.org?")
    assert out is not None
    assert b"other@example.org" not in out
    assert leaving("Is B123456780 a patient? Card 5500005555555559.") is None, "identifiers go nowhere masked"
    assert leaving("Is she well?") is not None


@pytest.mark.parametrize("piece", [slice(0, 40), slice(26, 50), slice(60, None)])
def test_a_piece_of_a_long_value_counts_as_the_value(piece: slice) -> None:
    secret = "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"
    vault = Vault(b"k" * 16, caller="", conversation=b"")
    vault.word(secret, "secret")
    original = Original(vault=vault, texts=(f"key={secret}",))
    for text in (f"What is {secret[piece]}… for?", f"What is {secret[piece].upper()} for?"):
        with pytest.raises(MaskingFailed, match="still holds a value"):
            check(original, text.encode(), [text], {}, BOUND)
    for text in ("What is github_pat_ for?", "What does such a key look like?"):
        check(original, text.encode(), [text], {}, BOUND)


def test_short_values_count_where_they_stand_alone() -> None:
    vault = Vault(b"k" * 16, caller="", conversation=b"")
    vault.word("Li", "person")
    original = Original(vault=vault, texts=("Li is ill",))

    def refused(text: str) -> bool:
        try:
            check(original, chat(text).body, [text], {}, BOUND)
        except MaskingFailed as error:
            return error.code == CODE
        return False

    assert refused("Is Li ill?")
    assert refused("Is ＬＩ ill?")
    assert not refused("A little line.")


def decision(class_: Class, *reasons: tuple[Class, str]) -> Decision:
    return Decision(
        id="d",
        route="r",
        strategy="cloud-only",
        policy="p",
        class_=class_,
        class_reason="",
        furthest=Place.CLOUD,
        ranked=(),
        rejected=(),
        reasons=tuple(Reason(class_=item, source=source) for item, source in reasons),
    )


def test_words_may_leave_where_only_values_raised_the_class() -> None:
    def words(*reasons: tuple[Class, str]) -> bool:
        made = decision(Class.CONFIDENTIAL, *reasons)
        return Bound.of(RULES, made, Place.CLOUD, purpose="serve", operation="chat").words

    assert words((Class.CONFIDENTIAL, "found"), (Class.INTERNAL, "default"))
    assert words((Class.CONFIDENTIAL, "history"), (Class.INTERNAL, "default"))
    for said in ("header", "caller", "route", "conversation", "default", "passage", "tool"):
        assert not words((Class.CONFIDENTIAL, said), (Class.CONFIDENTIAL, "found"))
    assert not words(), "where nothing was found, the class was said"


def test_where_words_may_not_leave_runs_of_them_do_not() -> None:
    strict = msgspec.structs.replace(BOUND, words=False)
    text = "We will close the plant in the north before the summer. " * 4
    original = Original(vault=Vault(b"k" * 16, caller="", conversation=b""), texts=(text, "什麼時候要關閉北部的工廠"))

    def stays(question: str) -> bool:
        try:
            check(original, chat(question).body, [question], {}, strict)
        except MaskingFailed:
            return True
        return False

    assert stays(f"A firm writes: {text}")
    assert stays(text[7:190].upper())
    assert stays("請問：什麼時候要關閉北部的工廠？")
    assert not stays("What should a firm think of before it closes a plant?")
    check(original, chat(text).body, [text], {}, BOUND)
