import json
from typing import Any

import msgspec
import pytest

from nearfar.core.errors import BadRequestError
from nearfar.wire.gemini_generate_schema import to_json_schema


def convert(value: Any) -> Any:
    return json.loads(bytes(to_json_schema(msgspec.Raw(json.dumps(value).encode()), "schema")))


def test_words_numbers_and_nesting() -> None:
    google = {
        "type": "OBJECT",
        "description": "d",
        "properties": {
            "city_name": {"type": "STRING", "format": "enum", "enum": ["a", "b"], "nullable": True},
            "days": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": "1", "max_items": 3},
            "either": {"any_of": [{"type": "NUMBER", "minimum": 0}, {"type": "BOOLEAN"}], "nullable": True},
            "when": {"type": "STRING", "format": "date-time", "example": "now"},
        },
        "required": ["city_name"],
        "propertyOrdering": ["days", "city_name"],
    }
    assert convert(google) == {
        "type": "object",
        "description": "d",
        "properties": {
            "city_name": {"type": ["string", "null"], "enum": ["a", "b", None]},
            "days": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
            "either": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "boolean"}, {"type": "null"}]},
            "when": {"type": "string", "format": "date-time", "examples": ["now"]},
        },
        "required": ["city_name"],
    }


def test_json_schema_passes_unchanged() -> None:
    schema = {
        "type": ["string", "null"],
        "$defs": {"a_b": {"type": "string"}},
        "$ref": "#/$defs/a_b",
        "oneOf": [{"const": 1}],
        "additionalProperties": False,
    }
    assert convert(schema) == schema
    assert convert({"type": "TYPE_UNSPECIFIED", "nullable": True, "title": None}) == {}


@pytest.mark.parametrize("value", [1, "x", [], {"type": 1}, {"items": 3}, {"minItems": 1, "min_items": 1}])
def test_what_is_no_schema_is_a_400(value: Any) -> None:
    with pytest.raises(BadRequestError):
        convert(value)


@pytest.mark.parametrize("said", [[], {}, "²", "9" * 5000, None, 1.5])
def test_values_of_other_kinds_break_nothing(said: Any) -> None:
    found = convert({"type": "STRING", "format": said, "minLength": said})
    assert found.get("minLength") == said


def test_depth_has_an_end() -> None:
    deep = '{"items":' * 500 + "{}" + "}" * 500
    with pytest.raises(BadRequestError):
        to_json_schema(msgspec.Raw(deep.encode()), "schema")
