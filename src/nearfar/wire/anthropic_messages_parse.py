"""Reads a client's request in Anthropic's dialect: what decides about it, and what may not be asked for here.

It knows no upstream. What this gateway has no name for travels. Source: the Claude API reference, "Create a Message",
and the types of its Python SDK 2.12, read 2026-11-22.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.wire import strict
from nearfar.wire.elsewhere import References, frozen, note
from nearfar.wire.fields import boolean, integer, no_tools, refuse_steering, wrong
from nearfar.wire.tokens import AUDIO_BYTES_PER_TOKEN, IMAGE_TOKENS, of_text

CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_", "browser_toolset_", "tool_search_tool_")
"""Beginnings of tool types that the client itself runs, or that look at nothing but the request's own tools."""

ELSEWHERE = frozenset({"container", "mcp_servers", "thread"})
"""Members that bring in content held or fetched elsewhere: no scan has seen it, and it is a further place."""

DEEPEST = 4
"""Levels of blocks inside blocks; Anthropic's own shapes have two."""

_SAID = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"})
"""Blocks whose URLs are words: nobody fetches them."""
_INLINE = "data:"
_HEADER = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,4000}")


class _Found(msgspec.Struct):
    """What the content needs, and what media add to the estimate and take out of its text."""

    needs: set[str]
    elsewhere: References = {}
    bytes: int = 0
    tokens: int = 0


def parse(body: bytes, request_id: str) -> Request:
    """Read a request to create a message. Raises BadRequestError."""
    return read(body, request_id, wire="anthropic.messages", operation="chat")


