"""restore(mask(x)) = x, whatever x is and whatever was found; nothing private leaves; nothing crosses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples
from tests.privacy.masking import CUTS, ID, NAME, TEXTS, bodies, find, findings, restored, vault

from nearfar.core.errors import MaskingFailed
from nearfar.privacy.findings import Finding
from nearfar.privacy.mask import mask, mask_body, mask_text, spots
from nearfar.privacy.vault import Vault
from nearfar.privacy.vault_check import Needles, leaks
from nearfar.privacy.walk import FIXED, KEY, TEXT, WORD, Spot


def masked_body(body: dict[str, Any], own: Vault, kinds: frozenset[str] | None = None) -> bytes:
    data = json.dumps(body, ensure_ascii=False).encode()
    found = spots(data)
    return mask_body(data, mask(found.spots, [find(spot.text) for spot in found.spots], own, kinds=kinds))


@given(st.data(), TEXTS, CUTS)
@examples(300)
def test_restoring_what_was_masked_gives_what_came(data: st.DataObject, text: str, cuts: list[int]) -> None:
    own = vault()
    found = data.draw(findings(text))
    out = mask_text(text, found, own)
    back, report = restored(out, own, cuts)
    assert back == text
    assert not report.kept.get("url")
    assert leaks(json.dumps({"x_y": out}).encode("utf-8", "surrogatepass"), own) == []
    assert not Needles([text[item.start : item.end] for item in found]).spans(out.replace("⟦", "\0")) or own.labels


@given(st.text("aB王明.\uff0e@\uff20-:\uff1a/ \n12。()·x", max_size=24), st.data())
@examples(200)
def test_what_is_too_simple_to_be_read_back_comes_back_too(text: str, data: st.DataObject) -> None:
    """Hosts, addresses and masks side by side: without a sign of a URL only they keep a mask from coming back."""
    own = vault()
    out = mask_text(text, data.draw(findings(text)), own)
    back, report = restored(out, own)
    assert back == text
    assert not report.kept


@given(st.lists(TEXTS, min_size=2, max_size=4), st.data())
@examples(100)
def test_so_does_a_whole_request(texts: list[str], data: st.DataObject) -> None:
    own = vault()
    given_ = [Spot(f"m[{at}]", text, TEXT, "user") for at, text in enumerate(texts)]
    out = mask(given_, [data.draw(findings(text)) for text in texts], own)
    assert [restored(text, own)[0] for text in out] == texts


@given(TEXTS, st.data())
@examples(100)
def test_the_same_again_gives_the_same_and_strangers_cannot_read_it(text: str, data: st.DataObject) -> None:
    found = data.draw(findings(text))
    own, again, stranger = vault(), vault(), vault(caller="other")
    out = mask_text(text, found, own)
    assert mask_text(text, found, again) == out
    strange = mask_text(text, found, stranger)
    if len(own):
        assert strange != out
        assert restored(out, stranger)[0] == out


def test_a_value_is_masked_wherever_it_stands_also_where_nobody_found_it() -> None:
    own = vault()
    given_ = [Spot("a", "Patient: 王小明"), Spot("b", "王小明 王 小明 王\u200b小明"), Spot("c", "fine")]
    out = mask(given_, [[Finding(9, 12, "person", 1, "t")], [], []], own)
    word = own.word("王小明", "person")
    assert out[0] == f"Patient: ⟦{word}⟧"
    assert out[1].count(f"⟦{word}") == 3
    assert restored(out[1], own)[0] == given_[1].text
    assert out[2] == "fine"


def test_the_next_turn_keeps_the_masks() -> None:
    # LiteLLM #41600: other masks in the next turn make those that an agent saved unresolvable.
    first: dict[str, Any] = {"messages": [{"role": "user", "content": f"I am {NAME}"}]}
    then = {
        "messages": [
            *first["messages"],
            {"role": "assistant", "content": f"Hello {NAME}"},
            {"role": "user", "content": f"{ID} is mine"},
        ]
    }
    one, two = vault(), vault()
    assert masked_body(first, one)[:-2] == masked_body(then, two)[: len(masked_body(first, one)) - 2]


def test_two_patients_have_two_masks_in_every_message() -> None:
    # LiteLLM #31959: numbered for each message anew, two patients share <PERSON_1>.
    own = vault()
    given_ = [Spot("a", "Patient Alice Wong"), Spot("b", "Patient Bob Chen. Write to Bob Chen")]
    out = mask(
        given_,
        [[Finding(8, 18, "person", 1, "t")], [Finding(8, 16, "person", 1, "t"), Finding(27, 35, "person", 1, "t")]],
        own,
    )
    alice, bob = own.word("Alice Wong", "person"), own.word("Bob Chen", "person")
    assert alice != bob
    assert out == [f"Patient ⟦{alice}⟧", f"Patient ⟦{bob}⟧. Write to ⟦{bob}⟧"]


def test_arguments_in_the_history_are_masked_and_stay_json() -> None:
    # LiteLLM #41265: tool-call arguments of the history left in clear.
    own = vault()
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"ssn": ID, "who": NAME})}}
    body = json.loads(masked_body({"messages": [{"role": "assistant", "tool_calls": [call]}]}, own))
    arguments = json.loads(body["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"ssn": own.mask(ID, "tw.national_id"), "who": own.mask(NAME, "person")}


def test_only_the_kinds_that_policy_names_are_masked() -> None:
    own = vault()
    text = masked_body({"x_y": f"{NAME} {ID}"}, own, frozenset({"person"})).decode()
    assert NAME not in text
    assert ID in text


@pytest.mark.parametrize("kinds", [None, frozenset({"person"})])
def test_a_mask_that_somebody_wrote_is_remembered_as_text(kinds: frozenset[str] | None) -> None:
    own = vault()
    word = own.word("王小明", "person")
    text = f"Is ⟦{word}⟧ or {word.lower()} or \\u27e6{word}\\u27e7 the name 王小明?"
    out = mask_text(text, [Finding(text.index("王"), text.index("王") + 3, "person", 1, "t")], own, kinds=kinds)
    assert out.count(word) == 1
    assert out.count("⟦TEXT_") == 3
    assert restored(out, own)[0] == text


def test_the_models_own_masks_stay_as_it_wrote_them() -> None:
    # It called an untrusted tool with a mask; the client sends that back.
    own = vault()
    word = own.word("王小明", "person")
    text = f"I asked about ⟦{word}⟧ and 王小明, see https://e.example/?q=⟦{word}⟧"
    [out] = mask([Spot("a", text, TEXT, "model")], [[]], own)
    assert out == text.replace("王小明", f"⟦{word}⟧")


def test_a_mask_of_another_conversation_is_only_text() -> None:
    own, strange = vault(), vault(first="something else")
    text = f"{strange.mask('王小明', 'person')} {NAME}"
    out = mask_text(text, find(text), own)
    assert out.startswith(text.split(" ", maxsplit=1)[0])
    assert restored(out, own)[0] == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"see https://clinic.example/p?id={ID}&x=1 now", "see ⟦URL_C⟧ now"),
        (f"[record](https://clinic.example/{ID}) of {NAME}", "⟦URL_C⟧ of ⟦PERSON_C⟧"),
        (f"{NAME}.example is a host", "⟦PASSAGE_C⟧ is a host"),
        (f'a\n<img src="x y {ID}"> b\nc', "a\n⟦PASSAGE_C⟧\nc"),
        (f'a\n<img src="x\n{ID}"> b\nc', "⟦PASSAGE_C⟧"),
        (f'{{"{NAME}": 1}}', "⟦PASSAGE_C⟧ 1}"),
    ],
)
def test_a_mask_that_could_not_come_back_grows_until_it_can(text: str, expected: str) -> None:
    own = vault()
    out = mask_text(text, find(text), own)
    shape = out
    for label in ("URL", "PASSAGE", "PERSON"):
        while (at := shape.find(f"⟦{label}_")) >= 0 and shape[at : at + len(label) + 4] != f"⟦{label}_C⟧":
            shape = shape[: at + len(label) + 2] + "C" + shape[shape.index("⟧", at) :]
    assert shape == expected
    assert restored(out, own)[0] == text


@pytest.mark.parametrize("form", [WORD, KEY])
def test_identifiers_are_masked_whole_and_without_brackets(form: str) -> None:
    own = vault()
    text = f"dr_{ID}_x"
    [out] = mask([Spot("messages[0].name", text, form)], [find(text)], own)
    assert own.value(out) == text
    assert out.replace("_", "").isalnum()
    assert out.isascii()


@pytest.mark.parametrize("path", ["messages[0].content[0].image_url.url", "metadata.n"])
def test_where_no_mask_can_stand_masking_fails(path: str) -> None:
    with pytest.raises(MaskingFailed, match="no mask can stand"):
        mask([Spot(path, f"https://x.example/{ID}", FIXED)], [find(f"https://x.example/{ID}")], vault())
    given_ = [Spot("a", ID), Spot(path, f"https://x.example/{ID}", FIXED)]
    with pytest.raises(MaskingFailed, match="no mask can stand"):
        mask(given_, [find(ID), []], vault())


def test_a_protocol_word_that_equals_a_value_stays() -> None:
    given_ = [Spot("a", "user"), Spot("messages[0].role", "user", FIXED)]
    assert mask(given_, [[Finding(0, 4, "person", 1, "t")], []], vault())[1] == "user"


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (0, 0), (2, 1), (0, 9), (5, 6)])
def test_a_finding_outside_of_its_text_fails(start: int, end: int) -> None:
    with pytest.raises(MaskingFailed, match="of 3 characters"):
        mask_text("abc", [Finding(start, end, "person", 1, "broken")], vault())


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "\\u738b\\u5c0f\\u660e", "q": "\\""}',
        json.dumps(json.dumps({"name": NAME})),
        "https://clinic.example/%E7%8E%8B%E5%B0%8F%E6%98%8E?x=1",
        "名%E7%8E%8B%E5%B0%8F%E6%98%8E.",
    ],
)
def test_a_known_value_is_masked_where_it_is_escaped(text: str) -> None:
    own = vault()
    out = mask([Spot("a", NAME), Spot("messages[4].content", text)], [find(NAME), []], own)[1]
    assert leaks(json.dumps({"x_y": out}).encode(), own) == []
    back = restored(out, own)[0]
    assert back == text or json.loads(back) == json.loads(text)
    if "clinic" not in text:
        assert own.word(NAME, "person") in out, "it is the same person"


def test_a_full_vault_fails() -> None:
    with pytest.raises(MaskingFailed, match="more than 1"):
        mask_text(f"{NAME} {ID}", find(f"{NAME} {ID}"), vault(limit=1))


def test_adjacent_findings_stay_two_and_overlapping_ones_become_one() -> None:
    own = vault()
    two = mask_text("王小明A1", [Finding(0, 3, "person", 1, "t"), Finding(3, 5, "id", 1, "t")], own)
    assert two == f"⟦{own.word('王小明', 'person')}⟧⟦{own.word('A1', 'id')}⟧"
    own = vault()
    one = mask_text("王小明A1", [Finding(0, 3, "person", 1, "t"), Finding(2, 5, "id", 1, "t")], own)
    assert one.count("⟦") == 1
    assert restored(one, own)[0] == "王小明A1"


def test_the_user_speaks_first_in_every_dialect() -> None:
    for dialect, body in bodies().items():
        assert spots(json.dumps(body).encode()).first == f"病人{NAME}的身分證是 {ID}。", dialect


def test_hostile_texts_are_masked_and_restored() -> None:
    for hostile in (
        "a.a." * 5000,
        "⟦" * 20_000,
        "PERSON_" * 3000,
        "<a " * 7000,
        "](" * 10_000,
        '{"' * 10_000,
        "-BCDFGH" * 3000,
    ):
        own = vault()
        text = f"{ID} {hostile}"
        assert restored(mask_text(text, find(text), own), own)[0] == text
