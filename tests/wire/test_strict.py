import json
import random
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import BadRequestError
from nearfar.wire import strict

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), json_values, max_size=6)


def refused(body: bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        strict.parse(body)
    assert caught.value.hint, "every refusal says the next step"
    return caught.value


@given(objects, st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_the_standard_library_writes(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    parsed = strict.parse(body)
    assert parsed.values == value
    assert {key: json.loads(bytes(raw)) for key, raw in parsed.members.items()} == value
    assert list(parsed.members) == list(value)
    assert json.loads(parsed.compact) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0ad1eE+-. \n', max_size=60).map(str.encode))
def test_never_accepts_what_the_standard_library_refuses(body: bytes) -> None:
    try:
        parsed = strict.parse(body)
    except BadRequestError:
        return
    assert isinstance(json.loads(body.decode()), dict)
    assert parsed.values == json.loads(body)


def has_duplicates(body: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        found = found or len({key for key, _ in pairs}) != len(pairs)
        return dict(pairs)

    json.loads(body, object_pairs_hook=look)
    return found


def write(value: Any, rng: random.Random) -> str:
    """JSON with duplicate keys now and then, spaces, and characters written as escapes now and then."""
    if isinstance(value, dict):
        members = [(key, item) for key, item in value.items() for _ in range(1 + (rng.random() < 0.2))]
        inner = ",".join(f"{write(key, rng)}{' ' * rng.randint(0, 1)}:{write(item, rng)}" for key, item in members)
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write(item, rng) for item in value) + "]"
    if isinstance(value, str):
        escaped = (
            f"\\u{ord(char):04x}" if ord(char) < 0x10000 and rng.random() < 0.3 else json.dumps(char)[1:-1]
            for char in value
        )
        return '"' + "".join(escaped) + '"'
    return json.dumps(value)


@given(
    st.dictionaries(
        st.text(alphabet='a:"\\{', max_size=3),
        st.recursive(
            st.text(alphabet=':"\\,{a', max_size=4) | st.integers(0, 9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="a:b", max_size=2), inner),
            max_leaves=8,
        ),
        max_size=4,
    ),
    st.integers(0, 2**32),
)
def test_finds_duplicates_exactly_where_there_are_some(value: dict[str, Any], seed: int) -> None:
    body = write(value, random.Random(seed)).encode()
    if has_duplicates(body):
        assert refused(body).code == "duplicate_key"
    else:
        strict.parse(body)


@pytest.mark.parametrize(
    ("body", "param", "position"),
    [
        (b'{"a":1,"a":2}', "a", 7),
        (b'{"a":1, "\\u0061":2}', "a", 8),
        (b'{"m":[0,{"k":1,"x":"\xe4\xb8\xad","k":2}]}', "m.1.k", 25),
        (b'{"a":"\\u003a","b":{"c":1,"c":1}}', "b.c", 25),
        (b'{"model":"near","messages":[],"model":"far"}', "model", 30),
    ],
)
def test_a_duplicate_is_named_with_its_place(body: bytes, param: str, position: int) -> None:
    error = refused(body)
    assert (error.code, error.param) == ("duplicate_key", param)
    assert f"second at position {position})" in error.message
    assert body[position:].startswith(b'"')


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b'{"a":', "ends too early"),
        (b'{"a":1} trailing', "byte 9"),
        (b'{"a":NaN}', "invalid character"),
        (b'{"a":-Infinity}', "not valid JSON"),
        (b'{"a":1e999}', "no double"),
        (b'{"a":"\xff"}', "byte 0xff at position 6"),
        (b'{"\xff":1}', "byte 0xff at position 2"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\\ud83d"}', "half a surrogate pair (\\ud83d) at position 6"),
        (b'{"a":"\\ude00"}', "half a surrogate pair (\\ude00)"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"a":"' + b"x" * 10 + b"\x00" + b'"}', "invalid character"),
    ],
)
def test_refusals_say_what_is_wrong(body: bytes, says: str) -> None:
    assert says in refused(body).message


def test_a_body_of_countless_values_is_refused_before_it_grows() -> None:
    error = refused(b'{"a":[' + b"{}," * strict.MAX_VALUES + b"{}]}")
    assert error.code == "too_many_values"


def peak_of(body: bytes) -> int:
    """Bytes that parsing ``body`` needs at most."""
    tracemalloc.start()
    try:
        strict.parse(body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", [b"x", b"\\n", b"\\u003a", b"a: ", b'\\"'])
def test_an_escaped_colon_costs_no_more_memory_than_the_body_itself(piece: bytes) -> None:
    text = b'{"a":"' + piece * (8_000_000 // len(piece))
    plain, escaped = peak_of(text + b'"}'), peak_of(text + b'\\u003a"}')
    assert escaped < 5 * len(text)
    assert escaped < plain + len(text)


def test_many_small_strings_cost_no_more_either() -> None:
    text = b'{"a":[' + b'"",' * 200_000
    assert peak_of(text + b'"\\u003a"]}') < peak_of(text + b'"x"]}') + len(text)


def test_a_duplicate_in_a_large_body_is_refused_without_a_search_for_its_place() -> None:
    error = refused(b'{"a":1,"b":"' + b"x" * strict.MAX_NAMED + b'","a":2}')
    assert (error.code, error.param) == ("duplicate_key", None)
    assert "twice" in error.message


def test_a_whole_surrogate_pair_is_read() -> None:
    assert strict.parse(b'{"a":"\\ud83d\\ude00"}').values == {"a": "\N{GRINNING FACE}"}


def test_members_keep_their_bytes() -> None:
    body = b'{ "b" : [1,  2.50] , "a":"\\u4e2d" }'
    fields = strict.members(body)
    assert {key: bytes(raw) for key, raw in fields.items()} == {"b": b"[1,  2.50]", "a": b'"\\u4e2d"'}


def test_replace_changes_adds_and_removes() -> None:
    fields = strict.members(b'{"model":"x","keep":[1,  2],"gone":null,"last":1}')
    changed = strict.replace(fields, {"model": b'"y"', "gone": None, "new": b"true", "absent": None})
    assert changed == b'{"model":"y","keep":[1,  2],"last":1,"new":true}'
    assert strict.replace({}, {}) == b"{}"
    assert strict.replace(fields, dict.fromkeys(fields)) == b"{}"


@given(objects, objects)
def test_replace_is_dictionary_update(value: dict[str, Any], changes: dict[str, Any]) -> None:
    fields = strict.members(json.dumps(value).encode())
    body = strict.replace(fields, {key: msgspec.json.encode(item) for key, item in changes.items()})
    assert json.loads(body) == {**value, **changes}
    assert strict.parse(body).values == {**value, **changes}
