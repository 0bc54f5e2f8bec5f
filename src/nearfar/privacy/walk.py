"""Every place of a request in which text can stand, and the request again with other texts there. It finds nothing.

One walk serves reading and writing: ``visit`` is called with each spot in the request's order and says what stands
there from now on; bytes of members that it leaves alone stay as they came. A body is one that strict parsing has
accepted (no duplicate keys). What is no text (base64 media) is named in ``media``, because nobody can mask it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from nearfar.core.errors import MaskingFailed

TEXT, WORD, KEY, FIXED = "text", "word", "key", "fixed"
"""What may be done to a spot. ``word``: an identifier (names, ids), replaced as a whole; ``key``: a key of free JSON,
the same; ``fixed``: it cannot change without breaking the request (addresses, signatures, numbers, protocol keys)."""


class Spot(msgspec.Struct, frozen=True):
    """A text and where it stands, such as ``messages[0].content[1].text``."""

    path: str
    text: str
    form: str = TEXT
    by: str = ""
    """``user``, ``model``, or empty for everything else (system, tools, tool results, settings)."""


Visit = Callable[[Spot], str]

_STEERING = re.compile(r"(?:.*\.)?(?:(role|type)|model)")
_TERM = re.compile(r"[a-z][a-z_.]{0,40}")


def is_protocol(spot: Spot) -> bool:
    """Whether it is a term of the dialect (a role, a type) or the model's name: one may equal somebody's name."""
    if spot.form != FIXED:
        return False
    found = _STEERING.fullmatch(spot.path)
    return found is not None and (found[1] is None or _TERM.fullmatch(spot.text) is not None)


_WIRE, _DATA, _SCHEMA = "wire", "data", "schema"
_FREE = frozenset({"arguments", "args", "input", "metadata", "response", "json", "labels", "requestMetadata"})
"""Members whose objects are free JSON: their keys are somebody's words."""
_SCHEMAS = frozenset(
    {
        *("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "schema", "json_schema", "format"),
        *("responseSchema", "response_schema", "responseJsonSchema", "output_schema", "guided_json"),
    }
)
_WORDS = frozenset(
    {
        "name",
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "item_id",
        "previous_response_id",
        "tool_name",
    }
)
_FIXED = frozenset(
    {
        *("model", "role", "type", "signature", "thoughtSignature", "thought_signature", "encrypted_content"),
        *("url", "uri", "fileUri", "file_uri", "file_url", "image_url", "s3Uri", "file_id", "redacted"),
    }
)
_MEDIA = frozenset({"data", "bytes", "file_data", "b64_json", "images", "image", "audio"})
_ROLES = {"user": "user", "assistant": "model", "model": "model"}
_BY_MODEL = frozenset({"function_call", "custom_tool_call", "reasoning", "tool_use", "output_text"})
_ASKING = frozenset({"messages", "input", "prompt", "contents"})
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_PROTOCOL = re.compile(r"[A-Za-z_]{1,32}")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LONG_NUMBER = 1_000_000
"""From here on a number may be somebody's."""

_value = msgspec.json.Decoder().decode
_text = msgspec.json.Decoder(str).decode


def body(data: bytes, visit: Visit, media: list[str]) -> bytes:
    """``data``, a JSON body, with every string of it visited, keys and unknown members too.

    ``media`` gets the paths of what is no text. Raises MaskingFailed for a body that cannot be walked.
    """
    return _document(data, visit, media, "", _WIRE, "")


def member(raw: msgspec.Raw, visit: Visit, media: list[str], path: str, by: str = "") -> msgspec.Raw:
    """An undecoded member of a wire."""
    data = bytes(raw)
    name = path.rpartition(".")[2]
    mode = _SCHEMA if name in _SCHEMAS else _WIRE
    if data[:1] == b"{" and name in _FREE:
        mode = _DATA
    if data[:1] not in {b'"', b"{", b"["} and mode == _WIRE:
        return raw
    new = _document(data, visit, media, path, mode, by, name)
    return raw if new is data else msgspec.Raw(new)


def name(text: str, visit: Visit, path: str, by: str = "") -> None:
    """The name of an undecoded member: the dialect's own words say nothing about anybody."""
    if _PROTOCOL.fullmatch(text) is None and visit(Spot(path, text, FIXED, by)) != text:
        raise MaskingFailed(f"{path}: the name of a member cannot be masked.")


def schema(raw: msgspec.Raw, visit: Visit, path: str) -> msgspec.Raw:
    """A JSON Schema: its descriptions, enums, defaults and examples are text, its keys stay."""
    data = bytes(raw)
    new = _document(data, visit, [], path, _SCHEMA, "")
    return raw if new is data else msgspec.Raw(new)


def arguments(text: str, visit: Visit, media: list[str], path: str, by: str = "model") -> str:
    """The arguments of a tool call: the strings in their JSON, or the whole when it is none or not unambiguous."""
    if text.lstrip()[:1] not in {"{", "["}:
        return visit(Spot(path, text, TEXT, by))
    data = text.encode("utf-8", "surrogatepass")
    try:
        # A key that stands twice would hide one of its values from whoever decodes.
        plain = _strings(_value(data)) == sum(1 for _ in _STRING.finditer(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        plain = False
    if not plain:
        return visit(Spot(path, text, TEXT, by))
    new = _document(data, visit, media, path, _DATA, by)
    return text if new is data else new.decode()


def _strings(value: Any) -> int:
    if isinstance(value, str):
        return 1
    if isinstance(value, dict):
        return len(value) + sum(map(_strings, value.values()))
    return sum(map(_strings, value)) if isinstance(value, list) else 0


def _document(data: bytes, visit: Visit, media: list[str], path: str, mode: str, by: str, name: str = "") -> bytes:
    walk = _Walk(visit, media)
    try:
        walk.value(_value(data), path, mode, by, name)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise MaskingFailed("The request holds JSON that cannot be read, so nobody knows what is in it.") from exc
    except RecursionError as exc:
        raise MaskingFailed("The request is nested too deeply to be masked.") from exc
    return _splice(data, walk) if walk.changes else data


class _Walk:
    """One document: counts its strings in their order and remembers those that change."""

    def __init__(self, visit: Visit, media: list[str]) -> None:
        self.visit = visit
        self.media = media
        self.at = 0
        self.changes: dict[int, tuple[str, str]] = {}

    def value(self, value: Any, path: str, mode: str, by: str, name: str) -> None:
        if isinstance(value, str):
            self.string(value, path, mode, by, name)
        elif isinstance(value, dict):
            self.object(value, path, mode, by)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.value(item, f"{path}[{index}]", mode, by, name)
        elif mode == _DATA and isinstance(value, int | float) and abs(value) >= _LONG_NUMBER:
            self.visit(Spot(path, str(value), FIXED, by))

    def object(self, members: dict[str, Any], path: str, mode: str, by: str) -> None:
        kind = members.get("type") if mode == _WIRE else None
        if mode == _WIRE:
            role = members.get("role")
            if isinstance(role, str):
                by = _ROLES.get(role, "")
            elif isinstance(kind, str) and kind in _BY_MODEL:
                by = "model"
        for name, value in members.items():
            self.key(name, path, mode, by)
            inner = f"{path}.{name}" if path else name
            into, said = mode, by
            if mode == _WIRE:
                if name in _SCHEMAS:
                    into = _SCHEMA
                elif name in _FREE and isinstance(value, dict):
                    into = _DATA
                elif not path and name in _ASKING:
                    said = "user"
                elif name in {"functionCall", "toolUse"}:
                    said = "model"
                elif name == "data" and kind == "redacted_thinking":
                    name = "redacted"  # noqa: PLW2901 - it is Anthropic's other name for one thing
            self.value(value, inner, into, said, name)

    def key(self, name: str, path: str, mode: str, by: str) -> None:
        at = self.at
        self.at += 1
        if mode != _DATA and _PROTOCOL.fullmatch(name) is not None:
            return
        new = self.visit(Spot(f"{path}.{name}" if path else name, name, KEY if mode == _DATA else FIXED, by))
        if new != name:
            self.changes[at] = (name, new)

    def string(self, text: str, path: str, mode: str, by: str, name: str) -> None:
        at = self.at
        self.at += 1
        if mode == _WIRE and self.is_media(text, name):
            self.media.append(path)
            return
        if name == "arguments" and mode == _WIRE:
            new = arguments(text, self.visit, self.media, path, by)
        else:
            form = TEXT
            if mode == _WIRE:
                form = WORD if name in _WORDS else FIXED if name in _FIXED else TEXT
            new = self.visit(Spot(path, text, form, by))
        if new != text:
            self.changes[at] = (text, new)

    @staticmethod
    def is_media(text: str, name: str) -> bool:
        if _DATA_URL.match(text) is not None:
            return True
        return name in _MEDIA and _BASE64.fullmatch(text) is not None


def _splice(data: bytes, walk: _Walk) -> bytes:
    """``data`` with the changed strings in place of the old ones, everything else as it came."""
    pieces: list[bytes] = []
    done = count = 0
    for count, token in enumerate(_STRING.finditer(data), 1):
        change = walk.changes.get(count - 1)
        if change is None:
            continue
        old, new = change
        if _text(token[0]) != old:
            break
        pieces += (data[done : token.start()], msgspec.json.encode(new))
        done = token.end()
    if count != walk.at or len(pieces) != 2 * len(walk.changes):
        # Two members of one name: the one that was not walked would leave as it is.
        raise MaskingFailed("The request's JSON is ambiguous, so it cannot be masked.")
    return b"".join((*pieces, data[done:]))
