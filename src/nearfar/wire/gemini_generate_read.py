"""Checks the body of a generateContent request: what it needs, and what reaches for content elsewhere.

It knows no upstream. Source: the Gemini API reference, "GenerateContentRequest", and Vertex AI's discovery document of
2026-11-06, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError
from nearfar.wire.elsewhere import References, note
from nearfar.wire.fields import integer, no_tools, wrong
from nearfar.wire.gemini_generate_members import camel
from nearfar.wire.tokens import AUDIO_BYTES_PER_TOKEN, IMAGE_TOKENS, of_text

MAX_CHOICES = 128

_ELSEWHERE = frozenset({"cachedContent", "continuationToken", "modelArmorConfig", "outputConfig"})
"""Members that bring in, or send to, what is held elsewhere: no scan has seen it, and it is a further place."""

_STEERING = frozenset({"routingConfig", "modelSelectionConfig"})
"""Members of generationConfig that would choose another model."""

_CLIENT_RUN = frozenset({"functionDeclarations", "computerUse"})
"""Kinds of tools that the client itself runs."""

FILES = "https://generativelanguage.googleapis.com/"
"""Where Gemini's uploaded files lie."""

_ROLES = frozenset({"user", "model", "function", "tool"})
_NEEDS = {"image": "images", "audio": "audio", "video": "video"}
_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
"""Members of a part of which there is one."""


class Body(msgspec.Struct):
    """What the gateway has to know of a body."""

    needs: set[str] = set()
    elsewhere: References = {}
    max_output: int | None = None
    choices: int = 1
    media_bytes: int = 0
    media_tokens: int = 0

    def tokens(self, compact: bytes) -> int:
        """The estimate of its input tokens; ``compact``: the body without needless bytes."""
        return of_text(compact, self.media_bytes) + self.media_tokens


def read_body(values: dict[str, Any]) -> Body:
    """Check the decoded members of a request. Raises BadRequestError."""
    found = Body()
    values = camel(values)
    for name in sorted(_ELSEWHERE & values.keys()):
        if values[name] is not None:
            note(found.elsewhere, name, name)
    contents = many(values.get("contents"), "contents")
    if not contents:
        raise wrong("contents", values.get("contents"), "a list with at least one content")
    for at, content in enumerate(contents):
        read_content(content, f"contents[{at}]", found)
    system = values.get("systemInstruction")
    if system is not None:
        read_content(system, "systemInstruction", found, roles=False)
    _read_tools(values.get("tools"), found)
    _read_choice(values.get("toolConfig"), found)
    config = values.get("generationConfig")
    if config is not None:
        if not isinstance(config, dict):
            raise wrong("generationConfig", config, "an object")
        _read_config(camel(config, "generationConfig."), found)
    return found


