"""Reads a Responses request and refuses what reaches for content or places that this gateway cannot see.

It knows no deployment and nothing of stored responses: whoever keeps them puts their items into ``input`` before.
Source: the OpenAI API reference, "Create a model response", and the types of its Python SDK 3.54, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError
from nearfar.wire import openai_responses_tools as tools
from nearfar.wire import strict
from nearfar.wire.elsewhere import References, frozen, note, note_members
from nearfar.wire.fields import boolean, integer, no_tools, refuse_steering, wrong
from nearfar.wire.openai_chat import ELSEWHERE
from nearfar.wire.tokens import AUDIO_BYTES_PER_TOKEN, IMAGE_TOKENS, of_text

NAME = "openai.responses"
MAX_TOP_LOGPROBS = 20

_ELSEWHERE = (ELSEWHERE | {"prompt"}) - {"previous_response_id"}
_INLINE = "data:"
_SEARCH = frozenset({"web_search"})
_MEDIA = {"input_image": "images", "input_audio": "audio", "input_file": "documents", "computer_screenshot": "images"}
ITEMS = frozenset(
    {
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search_call",
        "function_call",
        "function_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_call",
        "mcp_list_tools",
        "message",
        "reasoning",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "web_search_call",
    }
)
"""Items that hold what was said or done. Others start something at the provider, offer tools past the check of
``tools``, or name content that lies elsewhere."""

_NO_LINKS = frozenset({"annotations", "action"})
"""Members in which URLs are citations of what was found, not media to fetch."""


def parse(body: bytes, request_id: str) -> Request:
    """Read a Responses request; what this gateway has no name for travels. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "the name of a model", hint="GET /v1/models lists them.")
    _refuse_unknown(values)
    found: References = {}
    note_members(found, _ELSEWHERE, values)
    if boolean(values, "background"):
        message = "Responses in the background are not kept here: the answer is given while the client waits."
        raise BadRequestError(message, code="unsupported", param="background", hint="Leave background out.")
    for name in ("store", "parallel_tool_calls"):
        boolean(values, name)
    integer(values, "top_logprobs", low=0, high=MAX_TOP_LOGPROBS)
    needs: set[str] = set()
    media = _read_input(values.get("input"), needs, found)
    _read_words(values)
    wishes = _read_features(values, needs, found)
    return Request(
        id=request_id,
        wire=NAME,
        operation="chat",
        model=model,
        body=body,
        fields=members,
        stream=boolean(values, "stream"),
        max_output=integer(values, "max_output_tokens"),
        input_tokens=of_text(compact, media.bytes) + media.tokens,
        needs=frozenset(needs),
        elsewhere=frozen(found),
        wishes=wishes,
    )


def _refuse_unknown(values: dict[str, Any]) -> None:
    """What is continued is kept here and was put into the input before; upstream nothing of ours is ever stored."""
    if values.get("previous_response_id") not in (None, False):
        message = "previous_response_id names nothing that is kept here."
        raise BadRequestError(
            message, code="unsupported", param="previous_response_id", hint="Send the items themselves."
        )


class _Media(msgspec.Struct):
    """What media add to the estimate, and the bytes of text they take out of it."""

    bytes: int = 0
    tokens: int = 0


def _read_input(value: object, needs: set[str], found: References) -> _Media:
    media = _Media()
    if isinstance(value, str) and value:
        return media
    if not isinstance(value, list) or not value:
        raise wrong("input", value, "text, or a list with at least one item")
    for position, item in enumerate(value):
        where = f"input[{position}]"
        if not isinstance(item, dict):
            raise wrong(where, item, "an object")
        kind = item.get("type")
        if kind is None:
            kind = "message" if "role" in item else "item_reference"
        if kind == "item_reference":
            note(found, "item_reference", where)
            continue
        if not isinstance(kind, str) or kind not in ITEMS:
            message = f"{where} is of a type that this gateway does not pass on."
            hint = "Send messages, calls of functions and their outputs."
            raise BadRequestError(message, code="unsupported", param=f"{where}.type", hint=hint)
        if kind == "message":
            _check_message(item, where)
        _look(item, where, needs, media, found)
    return media


