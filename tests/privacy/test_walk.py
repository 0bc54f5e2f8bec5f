"""Every text of every dialect is seen, and what is replaced is all that changes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.masking import ID, IMAGE, NAME, PRIVATE, bodies

from nearfar.core.errors import MaskingFailed
from nearfar.privacy import walk
from nearfar.privacy.walk import FIXED, KEY, TEXT, WORD, Spot


def seen(body: bytes) -> tuple[list[Spot], list[str]]:
    spots: list[Spot] = []
    media: list[str] = []

    def see(spot: Spot) -> str:
        spots.append(spot)
        return spot.text

    assert walk.body(body, see, media) is body, "who changes nothing gets the same bytes"
    return spots, media


def written(body: dict[str, object]) -> list[bytes]:
    """The same body in several spellings."""
    return [
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        json.dumps(body, indent=3).replace("/", "\\/").encode(),
    ]


@pytest.mark.parametrize("dialect", bodies())
def test_every_private_value_of_every_dialect_is_seen(dialect: str) -> None:
    for data in written(bodies()[dialect]):
        spots, _ = seen(data)
        plain = json.dumps(json.loads(data), ensure_ascii=False)
        found = sum(len(PRIVATE.findall(spot.text)) for spot in spots)
        assert found == len(PRIVATE.findall(plain))


@pytest.mark.parametrize("dialect", bodies())
def test_what_is_replaced_is_all_that_changes(dialect: str) -> None:
    for data in written(bodies()[dialect]):
        new = walk.body(data, lambda spot: PRIVATE.sub("@", spot.text), [])
        assert NAME.encode() not in new
        assert ID.encode() not in new
        back = walk.body(new, lambda spot: spot.text.replace("@", NAME), [])
        expected = walk.body(data, lambda spot: spot.text.replace(ID, NAME), [])
        assert json.loads(back) == json.loads(expected)
        head = data[: data.index(b'"')]
        assert new.startswith(head), "space between members stays"


def test_untouched_members_keep_their_bytes() -> None:
    data = b'{ "a" : "\\u0041\\/b" , "n":1.50e+3, "k":[ "x", {"y" :"z"}],"t":true }'
    new = walk.body(data, lambda spot: "NEW" if spot.text == "z" else spot.text, [])
    assert new == data.replace(b'"z"', b'"NEW"')


def test_media_is_left_alone_and_named() -> None:
    for dialect, count in {
        "openai.chat": 2,
        "anthropic.messages": 1,
        "gemini.generate": 1,
        "ollama.chat": 1,
        "openai.responses": 1,
    }.items():
        spots, media = seen(written(bodies()[dialect])[0])
        assert len(media) == count, dialect
        assert not any(IMAGE in spot.text for spot in spots)


def test_text_where_media_may_stand_is_text() -> None:
    spots, media = seen(b'{"source":{"type":"text","data":"Dear patient"}}')
    assert "Dear patient" in [spot.text for spot in spots]
    assert media == []


def test_paths_forms_and_authors() -> None:
    body = bodies()["openai.chat"]
    spots = {spot.path: spot for spot in seen(json.dumps(body).encode())[0]}
    assert spots["messages[0].content"].by == ""
    assert spots["messages[2].content[0].text"].by == "user"
    assert spots["messages[2].name"].form == WORD
    assert spots["messages[3].content"].by == "model"
    assert spots["messages[3].tool_calls[0].function.arguments.ids[0].id"] == Spot(
        "messages[3].tool_calls[0].function.arguments.ids[0].id", ID, TEXT, "model"
    )
    assert spots["messages[4].content"].by == ""
    assert spots[f"metadata.for {NAME}"].text == f"for {NAME}" or spots[f"metadata.for {NAME}"].form == TEXT
    assert spots["tools[0].function.parameters.properties.who.enum[0]"].text == NAME
    assert spots["model"].form == FIXED
    assert spots["x_unknown.deep[0].er"].form == TEXT


def test_keys_of_free_json_can_change_and_others_cannot() -> None:
    spots, _ = seen(b'{"metadata":{"k1":"v"},"x9":1,"tools":[{"parameters":{"properties":{"p2":{}}}}]}')
    assert {(spot.text, spot.form) for spot in spots} == {("k1", KEY), ("v", TEXT), ("x9", FIXED), ("p2", FIXED)}
    new = walk.body(b'{"metadata":{"k1":"v"}}', lambda spot: "K" if spot.form == KEY else spot.text, [])
    assert new == b'{"metadata":{"K":"v"}}'


def test_long_numbers_of_free_json_are_seen() -> None:
    spots, _ = seen(b'{"seed":1234567890,"metadata":{"phone":912345678,"n":3}}')
    assert [(spot.path, spot.text) for spot in spots if spot.form == FIXED] == [("metadata.phone", "912345678")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":"x"}', ["x"]),
        ("plain x", ["plain x"]),
        ('{"a":"x","a":"y"}', ['{"a":"x","a":"y"}']),
        ('{"a":', ['{"a":']),
        ('["x"]', ["x"]),
        ("", [""]),
        ("[" * 5000, ["[" * 5000]),
    ],
)
def test_arguments_that_are_not_unambiguous_json_are_one_text(text: str, expected: list[str]) -> None:
    spots: list[str] = []

    def see(spot: Spot) -> str:
        if spot.form == TEXT:
            spots.append(spot.text)
        return spot.text

    assert walk.arguments(text, see, [], "arguments") == text
    assert spots == expected


def test_arguments_change_inside() -> None:
    new = walk.arguments(
        '{ "who" : "x", "q":"\\u0022" }', lambda spot: 'a"b' if spot.text == "x" else spot.text, [], "a"
    )
    assert new == '{ "who" : "a\\"b", "q":"\\u0022" }'


@pytest.mark.parametrize("body", [b'{"a":"x","a":"y"}', b'{"a":{"b":"x"},"a":1,"c":"z"}'])
def test_a_key_that_stands_twice_cannot_be_masked(body: bytes) -> None:
    with pytest.raises(MaskingFailed, match="ambiguous"):
        walk.body(body, lambda spot: spot.text + "!", [])


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"[" * 100_000])
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(MaskingFailed):
        walk.body(body, lambda spot: spot.text, [])


def test_members_of_a_conversation() -> None:
    def up(spot: Spot) -> str:
        return spot.text.upper()

    assert bytes(walk.member(msgspec.Raw(b'"abc"'), up, [], "x")) == b'"ABC"'
    number = msgspec.Raw(b"12")
    assert walk.member(number, up, [], "x") is number
    assert bytes(walk.member(msgspec.Raw(b'{"k1":"v"}'), up, [], "extra.metadata")) == b'{"K1":"V"}'
    assert bytes(walk.schema(msgspec.Raw(b'{"description":"a"}'), up, "s")) == b'{"description":"A"}'
    walk.name("cache_control", up, "x")
    with pytest.raises(MaskingFailed, match="name of a member"):
        walk.name("for 王", lambda _: "mask", "x")


@pytest.mark.parametrize(
    ("spot", "expected"),
    [
        (Spot("messages[0].role", "user", FIXED), True),
        (Spot("messages[0].content[0].type", "input_text", FIXED), True),
        (Spot("model", "claude-4", FIXED), True),
        (Spot("messages[0].role", f"user {NAME}", FIXED), False),
        (Spot("messages[0].role", "A123456789", FIXED), False),
        (Spot("messages[0].content", "user", TEXT), False),
        (Spot("messages[0].content[0].image_url.url", "user", FIXED), False),
    ],
)
def test_terms_of_the_dialect(spot: Spot, expected: bool) -> None:
    assert walk.is_protocol(spot) is expected


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_any_json_can_be_rewritten(value: object, escape: bool) -> None:
    data = json.dumps(value, ensure_ascii=escape).encode("utf-8", "surrogatepass")
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # a lone surrogate: strict parsing refuses it before

    def say(spot: Spot) -> str:
        return spot.text if spot.form != TEXT else f"<{spot.text}>"

    def wrapped(item: object) -> object:
        if isinstance(item, dict):
            return {key: wrapped(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [wrapped(inner) for inner in item]
        return f"<{item}>" if isinstance(item, str) else item

    assert json.loads(walk.body(json.dumps({"x_": value}, ensure_ascii=escape).encode(), say, [])) == {
        "x_": wrapped(value)
    }
