"""Google's Schema (a subset of OpenAPI 3.0 with types in capitals) as JSON Schema. It knows no request.

Source: the Schema message of the Gemini API reference, read 2026-11-22. Numbers of type int64 are text there.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError
from nearfar.wire.gemini_generate_members import camel

MAX_DEPTH = 100

_SCHEMAS = frozenset({"items", "additionalProperties"})
_MAPS = frozenset({"properties", "defs", "$defs"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_WHOLE = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_NUMBER = re.compile(r"[0-9]{1,18}")
_KEPT = frozenset(
    {
        "default",
        "description",
        "enum",
        "format",
        "maximum",
        "minimum",
        "pattern",
        "required",
        "title",
        "$id",
        "$ref",
        "const",
    }
)
_FORMATS = frozenset({"enum", "float", "double", "int32", "int64", "byte"})
"""Formats that say nothing a type does not, and that other systems do not know."""


def to_json_schema(raw: msgspec.Raw, where: str) -> msgspec.Raw:
    """``raw``, a Google Schema, as JSON Schema. Raises BadRequestError when it is none."""
    try:
        value = msgspec.json.decode(raw)
    except RecursionError as exc:
        raise _wrong(where, "is nested too deeply") from exc
    return msgspec.Raw(msgspec.json.encode(_schema(value, where, 0)))


def _wrong(where: str, what: str) -> BadRequestError:
    return BadRequestError(f"{where} {what}.", code="invalid_value", param=where)


def _schema(value: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _wrong(where, "is nested too deeply")
    if isinstance(value, bool):
        return value
    if not isinstance(value, dict):
        raise _wrong(where, "is no schema")
    found: dict[str, Any] = {}
    kind = ""
    for name, item in camel(value, f"{where}.").items():
        if item is None:
            continue
        if name == "type":
            kind = _type(item, where)
        elif name in _SCHEMAS:
            found[name] = _schema(item, f"{where}.{name}", depth + 1)
        elif name in _MAPS and isinstance(item, dict):
            found[name if name != "defs" else "$defs"] = {
                key: _schema(inner, f"{where}.{name}.{key}", depth + 1) for key, inner in item.items()
            }
        elif name in _LISTS and isinstance(item, list):
            found[name] = [_schema(inner, f"{where}.{name}", depth + 1) for inner in item]
        elif name in _WHOLE:
            found[name] = int(item) if isinstance(item, str) and _NUMBER.fullmatch(item) else item
        elif name == "format" and isinstance(item, str) and item in _FORMATS:
            continue
        elif name == "example":
            found["examples"] = [item]
        elif name in _KEPT:
            found[name] = item
        # propertyOrdering, nullable (below) and what is not known say nothing to other systems
    if kind:
        found = {"type": kind, **found}
    return _nullable(found) if camel(value).get("nullable") is True else found


def _type(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_type(item, where) for item in value]
    if not isinstance(value, str):
        raise _wrong(f"{where}.type", "is no word")
    return "" if value == "TYPE_UNSPECIFIED" else value.lower()


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str):
        listed = {"enum": [*schema["enum"], None]} if isinstance(schema.get("enum"), list) else {}
        return {**schema, "type": [kind, "null"], **listed}
    if isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema
