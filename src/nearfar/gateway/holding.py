"""How many bytes of plain replies are in hand at one time, over all requests. It knows no request and no wire."""

from __future__ import annotations

from nearfar.core.errors import ReplyTooLarge

MOST = 256 * 1024 * 1024
"""Bytes, where nobody says."""


class Holding:
    """A plain reply is kept until it is whole: this bounds what all of them take together. Streams pass on."""

    def __init__(self, most: int = MOST) -> None:
        """``most``: bytes of all replies together."""
        self._most = most
        self.held = 0

    def take(self, size: int) -> int:
        """Add ``size`` bytes and return it. Raises ReplyTooLarge, and adds nothing, where they have no room."""
        held = self.held + size
        if held > self._most:
            raise ReplyTooLarge(
                f"The plain replies in hand would come to more than {self._most} bytes.",
                hint="Ask for a stream, or for less; server.max_reply_bytes is the bound of all replies together.",
            )
        self.held = held
        return size

    def give(self, size: int) -> None:
        """These bytes are no longer in hand."""
        self.held -= size
