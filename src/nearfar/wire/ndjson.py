"""Lines of newline-delimited JSON, split from bytes that may be cut anywhere. It knows no dialect."""

from __future__ import annotations

from nearfar.core.errors import UpstreamError

MAX_LINE = 8 * 1024 * 1024
"""Bytes one line may have before its stream is given up."""


class Lines:
    """Collects bytes until a line is whole. Blank lines are left out."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Lines completed by ``data``. Raises UpstreamError for a line above the limit."""
        *whole, rest = data.split(b"\n")
        if whole and self._rest:
            whole[0] = bytes(self._rest + whole[0])
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > self._limit:
            message = f"The upstream sent a line of more than {self._limit} bytes."
            raise UpstreamError(message, code="event_too_large", hint="Its stream is broken, or not JSON lines.")
        return [line for line in whole if line.strip()]

    def flush(self) -> list[bytes]:
        """The stream ended: a last line may lack its newline."""
        rest = bytes(self._rest)
        self._rest.clear()
        return [rest] if rest.strip() else []
