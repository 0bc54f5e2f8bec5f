"""The JSON Schema of a configuration file, made from the model and its docstrings when somebody asks for it."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import msgspec

from nearfar import __version__
from nearfar.settings import model


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of ``config.toml``; the text after each field in the model is its description."""
    (root,), definitions = msgspec.json.schema_components([model.Settings], ref_template="#/$defs/{name}")
    for name, fields in documentation().items():
        properties = definitions.get(name, {}).get("properties", {})
        for field, text in fields.items():
            if field in properties:
                properties[field]["description"] = text
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"nearfar {__version__} configuration",
        **root,
        "$defs": definitions,
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
    return plain


def documentation() -> dict[str, dict[str, str]]:
    """Struct name → field name in a file → what the model's source says of it."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(model)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        fields: dict[str, str] = {}
        names = {item.name: item.encode_name for item in msgspec.structs.fields(getattr(model, node.name))}
        for before, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                fields[names[before.target.id]] = inspect.cleandoc(after.value.value)
        found[node.name] = fields
    return found
