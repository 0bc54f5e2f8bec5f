"""Reads raw trees against the shapes in ``model``: which keys exist, which type each has, what a text value means.

It knows no file and no environment: a caller says for each path where the value came from.
"""

from __future__ import annotations

import difflib
import functools
import math
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from nearfar.settings.errors import Problem
from nearfar.settings.model import Settings

Path = tuple[str, ...]


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A value of its final type, and who said it."""

    value: object
    origin: str


class Layer(msgspec.Struct, kw_only=True):
    """What one source says: its leaves, the tables it opens, and what is wrong with it."""

    leaves: dict[Path, Leaf] = {}
    tables: dict[Path, type[msgspec.Struct]] = {}
    opened: dict[Path, str] = {}
    """Table → who opened it, for those that somebody did."""
    problems: list[Problem] = []


def dotted(path: Iterable[str]) -> str:
    """``path`` as a TOML key: parts that are no bare keys are quoted."""
    bare = [
        part if part and all(c.isascii() and (c.isalnum() or c in "_-") for c in part) else f'"{part}"' for part in path
    ]
    return ".".join(bare)


def parse_key(text: str) -> Path:
    """The path that a dotted TOML key names; ValueError when it is none."""
    if "\n" in text:
        raise ValueError("a key has no line breaks")
    tree: object = tomllib.loads(f"{text} = 0")
    path: list[str] = []
    while isinstance(tree, dict):
        if len(tree) != 1:
            raise ValueError("not one key")
        name, tree = next(iter(tree.items()))
        path.append(name)
    return tuple(path)


@functools.cache  # the annotations are evaluated anew each time that msgspec is asked
def fields(struct: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """The fields of ``struct`` by the name they have in a file."""
    return types.MappingProxyType({field.encode_name: field for field in msgspec.structs.fields(struct)})


def optional(kind: object) -> tuple[object, bool]:
    """(the type without None, whether None is allowed)."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        rest = [item for item in typing.get_args(kind) if item is not type(None)]
        return rest[0], True
    return kind, False


def struct_of(kind: object) -> type[msgspec.Struct] | None:
    """The struct that a value of this type is; None for other types."""
    inner, _ = optional(kind)
    return inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None


def element_of(kind: object) -> object | None:
    """The type of a table's values, for a table with free names; None for other types."""
    return typing.get_args(kind)[1] if typing.get_origin(kind) is dict else None


FEW = 12
"""Names that a hint may list."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint that names the nearest of ``known``, or all of them when they are few, or else says ``otherwise``."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known here: {', '.join(names)}." if 0 < len(names) <= FEW else otherwise


def read(
    tree: object, *, origin: Callable[[Path], str], text: bool = False, at: Path = (), into: Layer | None = None
) -> Layer:
    """Everything ``tree`` says, as leaves of their final types.

    With ``text`` the values are strings from the environment or a flag: ``8642``, ``true``, ``a,b``, or a TOML
    array or inline table. ``at`` is the path that ``tree`` is the value of.
    """
    layer = Layer() if into is None else into
    kind: object = Settings
    for depth, part in enumerate(at):
        inner = _step(kind, part, at[: depth + 1], layer, origin)
        if inner is None:
            return layer
        kind = inner
    _visit(kind, tree, at, layer, origin, text=text)
    return layer


def _step(kind: object, part: str, path: Path, layer: Layer, origin: Callable[[Path], str]) -> object | None:
    """The type under ``part``; None, and a problem, when there is no such key."""
    struct, element = struct_of(kind), element_of(kind)
    if struct is not None:
        layer.tables[path[:-1]] = struct
        known = fields(struct)
        if part in known:
            return typing.cast("object", known[part].type)
        message, hint = "unknown setting", did_you_mean(part, known)
    elif element is not None:
        return element
    else:
        message, hint = "this setting has no parts", ""
    layer.problems.append(Problem(key=dotted(path), origin=origin(path), message=message, hint=hint))
    return None


def _visit(kind: object, value: object, path: Path, layer: Layer, origin: Callable[[Path], str], *, text: bool) -> None:
    struct, element = struct_of(kind), element_of(kind)
    if struct is None and element is None:
        try:
            converted = from_text(str(value), kind) if text else checked(value, kind)
        except ValueError as error:
            layer.problems.append(Problem(key=dotted(path), origin=origin(path), message=str(error)))
        else:
            layer.leaves[path] = Leaf(value=converted, origin=origin(path))
        return
    if text and isinstance(value, str):
        value, text = _inline(value), False
    if not isinstance(value, dict):
        message = "must be a table" if path else "must be a table of settings"
        layer.problems.append(Problem(key=dotted(path), origin=origin(path), message=message))
        return
    if struct is not None:
        layer.tables[path] = struct
        layer.opened[path] = origin(path)
    for name, item in value.items():
        inner = _step(kind, name, (*path, name), layer, origin)
        if inner is not None:
            _visit(inner, item, (*path, name), layer, origin, text=text)


def _inline(text: str) -> object:
    """A TOML value written in a variable or flag; the text itself when it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text