def _check_message(item: dict[str, Any], where: str) -> None:
    role = item.get("role")
    if not isinstance(role, str) or not role:
        raise wrong(f"{where}.role", role, "user, assistant, system or developer")
    content = item.get("content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong(f"{where}.content", content, "text or a list of parts")
    for position, part in enumerate(content):
        at = f"{where}.content[{position}]"
        if not isinstance(part, dict):
            raise wrong(at, part, "an object with a type")
        if not isinstance(part.get("type"), str):
            raise wrong(f"{at}.type", part.get("type"), "a word such as input_text")


def _look(item: dict[str, Any], where: str, needs: set[str], media: _Media, noted: References) -> None:
    """Count media, note files stored elsewhere, and need ``media_urls`` for what the provider would fetch."""
    rest: list[tuple[str, dict[str, Any]]] = [(where, item)]
    while rest:
        at, found = rest.pop()
        kind = found.get("type")
        if isinstance(kind, str) and kind in _MEDIA:
            needs.add(_MEDIA[kind])
            size = _size(found)
            media.bytes += size
            media.tokens += IMAGE_TOKENS if "image" in kind else max(IMAGE_TOKENS, size // AUDIO_BYTES_PER_TOKEN)
        for name, value in found.items():
            if value is None or name in _NO_LINKS:
                continue
            if name == "file_id" or (name == "container_id" and kind != "code_interpreter_call"):
                note(noted, name, f"{at}.{name}")
            if isinstance(value, dict):
                rest.append((f"{at}.{name}", value))
            elif isinstance(value, list):
                rest += [(f"{at}.{name}[{number}]", inner) for number, inner in enumerate(value) if _is_object(inner)]
            elif (name == "url" or name.endswith("_url")) and not _is_inline(value):
                needs.add("media_urls")


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_inline(value: object) -> bool:
    return isinstance(value, str) and value[: len(_INLINE)].lower() == _INLINE


def _size(part: dict[str, Any]) -> int:
    inner = part.get("input_audio")
    inner = inner if isinstance(inner, dict) else {}
    source = part.get("image_url") or part.get("file_data") or inner.get("data")
    return len(source) if isinstance(source, str) else 0


def _read_words(values: dict[str, Any]) -> None:
    """Types of the members that are rendered again in the reply: a client's SDK would stumble over others."""
    for name in ("instructions", "user", "truncation", "service_tier", "prompt_cache_key", "safety_identifier"):
        value = values.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong(name, value, "text")
    for name in ("metadata", "reasoning", "text", "stream_options"):
        value = values.get(name)
        if value is not None and not isinstance(value, dict):
            raise wrong(name, value, "an object")
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        value = values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise wrong(name, value, "a number")
    integer(values, "max_tool_calls", low=0)
    include = values.get("include")
    if include is not None and not (isinstance(include, list) and all(isinstance(item, str) for item in include)):
        raise wrong("include", include, "a list of words")


def _read_features(values: dict[str, Any], needs: set[str], found: References) -> frozenset[str]:
    """Add what is needed and drawn on; returns the tools of the provider that are offered and can be done without."""
    listed = values.get("tools")
    searches = tools.check(listed, found) if listed is not None else False
    tools.check_choice(values.get("tool_choice"), listed or [], found, searches=searches)
    wishes = _SEARCH if searches else frozenset()
    insists = values.get("tool_choice") == "required" or isinstance(values.get("tool_choice"), dict)
    if insists and not listed:
        raise no_tools("tool_choice")
    if listed and not all(tools.is_search(tool["type"]) for tool in listed):
        needs.add("tools")
        if insists:
            needs.add("tool_choice")
    if values.get("top_logprobs") or "message.output_text.logprobs" in (values.get("include") or ()):
        needs.add("logprobs")
    shape = (values.get("text") or {}).get("format")
    if shape is None:
        return wishes
    kind = shape.get("type") if isinstance(shape, dict) else None
    if not isinstance(kind, str):
        raise wrong("text.format", shape, "an object with a type")
    if kind == "json_schema":
        if not isinstance(shape.get("schema"), dict):
            raise wrong("text.format.schema", shape.get("schema"), "a JSON schema")
        needs.add("json_schema")
    elif kind == "json_object":
        needs.add("json_mode")
    return wishes
