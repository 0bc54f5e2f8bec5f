"""A Conversation of another dialect made sayable in OpenAI's shape, with what that took. It knows no client's dialect.

Source: the OpenAI API reference, "Create chat completion", read 2026-11-22.

=========================================== ==============================================================
members and marks OpenAI has no name for    dropped                                            (deviation)
``thinking`` and the like beside an effort  the effort stands for them                         (deviation)
effort, where the model cannot reason       dropped                                            (deviation)
signed or opaque reasoning                  dropped: it says nothing to another vendor         (deviation)
media inside tool results                   moved into the user's turn: results hold text      (deviation)
a failed tool's mark                        dropped: the words of the result stay              (deviation)
blocks that can be said in words            as text                                            (deviation)
other blocks of one vendor, its own tools   refused
documents by URL                            refused: files travel inline
=========================================== ==============================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from nearfar.core.conversation import (
    Block,
    Conversation,
    Extra,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.core.routing import Deployment
from nearfar.wire.deviations import Deviations, says_something, unsupported

SCHEMA_NAME = "answer"
"""OpenAI wants a name for a schema; other dialects have none."""

_SAME = frozenset(
    {
        "logit_bias",
        "min_p",
        "prompt_cache_key",
        "repetition_penalty",
        "safety_identifier",
        "verbosity",
    }
)
"""Members that mean the same in every dialect that has them."""

_EFFORT = "reasoning_effort"
_THOUGHT = frozenset({"thinking", "think", "reasoning", "output_config", "thinkingConfig"})
"""Members of other dialects from which an effort may have been read."""

_NOTHING: frozenset[str] = frozenset()


def _refuse(what: str, param: str) -> BadRequestError:
    return unsupported("OpenAI's chat API", what, param)


def adapt(conversation: Conversation, deployment: Deployment) -> tuple[Conversation, tuple[str, ...]]:
    """The conversation as openai_chat_compose can write it for ``deployment``, and the deviations.

    Raises BadRequestError (code ``unsupported``) for what may not get lost. The given conversation stays as it is.
    """
    note = Deviations()
    settings = _settings(conversation.settings, deployment, note)
    adapted = Conversation(
        messages=[_message(message, note) for message in conversation.messages],
        tools=[_tool(tool, note) for tool in conversation.tools],
        settings=settings,
        extra=_extra(conversation.extra, settings, note),
    )
    return adapted, note.all()


def _extra(extra: Extra, settings: Settings, note: Deviations) -> Extra:
    """The top-level members that stay. An empty effort among them says that the effort was read from another one."""
    from_thought = _EFFORT in extra and settings.reasoning_effort is not None
    for name, raw in extra.items():
        if name in _SAME or not says_something(name, raw):
            continue
        note.add(f"adapted:{name}" if from_thought and name in _THOUGHT else f"dropped:{name}")
    return {name: raw for name, raw in extra.items() if name in _SAME}


def _settings(settings: Settings, deployment: Deployment, note: Deviations) -> Settings:
    found = msgspec.structs.replace(settings)
    reasons = deployment.capabilities.get("reasoning")
    if found.reasoning_effort is not None and reasons is not None and reasons.can is False:
        note.add(f"dropped:{_EFFORT}")
        found.reasoning_effort = None
    if found.json_schema is not None:
        found.json_schema_name = found.json_schema_name or SCHEMA_NAME
        if found.json_schema_strict is None:
            # Elsewhere a schema is a promise. Here it would be a wish, unless it is strict.
            found.json_schema_strict = True
    return found


def _tool(tool: Tool, note: Deviations) -> Tool:
    if not tool.name:
        raise _refuse("tools that another vendor defines", "tools")
    note.keep(tool.extra, _NOTHING)
    return msgspec.structs.replace(tool, extra={})


def _message(message: Message, note: Deviations) -> Message:
    note.keep(message.extra, _NOTHING)
    blocks: list[Block] = []
    moved: list[Block] = []
    for block in message.blocks:
        if isinstance(block, Text) and not block.extra:  # the common case
            blocks.append(block)
        elif isinstance(block, ToolResult):
            result, media = _tool_result(block, note)
            blocks.append(result)
            moved += media
        else:
            blocks += _block(block, note)
    return Message(role=message.role, blocks=[*moved, *blocks], name=message.name)


def _tool_result(block: ToolResult, note: Deviations) -> tuple[ToolResult, Sequence[Media]]:
    """The result with text alone, and the media it held."""
    note.keep(block.extra, _NOTHING)
    if block.error:
        note.add("dropped:is_error")
    found = [item for inner in block.content for item in _block(inner, note)]
    texts: list[Text | Media | Opaque] = [item for item in found if isinstance(item, Text | Opaque)]
    media = [item for item in found if isinstance(item, Media)]
    if media:
        note.add("moved:media")
    # OpenAI wants content in every result, also in that of a tool that said nothing.
    return ToolResult(id=block.id, content=texts or [Text(text="")], name=block.name), media


def _block(block: Block, note: Deviations) -> Iterable[Block]:
    """The block as OpenAI takes it; none for one that says nothing to it."""
    if isinstance(block, Reasoning):
        return _reasoning(block, note)
    if isinstance(block, Opaque):
        return _opaque(block, note)
    if isinstance(block, Media):
        return (_media(block, note),)
    note.keep(block.extra, _NOTHING)
    if isinstance(block, Text):
        return (Text(text=block.text),)
    if isinstance(block, Refusal):
        return (Refusal(text=block.text),)
    assert isinstance(block, ToolCall), "a tool result stands in no other block"
    return (ToolCall(id=block.id, name=block.name, arguments=block.arguments),)


def _reasoning(block: Reasoning, note: Deviations) -> Iterable[Block]:
    if block.signature or block.redacted:
        note.add("dropped:reasoning")
        return ()
    return (Reasoning(text=block.text),) if block.text else ()


def _opaque(block: Opaque, note: Deviations) -> Iterable[Block]:
    if block.vendor.startswith("openai."):
        return (block,)
    if not block.text:
        raise _refuse("content of this type", "messages")
    note.add("adapted:content")
    return (Text(text=block.text),)


def _media(block: Media, note: Deviations) -> Media:
    extra = dict(block.extra)
    if block.kind != "document":
        note.keep(extra, _NOTHING)
        return Media(kind=block.kind, mime=block.mime, data=block.data, url=block.url)
    if block.url:
        raise _refuse("documents by URL; send the document inline", "messages")
    raw = extra.pop("title", None)
    title = msgspec.json.decode(raw) if raw is not None else None
    note.keep(extra, _NOTHING)
    name = title if isinstance(title, str) and title else f"document.{block.mime.rpartition('/')[2] or 'bin'}"
    file = msgspec.Raw(msgspec.json.encode({"filename": name}))
    return Media(kind="document", mime=block.mime, data=block.data, extra={"file": file})
