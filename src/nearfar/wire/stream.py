"""Reads a stream piece by piece and holds it to its end: complete, cut, or in error. It knows no dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from nearfar.core.chat import Chunk
from nearfar.core.errors import NearfarError, StreamCut, UpstreamError

T = TypeVar("T")

MALFORMED = "malformed_event"
"""Code of the error for a piece that cannot be read; at the stream's end it means that the piece was cut."""


class Pieces(Protocol[T]):
    """Splits bytes into pieces: events or lines."""

    def feed(self, data: bytes) -> list[T]:
        """Pieces completed by ``data``."""
        ...

    def flush(self) -> list[T]:
        """The last piece, if the stream ended without closing it."""
        ...


def never() -> bool:
    """Only the terminal marker completes the stream."""
    return False


class StreamDecoder(Generic[T]):
    """One stream. ``read`` turns a piece into a chunk, or None for one that says nothing.

    The stream is complete after a chunk with ``end``, or, if it just stops, when ``complete`` says so.
    """

    def __init__(
        self, pieces: Pieces[T], read: Callable[[T], Chunk | None], complete: Callable[[], bool] = never
    ) -> None:
        self._pieces = pieces
        self._read = read
        self._complete = complete
        self._done = False
        self._failure: NearfarError | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        """Chunks completed by ``data``. An error sent after them in the same bytes is raised by the next call."""
        if self._failure is not None:
            raise self._failure
        return self._read_all(self._pieces.feed(data))

    def close(self) -> list[Chunk]:
        """The upstream ended; raises StreamCut when its reply is not complete."""
        if self._failure is not None:
            raise self._failure
        try:
            chunks = self._read_all(self._pieces.flush())
        except UpstreamError as exc:
            if exc.code != MALFORMED:
                raise
            raise StreamCut("The upstream closed in the middle of its reply.") from exc
        if self._done:
            return chunks
        if not self._complete():
            raise StreamCut("The upstream closed before its reply was complete.")
        chunks.append(Chunk(end=True))
        return chunks

    def _read_all(self, pieces: list[T]) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for piece in pieces:
                if self._done:  # nothing counts after the end
                    break
                chunk = self._read_one(piece)
                if chunk is not None:
                    chunks.append(chunk)
                    self._done = chunk.end
        except NearfarError as exc:
            if not chunks:
                raise
            self._failure = exc
        return chunks

    def _read_one(self, piece: T) -> Chunk | None:
        try:
            return self._read(piece)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            # Undecoded members are looked at late, and whatever is wrong with them is wrong with the upstream.
            raise UpstreamError("The upstream sent a piece that cannot be read.", code=MALFORMED) from exc
