"""What travels: the client's request, the chunks of a reply, and the tokens they used. No wire, no vendor."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one attempt. None means "not reported", which is not zero.

    ``input`` includes cached and cache-written tokens; ``output`` includes reasoning tokens.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    def updated(self, new: Usage) -> Usage:
        """What is known when ``new`` has come later: its counts, and these where it reports none."""
        return Usage(
            input=self.input if new.input is None else new.input,
            output=self.output if new.output is None else new.output,
            cached=self.cached if new.cached is None else new.cached,
            cache_write=self.cache_write if new.cache_write is None else new.cache_write,
            reasoning=self.reasoning if new.reasoning is None else new.reasoning,
        )


class Request(msgspec.Struct, kw_only=True):
    """The client's bytes, who sent them, and typed views on the few fields that decide.

    ``body`` is exactly what came; ``fields`` are its top-level members, each still undecoded,
    in the client's order. Strict parsing has found no duplicate key before a Request exists.
    """

    id: str
    wire: str
    """The client's dialect: ``openai.chat`` or ``openai.embeddings``."""
    operation: str
    """``chat`` or ``embeddings``: the OpenTelemetry GenAI operation name."""
    model: str
    body: bytes
    fields: dict[str, msgspec.Raw]
    stream: bool = False
    include_usage: bool = False
    """Whether the client itself asked for usage in the stream."""
    max_output: int | None = None
    """The client's own limit on output tokens per choice; None when it gave none."""
    choices: int = 1
    input_tokens: int = 0
    """An estimate, deliberately on the high side; the ledger records what the upstream reports."""
    needs: frozenset[str] = frozenset()
    """Capabilities the request uses: tools, images, audio, json_schema, logprobs, …"""
    elsewhere: tuple[tuple[str, str], ...] = ()
    """What it draws on beyond its own words: references to content held elsewhere and tools that the provider runs,
    each with the member that brings it in. No scan has seen it, and it is a further place: refused unless a policy
    names it."""
    wishes: frozenset[str] = frozenset()
    """Provider-run tools that it offers and can do without."""
    granted: frozenset[str] = frozenset()
    """Those of its wishes that the policy names: they travel, the others are left out and told of."""
    withheld: frozenset[str] = frozenset()
    """Members that are not its caller's to say: they are left out and told of."""
    caller: str = ""
    """Id of the caller's key; empty when the gateway runs without keys."""
    purpose: str = "serve"
    received: int = 0
    """When it came, in seconds since the epoch: rendered as ``created`` where the upstream states none."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers that are a part of what the client's dialect says (``anthropic-beta``), lower-case: they go where its
    bytes go as they came."""
    tell_cost: bool = False
    """Whether the client wants to be told what a stream cost, at its end (``x-nearfar-tell: cost``)."""
    priority: str = ""
    """Where it stands in a queue: ``high``, ``normal`` or ``low``; empty for what its route says."""
    client_retry: int = 0
    """How often the client's own SDK has already retried this request (``x-stainless-retry-count``)."""


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    """A piece of visible text of choice ``index``."""

    text: str
    index: int = 0


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal"):
    """A piece of a refusal."""

    text: str
    index: int = 0


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning"):
    """A piece of reasoning. ``block`` numbers the reasoning block it belongs to."""

    text: str
    index: int = 0
    block: int = 0


class ReasoningSeal(msgspec.Struct, frozen=True, tag="reasoning_seal"):
    """The vendor's signature over a reasoning block, or a block that is opaque altogether.

    It must come back to the vendor unmodified.
    """

    signature: str = ""
    redacted: str = ""
    index: int = 0
    block: int = 0
    vendor: str = ""
    """Who signed, where it is not Anthropic: ``google`` signs the whole turn, not one block."""


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call"):
    """A piece of a tool call: ``id`` and ``name`` in its first piece, JSON text of the arguments in any."""

    call: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0
    signature: str = ""
    """Google's signature over the thought that led to the call; it must come back with the call, unmodified."""


class LogprobsDelta(msgspec.Struct, frozen=True, tag="logprobs"):
    """Log-probabilities in OpenAI's chat shape, undecoded."""

    raw: msgspec.Raw
    index: int = 0


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Choice ``index`` ended. ``reason`` is OpenAI's word; ``native`` what the vendor said."""

    reason: str
    native: str = ""
    index: int = 0
    stop: str = ""
    """The stop sequence that was found, where the upstream says which."""


class EmbeddingsDelta(msgspec.Struct, frozen=True, tag="embeddings"):
    """Vectors, one list of floats per input, in input order."""

    vectors: list[list[float]]


Event = (
    TextDelta | RefusalDelta | ReasoningDelta | ReasoningSeal | ToolCallDelta | LogprobsDelta | Finish | EmbeddingsDelta
)


class Chunk(msgspec.Struct, kw_only=True):
    """A piece of a reply. A plain reply is one chunk.

    Between like wires only ``raw`` and the few facts beside it are filled; between unlike wires ``events``
    carry the content and ``raw`` keeps the bytes it came from.
    """

    raw: bytes = b""
    events: tuple[Event, ...] = ()
    usage: Usage | None = None
    finish: str = ""
    content: bool = False
    """It carries something a reader would see: the stream is healthy from here on."""
    end: bool = False
    """It carries the wire's terminal marker: the reply is complete."""
    model: str = ""
    """The model that the upstream says answered."""
    id: str = ""
    """The upstream's id of the reply."""
