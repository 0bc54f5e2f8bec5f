"""Data is read strictly, and what is wrong with it is said in one kind of error."""

from __future__ import annotations

import msgspec
import pytest

from nearfar.core.data import decode


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    size: int = 0


@pytest.mark.parametrize(("text", "json"), [(b'name = "a"\nsize = 3', False), (b'{"name": "a", "size": 3}', True)])
def test_both_forms(text: bytes, json: bool) -> None:
    assert decode(text, Row, "not a row", json=json) == Row("a", 3)


@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"name", b"[[", b"{", b"name = 3", b'{"name": 3}', b'name = "a"\nother = 1', b"null"]
)
def test_whatever_is_wrong_is_a_value_error_that_says_of_what(text: bytes, json: bool) -> None:
    with pytest.raises(ValueError, match=r"^not a row: .") as caught:
        decode(text, Row, "not a row", json=json)
    assert caught.value.__cause__ is not None
