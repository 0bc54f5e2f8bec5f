"""Paths and values: what a key names, what a text means, what exists."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.settings import shape
from nearfar.settings.model import Settings

NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc", "Cs"]), max_size=12)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_path_survives_being_written_and_read(path: list[str]) -> None:
    assert shape.parse_key(shape.dotted(path)) == tuple(path)


@pytest.mark.parametrize("text", ["", "a b", "a\nb = 1", "a = 1\nb", "[a]", "a.", "{}"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError):
        shape.parse_key(text)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("7", int, 7),
        (" 7 ", int, 7),
        ("7", float, 7.0),
        ("on", bool, True),
        ("none", int | None, None),
        ("7", int | None, 7),
        (" a ", str, " a "),
        ("a,b", tuple[str, ...], ("a", "b")),
        ("['a,b']", tuple[str, ...], ("a,b",)),
        ("lan", Literal["lan", "cloud"] | None, "lan"),
    ],
)
def test_text_for_a_type(text: str, kind: object, value: object) -> None:
    assert shape.from_text(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", int),
        ("7.5", int),
        ("0x10", int),
        ("inf", float),
        ("perhaps", bool),
        ("[1]", tuple[str, ...]),
        ("moon", Literal["lan", "cloud"]),
    ],
)
def test_text_that_means_nothing_for_its_type(text: str, kind: object) -> None:
    with pytest.raises(ValueError):
        shape.from_text(text, kind)


def test_values_are_not_guessed() -> None:
    for value, kind in [("7", int), (1, bool), (True, int), (7, str), ("a", tuple[str, ...])]:
        with pytest.raises(ValueError, match="must be"):
            shape.checked(value, kind)


def test_a_tree_with_everything_wrong_is_read_to_its_end() -> None:
    tree = {"server": {"port": "x", "prot": 1, "host": "::1"}, "routes": 3, "deployments": {"a": {"price": 1}}}
    layer = shape.read(tree, origin=lambda _: "here")
    assert {problem.key for problem in layer.problems} == {
        "server.port",
        "server.prot",
        "routes",
        "deployments.a.price",
    }
    assert layer.leaves[("server", "host")].value == "::1"


def test_leaves_are_all_settings_in_order() -> None:
    paths = [path for path, _ in shape.leaves_of(Settings())]
    assert paths[0] == ("offline",)
    assert ("policy", "default_class") in paths
    assert paths[-1] == ("routes",)


def test_the_nearest_name_or_all() -> None:
    assert shape.did_you_mean("prot", ["port", "host"]) == "Did you mean 'port'?"
    assert shape.did_you_mean("x", ["port", "host"]) == "Known here: host, port."
    assert shape.did_you_mean("x", []) == ""
