"""Names of what requests draw on beyond their own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.wire.elsewhere import UNKNOWN, References, frozen, name_of, note, note_members


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("web_search_20260318", "web_search"),
        ("web_search_preview_2025_03_11", "web_search"),
        ("googleSearch", "web_search"),
        ("search_parameters", "web_search"),
        ("code_execution_20260521", "code_execution"),
        ("code_interpreter", "code_execution"),
        ("mcp_servers", "mcp"),
        ("file_ids", "file_id"),
        ("something_new", "something_new"),
        ("x" * 65, UNKNOWN),
        ("a b", UNKNOWN),
        ("名", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_one_thing_has_one_name(spelling: str, name: str) -> None:
    assert name_of(spelling) == name


@given(st.text())
def test_whatever_a_client_sends_becomes_a_name_that_a_policy_can_spell(spelling: str) -> None:
    name = name_of(spelling)
    assert name.isascii()
    assert 0 < len(name) <= 64
    assert not {"*", "@"} & set(name)
    assert name_of(name) == name or name.endswith(tuple("0123456789"))


def test_the_first_place_of_each_is_kept() -> None:
    found: References = {}
    note(found, "file_id", "a")
    note(found, "file_ids", "b")
    note_members(found, frozenset({"plugins", "thread", "container"}), {"plugins": [], "thread": None, "container": 0})
    assert frozen(found) == (("file_id", "a"), ("container", "container"), ("plugins", "plugins"))
    assert frozen({}) == ()
