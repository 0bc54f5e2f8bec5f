"""The schema is made of the model, whole and documented."""

from __future__ import annotations

import msgspec

from nearfar.settings.model import Settings
from nearfar.settings.schema import documentation, schema
from nearfar.settings.shape import leaves_of


def test_every_setting_is_in_the_schema() -> None:
    made = schema()
    definitions = made["$defs"]
    for path, _ in leaves_of(Settings()):
        node = definitions["Settings"]
        for part in path[:-1]:
            node = definitions[node["properties"][part].get("$ref", "").rpartition("/")[2] or part.capitalize()]
        assert path[-1] in node["properties"], path
    assert msgspec.json.decode(msgspec.json.encode(made)) == made


def test_descriptions_are_the_models_own_words() -> None:
    server = schema()["$defs"]["Server"]["properties"]
    assert server["host"]["description"].startswith("Address to listen on.")
    assert "class" in documentation()["RouteSetting"]


def test_unknown_keys_are_forbidden_by_the_schema_too() -> None:
    for name, definition in schema()["$defs"].items():
        assert definition["additionalProperties"] is False, name
