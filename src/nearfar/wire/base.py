"""The contract of a wire, in one short file. It knows no vendor, no socket and no configuration.

A wire has two sides. Towards a client: ``parse`` bytes into a Request, ``render`` chunks into bytes.
Towards a provider: ``encode`` a Request for a deployment, ``decode`` the reply into chunks, map errors.
Both sides are optional: Anthropic's messages are, for now, spoken to providers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from nearfar.core.chat import Chunk, Request
from nearfar.core.conversation import Conversation
from nearfar.core.errors import NearfarError
from nearfar.core.routing import Deployment


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What will be sent: ``path`` is appended to the deployment's base URL."""

    method: str = "POST"
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes
    deviations: tuple[str, ...] = ()
    """What the encoder had to change or leave out, e.g. ``dropped:seed``; shown to the client and the ledger."""
    context: int | None = None
    """Tokens of context it asks the runtime for; None where a request says nothing about that."""


class Decoder(Protocol):
    """Turns the bytes of one reply into chunks; one object per reply, stream or plain."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Chunks completed by ``data``. Raises a NearfarError for an error sent inside the stream.

        When whole chunks came before the error in the same bytes, they are returned and the next call raises.
        """
        ...

    def close(self) -> list[Chunk]:
        """The upstream ended. Returns what was held back; raises StreamCut if the reply is incomplete."""
        ...


class Renderer(Protocol):
    """Turns chunks into the client's bytes; one object per reply."""

    content_type: str

    def render(self, chunk: Chunk) -> bytes:
        """Bytes for the client now; empty when there is nothing to say yet."""
        ...

    def finish(self) -> bytes:
        """The clean ending: the terminal marker of a stream, or the whole body of a plain reply."""
        ...

    def error(self, error: NearfarError) -> bytes:
        """The dialect's error event: what a stream gets instead of a clean ending."""
        ...

    def keep_alive(self) -> bytes:
        """Harmless bytes while the client waits; empty where the dialect tolerates none."""
        ...

    def note(self, text: str) -> bytes:
        """A remark beside the reply, for what could not be told in a header any more; ``text`` is one ASCII line.

        Empty where the dialect tolerates none.
        """
        ...


class ClientWire(msgspec.Struct, frozen=True, kw_only=True):
    """The client-facing side of a wire."""

    name: str
    parse: Callable[[bytes, str], Request]
    """(body, request id) → Request. Raises BadRequestError."""
    renderer: Callable[[Request, bool], Renderer]
    """(request, like) → Renderer. ``like``: the chunks' ``raw`` is already in this wire."""
    conversation: Callable[[Request], Conversation] | None = None
    """The request as a Conversation; needed for unlike wires. Raises BadRequestError."""
    error: Callable[[NearfarError, str], bytes]
    """(error, request id) → a whole error body."""


class ProviderWire(msgspec.Struct, frozen=True, kw_only=True):
    """The provider-facing side of a wire."""

    name: str
    like: frozenset[str] = frozenset()
    """Client wires whose bytes may travel as they came."""
    operations: frozenset[str] = frozenset({"chat"})
    encode: Callable[[Request, Deployment, Conversation | None], Outgoing]
    """(request, deployment, conversation or None when like) → Outgoing.
    Raises BadRequestError (code ``unsupported``) for what the target cannot do and must not lose."""
    decoder: Callable[[Request, bool], Decoder]
    """(request, typed) → Decoder. ``typed``: fill ``events``, because the client's wire is another one."""
    error: Callable[[int, Mapping[str, str], bytes], NearfarError]
    """(status, lower-case headers, body) → the error it stands for."""
    unsigned: Callable[[bytes], bytes] | None = None
    """An encoded body without the signatures that the upstream refused with SignatureRefused; the very same object
    where there are none. None: the wire knows no such refusal."""
