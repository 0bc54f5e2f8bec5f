"""The lossless conversation that stands between unlike wires: ordered blocks, each with what it does not understand.

It belongs to no vendor: OpenAI's shape is one wire among others. ``extra`` holds members that this table has
no name for (``cache_control`` among them), undecoded, keyed by their name on the wire they came from.
"""

from __future__ import annotations

import msgspec

Extra = dict[str, msgspec.Raw]


class Text(msgspec.Struct, kw_only=True, tag="text"):
    """Visible text."""

    text: str
    extra: Extra = {}


class Media(msgspec.Struct, kw_only=True, tag="media"):
    """An image, a sound or a document, inline (``data``, base64) or elsewhere (``url``)."""

    kind: str
    """``image``, ``audio`` or ``document``."""
    mime: str = ""
    data: str = ""
    url: str = ""
    extra: Extra = {}


class ToolCall(msgspec.Struct, kw_only=True, tag="tool_call"):
    """The model asks for a tool. ``arguments`` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"
    extra: Extra = {}


class ToolResult(msgspec.Struct, kw_only=True, tag="tool_result"):
    """What a tool answered, addressed by the call's id."""

    id: str
    content: list[Text | Media | Opaque]
    error: bool = False
    name: str = ""
    extra: Extra = {}


class Reasoning(msgspec.Struct, kw_only=True, tag="reasoning"):
    """The model's reasoning with the vendor's signature; ``redacted`` for a block only the vendor can read."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    vendor: str = ""
    extra: Extra = {}


class Refusal(msgspec.Struct, kw_only=True, tag="refusal"):
    """The model declines."""

    text: str
    extra: Extra = {}


class Opaque(msgspec.Struct, kw_only=True, tag="opaque"):
    """A block only ``vendor`` understands, kept byte for byte."""

    vendor: str
    raw: msgspec.Raw
    text: str = ""
    """The same in plain words, for wires that do not know the block; empty when it has none."""


Block = Text | Media | ToolCall | ToolResult | Reasoning | Refusal | Opaque


class Message(msgspec.Struct, kw_only=True):
    """One turn. ``role`` is system, developer, user, assistant or tool."""

    role: str
    blocks: list[Block]
    name: str = ""
    extra: Extra = {}


class Tool(msgspec.Struct, kw_only=True):
    """A function the model may call; ``schema`` is its JSON Schema, undecoded; None when the client gave none."""

    name: str
    description: str = ""
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    vendor: str = ""
    """Whose tool it is when it has no name of its own: only its vendor knows what ``extra`` holds."""
    extra: Extra = {}


class Settings(msgspec.Struct, kw_only=True):
    """The generation settings that several wires share; None = the client said nothing."""

    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: list[str] | None = None
    choices: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tool_choice: str | None = None
    """``auto``, ``none``, ``required``, or ``tool:NAME``."""
    parallel_tools: bool | None = None
    json_schema: msgspec.Raw | None = None
    """The schema the answer must follow; ``json_mode`` for "any JSON"."""
    json_schema_name: str = ""
    json_schema_strict: bool | None = None
    json_mode: bool = False
    reasoning_effort: str | None = None
    user: str | None = None


class Conversation(msgspec.Struct, kw_only=True):
    """Everything a chat request says, in order."""

    messages: list[Message]
    tools: list[Tool] = []
    settings: Settings = msgspec.field(default_factory=Settings)
    extra: Extra = {}
    """Top-level members without a name here, from the client's wire."""
    deviations: tuple[str, ...] = ()
    """What the client said and no other wire has a word for, e.g. ``dropped:keep_alive``: told, whoever answers."""