def many(value: object, where: str) -> list[Any]:
    """A list, or the only one of its items."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise wrong(where, value, "a list of objects")
    return value


def read_content(content: object, where: str, found: Body, *, roles: bool = True) -> None:
    """Check one content. Raises BadRequestError."""
    if not isinstance(content, dict):
        raise wrong(where, content, "an object with parts")
    content = camel(content, f"{where}.")
    role = content.get("role")
    if roles and role is not None and (not isinstance(role, str) or (role and role not in _ROLES)):
        raise BadRequestError(f"{where}.role must be user or model.", code="invalid_value", param=f"{where}.role")
    for at, part in enumerate(many(content.get("parts"), f"{where}.parts")):
        _read_part(part, f"{where}.parts[{at}]", found)


def _read_part(part: object, where: str, found: Body) -> None:
    if not isinstance(part, dict):
        raise wrong(where, part, 'an object such as {"text": …}')
    part = camel(part, f"{where}.")
    kinds = [name for name in _DATA if part.get(name) is not None]
    if len(kinds) > 1:
        message = f"{where} holds {' and '.join(kinds)}; a part holds one of them."
        raise BadRequestError(message, code="invalid_value", param=where)
    kind = kinds[0] if kinds else ""
    value = part.get(kind)
    if kind == "text":
        if not isinstance(value, str):
            raise wrong(f"{where}.text", value, "text")
        return
    if kind and not isinstance(value, dict):
        raise wrong(f"{where}.{kind}", value, "an object")
    if kind == "fileData":
        assert isinstance(value, dict)
        _read_file(camel(value, f"{where}.fileData."), f"{where}.fileData", found)
    elif kind == "inlineData":
        assert isinstance(value, dict)
        _read_blob(camel(value, f"{where}.inlineData."), f"{where}.inlineData", found)
    elif kind == "functionResponse":
        assert isinstance(value, dict)
        inner = camel(value, f"{where}.functionResponse.")
        for at, item in enumerate(many(inner.get("parts"), f"{where}.functionResponse.parts")):
            _read_part(item, f"{where}.functionResponse.parts[{at}]", found)


def _read_file(data: dict[str, Any], where: str, found: Body) -> None:
    mime = data.get("mimeType")
    kind = mime.partition("/")[0] if isinstance(mime, str) else ""
    found.needs.add(_NEEDS.get(kind, "documents"))
    # Without a scheme, or at Google's own door, it is the name of a file there; else it is fetched from wherever it is.
    uri = data.get("fileUri")
    held = isinstance(uri, str) and (":" not in uri or uri.startswith(FILES))
    note(found.elsewhere, "file_id" if held else "storage_url", where)


def _read_blob(blob: dict[str, Any], where: str, found: Body) -> None:
    mime, data = blob.get("mimeType"), blob.get("data")
    if not isinstance(mime, str) or not mime:
        raise wrong(f"{where}.mimeType", mime, "a type such as image/png")
    if not isinstance(data, str):
        raise wrong(f"{where}.data", data, "base64")
    kind = mime.partition("/")[0]
    found.needs.add(_NEEDS.get(kind, "documents"))
    found.media_bytes += len(data)
    found.media_tokens += IMAGE_TOKENS if kind == "image" else max(IMAGE_TOKENS, len(data) // AUDIO_BYTES_PER_TOKEN)


def _read_tools(tools: object, found: Body) -> None:
    for at, tool in enumerate(many(tools, "tools")):
        where = f"tools[{at}]"
        if not isinstance(tool, dict):
            raise wrong(where, tool, 'an object such as {"functionDeclarations": […]}')
        for name, value in camel(tool, f"{where}.").items():
            if value is None:
                continue
            if name not in _CLIENT_RUN:
                note(found.elsewhere, name, f"{where}.{name}")
            elif name == "functionDeclarations" and many(value, f"{where}.{name}"):
                found.needs.add("tools")


def _read_choice(config: object, found: Body) -> None:
    if config is None:
        return
    if not isinstance(config, dict):
        raise wrong("toolConfig", config, "an object")
    calling = camel(config, "toolConfig.").get("functionCallingConfig")
    if calling is None:
        return
    if not isinstance(calling, dict):
        raise wrong("toolConfig.functionCallingConfig", calling, "an object")
    if calling.get("mode") == "ANY":
        if "tools" not in found.needs:
            raise no_tools("toolConfig.functionCallingConfig.mode")
        found.needs.add("tool_choice")


def _read_config(config: dict[str, Any], found: Body) -> None:
    for name in _STEERING & config.keys():
        if config[name] is not None:
            message = f"{name} is not accepted in a request: which model answers is the owner's configuration."
            raise BadRequestError(message, code="steering_parameter", param=name, hint="Leave it out.")
    found.max_output = integer(config, "maxOutputTokens")
    found.choices = integer(config, "candidateCount", high=MAX_CHOICES) or 1
    if found.choices > 1:
        found.needs.add("choices")
    if config.get("responseLogprobs"):
        found.needs.add("logprobs")
    if config.get("responseMimeType") == "application/json":
        schema = config.get("responseSchema") is not None or config.get("responseJsonSchema") is not None
        found.needs.add("json_schema" if schema else "json_mode")
