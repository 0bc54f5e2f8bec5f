"""The shapes are values: frozen, closed, and sound without any configuration."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from nearfar.settings import model

STRUCTS = [item for _, item in inspect.getmembers(model, inspect.isclass) if issubclass(item, msgspec.Struct)]


@pytest.mark.parametrize("struct", [item for item in STRUCTS if item is not msgspec.Struct])
def test_each_is_frozen_and_closed(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen
    assert struct.__struct_config__.forbid_unknown_fields
    assert struct.__doc__


def test_the_defaults_are_a_configuration() -> None:
    assert msgspec.convert({}, model.Settings) == model.Settings()
    assert model.Settings().server.host == "127.0.0.1"
