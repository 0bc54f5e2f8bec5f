import msgspec
import pytest

from nearfar.core.errors import BadRequestError
from nearfar.wire.members import Members, decode, is_null, need, starts, take


def members() -> Members:
    return msgspec.json.decode(b'{"a": 1, "n": null, "t": " x", "l": [1]}', type=Members)


def test_take_removes_what_it_reads() -> None:
    found = members()
    assert take(found, "a", int, "a") == 1
    assert take(found, "a", int, "a") is None
    assert take(found, "n", int, "n") is None
    assert list(found) == ["n", "t", "l"], "a null stays: it is the client's"


def test_need_names_what_is_missing() -> None:
    with pytest.raises(BadRequestError, match=r"x\.n is missing") as caught:
        need(members(), "n", int, "x")
    assert caught.value.param == "x.n"


def test_a_wrong_type_names_its_place() -> None:
    with pytest.raises(BadRequestError, match=r"x\.l: Expected `str`, got `array`") as caught:
        need(members(), "l", str, "x")
    assert (caught.value.param, caught.value.code) == ("x.l", "invalid_type")


def test_first_bytes() -> None:
    found = members()
    assert starts(found["t"], b'"')
    assert starts(found["l"], b"[")
    assert is_null(found["n"])
    assert decode(found["l"], list[int], "l") == [1]
