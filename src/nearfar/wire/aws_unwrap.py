"""Reads another wire's stream out of the messages of AWS's event stream, which cut it anywhere. It knows no dialect."""

from __future__ import annotations

from collections.abc import Callable

from nearfar.core.chat import Chunk
from nearfar.core.errors import NearfarError, StreamCut
from nearfar.wire.aws_event_stream import Message, Messages
from nearfar.wire.aws_failures import stream_failure
from nearfar.wire.base import Decoder


class Unwrapped:
    """One stream: ``inner`` reads what ``payload`` takes out of each event."""

    def __init__(self, inner: Decoder, payload: Callable[[Message], bytes]) -> None:
        self._inner = inner
        self._payload = payload
        self._messages = Messages()
        self._failure: NearfarError | None = None
        self._done = False

    def feed(self, data: bytes) -> list[Chunk]:
        """Chunks completed by ``data``. An error sent after them in the same bytes is raised by the next call."""
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        try:
            for message in self._messages.feed(data):
                chunks += self._read(message)
        except NearfarError as exc:
            if not chunks:
                raise
            self._failure = exc
        return chunks

    def close(self) -> list[Chunk]:
        """The upstream ended; raises StreamCut when half a message, or half of the stream inside, is left."""
        if self._failure is not None:
            raise self._failure
        if self._messages.flush() and not self._done:
            raise StreamCut("The upstream closed in the middle of its reply.")
        return self._inner.close()

    def _read(self, message: Message) -> list[Chunk]:
        if self._done:  # nothing counts after the end
            return []
        if message.header(":message-type") != "event":
            raise stream_failure(message)
        chunks = self._inner.feed(self._payload(message))
        self._done = any(chunk.end for chunk in chunks)
        return chunks