def checked(value: object, kind: object) -> object:
    """``value`` as the type ``kind``, never by guessing; ValueError says what is allowed.

    The value itself is not repeated: someone may have put a secret in the wrong place.
    """
    choices = _choices(kind)
    if choices and isinstance(value, str) and value not in choices:
        raise ValueError(f"not one of {', '.join(choices)}. {_nearest(value, choices)}".strip())
    try:
        converted: object = msgspec.convert(value, typing.cast("type[object]", kind), strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(f"must be {describe(kind)} ({_given(value)} given)") from error
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ValueError("must be a finite number")
    return converted


def from_text(text: str, kind: object) -> object:
    """The value that ``text`` means for a setting of type ``kind``; ValueError says what is allowed."""
    inner, may_be_none = optional(kind)
    if may_be_none and text.strip().lower() in {"none", "null"}:
        return None
    if inner is str or typing.get_origin(inner) is typing.Literal:
        return checked(text, inner)
    word = text.strip()
    if not word and typing.get_origin(inner) is not tuple:
        raise ValueError(f"is empty, must be {describe(kind)}. Unset the variable to use the default.")
    if inner is bool:
        return _truth(word)
    if inner is int or inner is float:
        try:
            number = int(word) if inner is int else float(word)
        except ValueError as error:
            raise ValueError(f"must be {describe(kind)}") from error
        return checked(number, inner)
    if typing.get_origin(inner) is tuple:
        items = _inline(word) if word.startswith("[") else [item.strip() for item in word.split(",") if item.strip()]
        return checked(items, inner)
    return checked(_inline(word), kind)


def _truth(word: str) -> bool:
    if word.lower() in {"true", "1", "yes", "on"}:
        return True
    if word.lower() in {"false", "0", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def _choices(kind: object) -> tuple[str, ...]:
    inner, _ = optional(kind)
    return typing.get_args(inner) if typing.get_origin(inner) is typing.Literal else ()


def _nearest(word: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else ""


_WORDS: typing.Final = types.MappingProxyType(
    {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
)


def describe(kind: object) -> str:
    """The type in words: ``a whole number``, ``a list of text``."""
    inner, may_be_none = optional(kind)
    choices = _choices(inner)
    if choices:
        words = f"one of {', '.join(choices)}"
    elif typing.get_origin(inner) is tuple:
        words = f"a list ({describe(typing.get_args(inner)[0])} each)"
    else:
        words = _WORDS.get(typing.cast("type", inner), "another type")
    return f"{words}, or unset" if may_be_none else words


def _given(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return _WORDS.get(type(value), type(value).__name__)


def leaves_of(value: object, kind: object = Settings, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """(path, value) of everything below ``value``, in the model's order; an empty table is one leaf."""
    struct, element = struct_of(kind), element_of(kind)
    if struct is not None and isinstance(value, msgspec.Struct):
        for name, field in fields(struct).items():
            yield from leaves_of(getattr(value, field.name), field.type, (*path, name))
    elif element is not None and isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves_of(item, element, (*path, str(name)))
    else:
        yield path, value
