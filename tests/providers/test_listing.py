from hypothesis import given
from hypothesis import strategies as st

from nearfar.providers.listing import any_owner, marked, owned_by

TWO = b'{"object":"list","data":[{"id":"a","owned_by":"x","max_model_len":9},{"id":"b","owned_by":"x"}]}'


def test_models_of_one_owner() -> None:
    found = owned_by("x")(TWO)
    assert found is not None
    assert [(item.model, item.context, item.local_weights) for item in found] == [("a", 9, False), ("b", None, False)]
    assert owned_by("y")(TWO) is None
    assert owned_by("x")(TWO.replace(b'"b","owned_by":"x"', b'"b","owned_by":"y"')) is None
    assert owned_by("x")(b'{"data":[]}') is None, "an empty list has no owner"


def test_any_list_is_a_list() -> None:
    assert any_owner(b'{"data":[]}') == []
    assert len(any_owner(TWO) or ()) == 2
    assert any_owner(b'{"data":[{"name":"no id"}]}') is None


def test_marks() -> None:
    assert marked("a", "b")(b'{"a":1,"b":null,"c":2}') == []
    assert marked("a", "b")(b'{"a":1}') is None
    assert marked("a", kind="x")(b'{"a":1,"kind":"x"}') == []
    assert marked("a", kind="x")(b'{"a":1,"kind":"y"}') is None


@given(st.binary(max_size=60))
def test_rubbish_is_nobodys(body: bytes) -> None:
    for read in (owned_by("x"), any_owner, marked("a")):
        assert read(body) in (None, [])
