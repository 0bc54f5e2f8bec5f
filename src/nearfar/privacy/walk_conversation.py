"""Every place of a Conversation in which text can stand, and the Conversation again with other texts there."""

from __future__ import annotations

from typing import TypeVar

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
from nearfar.privacy import walk
from nearfar.privacy.walk import FIXED, TEXT, WORD, Spot, Visit

_BY = {"user": "user", "assistant": "model"}
_CHOSEN = "tool:"
B = TypeVar("B", Text, Refusal)


def conversation(given: Conversation, visit: Visit, media: list[str]) -> Conversation:
    """``given`` with every text visited, undecoded members too; ``media`` gets the paths of what is no text."""
    path = _Walk(visit, media)
    messages = [path.message(message, f"messages[{at}]") for at, message in enumerate(given.messages)]
    tools = [path.tool(tool, f"tools[{at}]") for at, tool in enumerate(given.tools)]
    return msgspec.structs.replace(
        given,
        messages=messages,
        tools=tools,
        settings=path.settings(given.settings),
        extra=path.members(given.extra, ""),
    )


class _Walk:
    def __init__(self, visit: Visit, media: list[str]) -> None:
        self._visit = visit
        self._media = media

    def message(self, message: Message, path: str) -> Message:
        by = _BY.get(message.role, "")
        return msgspec.structs.replace(
            message,
            name=self._say(message.name, f"{path}.name", WORD, by),
            blocks=[self._block(block, f"{path}.blocks[{at}]", by) for at, block in enumerate(message.blocks)],
            extra=self.members(message.extra, path, by),
        )

    def _block(self, block: Block, path: str, by: str) -> Block:
        if isinstance(block, Text):
            return self._words(block, path, by)
        if isinstance(block, Refusal):
            return self._words(block, path, by)
        if isinstance(block, Media | Opaque):
            return self._foreign(block, path, by)
        if isinstance(block, Reasoning):
            return msgspec.structs.replace(
                block,
                text=self._say(block.text, f"{path}.text", TEXT, "model"),
                signature=self._say(block.signature, f"{path}.signature", FIXED, "model"),
                redacted=self._say(block.redacted, f"{path}.redacted", FIXED, "model"),
                extra=self.members(block.extra, path, "model"),
            )
        if isinstance(block, ToolCall):
            return msgspec.structs.replace(
                block,
                id=self._say(block.id, f"{path}.id", WORD, "model"),
                name=self._say(block.name, f"{path}.name", WORD, "model"),
                arguments=walk.arguments(block.arguments, self._visit, self._media, f"{path}.arguments"),
                extra=self.members(block.extra, path, "model"),
            )
        return self._result(block, path)

    def _result(self, block: ToolResult, path: str) -> ToolResult:
        content: list[Text | Media | Opaque] = []
        for at, inner in enumerate(block.content):
            where = f"{path}.content[{at}]"
            content.append(
                self._words(inner, where, "") if isinstance(inner, Text) else self._foreign(inner, where, "")
            )
        return msgspec.structs.replace(
            block,
            id=self._say(block.id, f"{path}.id", WORD, ""),
            name=self._say(block.name, f"{path}.name", WORD, ""),
            content=content,
            extra=self.members(block.extra, path),
        )

    def _words(self, block: B, path: str, by: str) -> B:
        text = self._say(block.text, f"{path}.text", TEXT, by)
        extra = self.members(block.extra, path, by)
        return (
            block
            if text is block.text and extra is block.extra
            else msgspec.structs.replace(block, text=text, extra=extra)
        )

    def _foreign(self, block: Media | Opaque, path: str, by: str) -> Media | Opaque:
        if isinstance(block, Opaque):
            return msgspec.structs.replace(
                block,
                raw=walk.member(block.raw, self._visit, self._media, path, by),
                text=self._say(block.text, f"{path}.text", TEXT, by),
            )
        self._media.append(path)
        return msgspec.structs.replace(
            block,
            url=self._say(block.url, f"{path}.url", FIXED, by),
            extra=self.members(block.extra, path, by),
        )

    def tool(self, tool: Tool, path: str) -> Tool:
        return msgspec.structs.replace(
            tool,
            name=self._say(tool.name, f"{path}.name", WORD, ""),
            description=self._say(tool.description, f"{path}.description", TEXT, ""),
            schema=None if tool.schema is None else walk.schema(tool.schema, self._visit, f"{path}.schema"),
            extra=self.members(tool.extra, path),
        )

    def settings(self, settings: Settings) -> Settings:
        stop, choice, user, shape = settings.stop, settings.tool_choice, settings.user, settings.json_schema
        if choice is not None and choice.startswith(_CHOSEN):
            choice = _CHOSEN + self._say(choice.removeprefix(_CHOSEN), "settings.tool_choice", WORD, "")
        return msgspec.structs.replace(
            settings,
            stop=stop and [self._say(text, f"settings.stop[{at}]", TEXT, "") for at, text in enumerate(stop)],
            tool_choice=choice,
            json_schema=None if shape is None else walk.schema(shape, self._visit, "settings.json_schema"),
            json_schema_name=self._say(settings.json_schema_name, "settings.json_schema_name", WORD, ""),
            user=user and self._say(user, "settings.user", TEXT, ""),
        )

    def members(self, extra: Extra, path: str, by: str = "") -> Extra:
        """Undecoded members. Their own names are the dialect's, or unknown words that are visited too."""
        if not extra:
            return extra
        new: Extra = {}
        for name, raw in extra.items():
            where = f"{path}.{name}" if path else name
            walk.name(name, self._visit, where, by)
            new[name] = walk.member(raw, self._visit, self._media, where, by)
        return new

    def _say(self, text: str, path: str, form: str, by: str) -> str:
        return self._visit(Spot(path, text, form, by)) if text else text
