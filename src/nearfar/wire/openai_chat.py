"""OpenAI's chat completions: reads a client's request, and patches it for an upstream that speaks the same dialect.

It knows neither routes nor places. Replies are read in openai_chat_decode, written in openai_chat_render.
Source: the OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Conversation
from nearfar.core.routing import Deployment
from nearfar.wire import strict
from nearfar.wire.base import ClientWire, Outgoing, ProviderWire
from nearfar.wire.elsewhere import References, frozen, note, note_members
from nearfar.wire.failures import upstream_error
from nearfar.wire.fields import boolean, integer, no_tools, refuse_steering, wrong
from nearfar.wire.openai_chat_conversation import conversation as conversation_of
from nearfar.wire.openai_chat_decode import decoder
from nearfar.wire.openai_chat_render import error_body, renderer
from nearfar.wire.patch import JSON_HEADERS, patch
from nearfar.wire.tokens import AUDIO_BYTES_PER_TOKEN, IMAGE_TOKENS, of_text

MAX_CHOICES = 128

ELSEWHERE = frozenset(
    {
        "attachments",
        "cached_content",  # Gemini
        "cachedContent",
        "connectors",  # Cohere
        "container",  # Anthropic
        "conversation",
        "dataSources",  # Azure, older versions
        "data_sources",  # Azure
        "enable_code_interpreter",  # Alibaba
        "enable_search",  # Alibaba
        "file_ids",
        "integrations",  # LM Studio
        "mcp_servers",  # Anthropic
        "plugins",  # OpenRouter
        "previous_response_id",
        "search_options",  # Alibaba
        "search_parameters",  # xAI
        "session_params",  # SGLang
        "tool_ids",  # Open WebUI
        "tool_resources",
        "vector_store_ids",  # LiteLLM
        "web_search",
        "web_search_options",  # OpenAI, Perplexity
    }
)
"""Members that bring in content held or fetched elsewhere: no scan has seen it, and it is a further place."""

_FEATURES = ELSEWHERE | {"functions", "logprobs", "response_format", "tool_choice", "tools"}
"""Members that ask something of the deployment, or bring something in."""

_encode = msgspec.json.Encoder().encode
_MEDIA_NEEDS = {
    "image_url": "images",
    "input_audio": "audio",
    "audio_url": "audio",
    "file": "documents",
    "video_url": "video",
}
_INLINE = "data:"
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]{0,30}:")
"""What base64 never begins with."""


def parse(body: bytes, request_id: str) -> Request:
    """Read a chat completion request; what this gateway has no name for travels. Raises BadRequestError."""
    members, values, compact = strict.parse(body)
    refuse_steering(values)
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "the name of a model", hint="GET /v1/models lists them.")
    limit = integer(values, "max_completion_tokens") if "max_completion_tokens" in values else None
    if limit is None:
        limit = integer(values, "max_tokens")
    choices = 1 if "n" not in values else integer(values, "n", high=MAX_CHOICES) or 1
    needs: set[str] = set()
    found: References = {}
    media = _read_messages(values.get("messages"), needs, found)
    if not _FEATURES.isdisjoint(values):
        _read_features(values, needs, found)
    if choices > 1:
        needs.add("choices")
    return Request(
        id=request_id,
        wire="openai.chat",
        operation="chat",
        model=model,
        body=body,
        fields=members,
        stream=boolean(values, "stream"),
        include_usage=_include_usage(values),
        max_output=limit,
        choices=choices,
        input_tokens=of_text(compact, media.bytes) + media.tokens if media else of_text(compact),
        needs=frozenset(needs),
        elsewhere=frozen(found),
    )


class _Media(msgspec.Struct):
    """What media add to the estimate, and the bytes of text they take out of it."""

    bytes: int = 0
    tokens: int = 0


def _read_messages(messages: object, needs: set[str], found: References) -> _Media | None:
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", messages, "a list with at least one message")
    media = None
    for position, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong(f"messages[{position}]", message, "an object")
        role = message.get("role")
        if not isinstance(role, str) or not role:
            raise wrong(f"messages[{position}].role", role, "system, developer, user, assistant or tool")
        if message.get("audio"):
            note(found, "stored_audio", f"messages[{position}].audio")
        content = message.get("content")
        if isinstance(content, str):
            continue
        if isinstance(content, list):
            media = _read_parts(content, f"messages[{position}].content", needs, found, media)
        elif content is not None:
            raise wrong(f"messages[{position}].content", content, "text or a list of parts")
    return media


def _read_parts(
    parts: list[Any], where: str, needs: set[str], found: References, media: _Media | None
) -> _Media | None:
    for position, part in enumerate(parts):
        if not isinstance(part, dict):
            raise wrong(f"{where}[{position}]", part, "an object with a type")
        kind = part.get("type")
        if not isinstance(kind, str):
            raise wrong(f"{where}[{position}].type", kind, "a word such as text or image_url")
        _look_elsewhere(part, f"{where}[{position}]", needs, found)
        if kind not in _MEDIA_NEEDS:
            continue
        needs.add(_MEDIA_NEEDS[kind])
        media = media or _Media()
        value = part.get(kind)
        if value is None and part.get("uuid") is not None:  # vLLM: media of an earlier request
            note(found, "stored_media", f"{where}[{position}].uuid")
        inner = value if isinstance(value, dict) else {}
        source = value if isinstance(value, str) else inner.get("url") or inner.get("data") or inner.get("file_data")
        size = len(source) if isinstance(source, str) else 0
        media.bytes += size
        media.tokens += IMAGE_TOKENS if kind == "image_url" else max(IMAGE_TOKENS, size // AUDIO_BYTES_PER_TOKEN)
    return media


def _look_elsewhere(part: dict[str, Any], where: str, needs: set[str], references: References) -> None:
    """Note files stored elsewhere, and need ``media_urls`` for all that a runtime might fetch.

    Runtimes read parts of kinds that are unknown here, members under other kinds, and URLs of any scheme (also of
    files on their own disk): so whatever is called a URL and is not inline counts.
    """
    rest: list[tuple[str, Any]] = [(where, part)]
    while rest:
        at, found = rest.pop()
        if isinstance(found, list):
            rest += [(f"{at}[{number}]", item) for number, item in enumerate(found) if isinstance(item, dict | list)]
            continue
        for name, value in found.items():
            if value is None:
                continue
            if name == "file_id":
                note(references, name, f"{at}.file_id")
            if isinstance(value, dict | list):
                rest.append((f"{at}.{name}", value))
            if _is_elsewhere(name, value):
                needs.add("media_urls")


def _is_elsewhere(name: str, value: object) -> bool:
    inline = isinstance(value, str) and value[: len(_INLINE)].lower() == _INLINE
    if name == "url" or name.endswith("_url"):
        return not inline and not isinstance(value, dict)
    return name in {"data", "file_data"} and isinstance(value, str) and not inline and bool(_SCHEME.match(value))


def _read_features(values: dict[str, Any], needs: set[str], found: References) -> None:
    if not ELSEWHERE.isdisjoint(values):
        note_members(found, ELSEWHERE, values)
    tools = values.get("tools")
    if tools or values.get("functions"):
        _read_tools(tools or [], found)
        needs.add("tools")
        choice = values.get("tool_choice")
        if choice == "required" or isinstance(choice, dict):
            needs.add("tool_choice")
    elif values.get("tool_choice") == "required" or isinstance(values.get("tool_choice"), dict):
        raise no_tools("tool_choice")
    if values.get("logprobs"):
        needs.add("logprobs")
    shape = values.get("response_format")
    if shape is None:
        return
    kind = shape.get("type") if isinstance(shape, dict) else None
    if not isinstance(kind, str):
        raise wrong("response_format", shape, "an object with a type")
    if kind == "json_schema":
        needs.add("json_schema")
    elif kind == "json_object":
        needs.add("json_mode")


def _read_tools(tools: object, found: References) -> None:
    if not isinstance(tools, list):
        raise wrong("tools", tools, "a list of tools")
    for position, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise wrong(f"tools[{position}]", tool, "an object with a type")
        kind = tool.get("type", "function")
        if not isinstance(kind, str):
            raise wrong(f"tools[{position}].type", kind, "function or custom")
        if kind not in {"function", "custom"}:
            note(found, kind, f"tools[{position}].type")


def _include_usage(values: dict[str, Any]) -> bool:
    options = values.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise wrong("stream_options", options, "an object")
    return boolean(options, "include_usage", where="stream_options.")


def encode(request: Request, deployment: Deployment, conversation: Conversation | None) -> Outgoing:
    """The request for ``deployment``: the client's bytes, changed only where they must be; or the conversation."""
    fields, asked, unchanged = request.fields, request.model, request.body
    adapted: tuple[str, ...] = ()
    if conversation is not None:
        if request.wire != CLIENT.name:
            from nearfar.wire.openai_chat_foreign import adapt

            conversation, adapted = adapt(conversation, deployment)
        fields, asked, unchanged = _compose(request, conversation), "", b""
    extra = {}
    if request.stream and not request.include_usage:
        extra["stream_options"] = _ask_for_usage(fields.get("stream_options"))
    body, deviations = patch(fields, asked, deployment, extra, unchanged)
    return Outgoing(path="/chat/completions", headers=JSON_HEADERS, body=body, deviations=(*adapted, *deviations))


def _compose(request: Request, conversation: Conversation) -> dict[str, msgspec.Raw]:
    from nearfar.wire.openai_chat_compose import members

    fields = members(conversation)
    if request.stream:
        fields["stream"] = msgspec.Raw(b"true")
        options = request.fields.get("stream_options")
        if options is not None and request.wire == CLIENT.name:
            fields["stream_options"] = options
    return fields


def _ask_for_usage(options: msgspec.Raw | None) -> bytes:
    """Usage is needed for the ledger; the decoder hides it from a client that did not ask."""
    given = msgspec.json.decode(options) if options is not None else None
    return _encode({**(given or {}), "include_usage": True})


CLIENT = ClientWire(name="openai.chat", parse=parse, renderer=renderer, conversation=conversation_of, error=error_body)

PROVIDER = ProviderWire(
    name="openai.chat",
    like=frozenset({"openai.chat"}),
    encode=encode,
    decoder=decoder,
    error=upstream_error,
)