def read(body: bytes, request_id: str, *, wire: str, operation: str) -> Request:
    """Read a request about a conversation: to continue it, or only to count it (which needs no ``max_tokens``)."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "the name of a model", hint="GET /v1/models lists them.")
    chat = operation == "chat"
    limit = integer(values, "max_tokens", low=0)
    if chat and limit is None:
        raise wrong("max_tokens", None, "a whole number", hint="Anthropic's API wants a limit in every request.")
    found = _Found(needs=set())
    _read_content(values.get("system", ""), "system", found)
    _read_messages(values.get("messages"), found)
    _read_features(values, found)
    return Request(
        id=request_id,
        wire=wire,
        operation=operation,
        model=model,
        body=body,
        fields=members,
        stream=chat and boolean(values, "stream"),
        max_output=limit,
        input_tokens=of_text(compact, found.bytes) + found.tokens,
        needs=frozenset(found.needs),
        elsewhere=frozen(found.elsewhere),
    )


def dialect_headers(headers: dict[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    """The headers that belong to what is said: the version and the betas that members of the body rest on.

    ``headers`` have lower-case names. Values that are no single printable line are left out.
    """
    found = ((name, headers.get(name.encode(), b"").decode("latin-1")) for name in DIALECT_HEADERS)
    return tuple((name, value) for name, value in found if _HEADER.fullmatch(value))


DIALECT_HEADERS = ("anthropic-version", "anthropic-beta")


def _read_messages(messages: object, found: _Found) -> None:
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", messages, "a list with at least one message")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict):
            raise wrong(where, message, "an object")
        role = message.get("role")
        if not isinstance(role, str):
            raise wrong(f"{where}.role", role, "user, assistant or system")
        if role not in {"user", "assistant", "system"}:
            what = f"{where}.role is {role[:40]!r}; it must be user, assistant or system."
            raise BadRequestError(what, code="invalid_value", param=f"{where}.role")
        _read_content(message.get("content"), f"{where}.content", found)


def _read_content(content: object, where: str, found: _Found, depth: int = 0) -> None:
    if isinstance(content, str) or (content is None and where == "system"):
        return
    if not isinstance(content, list):
        raise wrong(where, content, "text or a list of blocks")
    if depth > DEEPEST:
        message = f"{where} nests blocks more than {DEEPEST} deep."
        raise BadRequestError(message, code="invalid_value", param=where[:200])
    for position, block in enumerate(content):
        _read_block(block, f"{where}[{position}]", found, depth)


def _read_block(block: object, where: str, found: _Found, depth: int) -> None:
    if not isinstance(block, dict):
        raise wrong(where, block, "an object with a type")
    kind = block.get("type")
    if not isinstance(kind, str):
        raise wrong(f"{where}.type", kind, "a word such as text or image")
    if kind in _SAID:
        return
    if kind == "tool_result":
        _read_content(block.get("content", ""), f"{where}.content", found, depth + 1)
        return
    if kind in {"image", "document"}:
        _read_media(kind, block, where, found, depth)
    _look_elsewhere(block, where, found)


def _read_media(kind: str, block: dict[str, Any], where: str, found: _Found, depth: int) -> None:
    source = block.get("source")
    if not isinstance(source, dict):
        raise wrong(f"{where}.source", source, "an object with a type")
    how = source.get("type")
    if kind == "image":
        found.needs.add("images")
    elif how not in ("text", "content"):  # a tuple: a list cannot be looked up in a set
        found.needs.add("documents")
    if how == "content":
        _read_content(source.get("content", ""), f"{where}.source.content", found, depth + 1)
    elif how != "text":
        data = source.get("data")
        size = len(data) if isinstance(data, str) else 0
        found.bytes += size
        found.tokens += IMAGE_TOKENS if kind == "image" else max(IMAGE_TOKENS, size // AUDIO_BYTES_PER_TOKEN)


def _look_elsewhere(block: dict[str, Any], where: str, noted: _Found) -> None:
    """Note files stored elsewhere, and need ``media_urls`` for whatever is called a URL and is not inline."""
    rest: list[tuple[str, Any]] = [(where, block)]
    while rest:
        at, found = rest.pop()
        if isinstance(found, list):
            rest += [(f"{at}[{number}]", item) for number, item in enumerate(found) if isinstance(item, dict | list)]
            continue
        for name, value in found.items():
            if name == "file_id" and value is not None:
                note(noted.elsewhere, name, f"{at}.file_id")
            if isinstance(value, dict | list):
                rest.append((f"{at}.{name}", value))
            elif (name == "url" or name.endswith("_url")) and isinstance(value, str) and not _inline(value):
                noted.needs.add("media_urls")


def _inline(url: str) -> bool:
    return not url or url[: len(_INLINE)].lower() == _INLINE


def _read_features(values: dict[str, Any], found: _Found) -> None:
    for name in sorted(ELSEWHERE & values.keys()):
        if values[name]:
            note(found.elsewhere, name, name)
    needs = found.needs
    tools = values.get("tools")
    choice = values.get("tool_choice")
    if choice is not None and not isinstance(choice, dict):
        raise wrong("tool_choice", choice, "an object with a type")
    insists = choice is not None and choice.get("type") in ("any", "tool")  # a tuple, as above
    if insists and not tools:
        raise no_tools("tool_choice")
    if insists:
        needs.add("tool_choice")
    if tools:
        _read_tools(tools, found.elsewhere)
        needs.add("tools")
    elif tools is not None and not isinstance(tools, list):
        raise wrong("tools", tools, "a list of tools")
    output = values.get("output_config")
    if output is not None and not isinstance(output, dict):
        raise wrong("output_config", output, "an object")
    if (output and output.get("format")) or values.get("output_format"):
        needs.add("json_schema")


def _read_tools(tools: object, found: References) -> None:
    if not isinstance(tools, list):
        raise wrong("tools", tools, "a list of tools")
    for position, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise wrong(f"tools[{position}]", tool, "an object")
        kind = tool.get("type")
        if kind is None:
            continue
        if not isinstance(kind, str):
            raise wrong(f"tools[{position}].type", kind, "a word such as custom")
        if kind != "custom" and not kind.startswith(CLIENT_TOOLS):
            note(found, kind, f"tools[{position}].type")
