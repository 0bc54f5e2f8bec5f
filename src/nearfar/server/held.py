"""A reply kept back until it is known whether it is one. It knows no dialect."""

from __future__ import annotations

from nearfar.gateway.exchange import read_lines
from nearfar.server.http import Headers


class Held:
    """Stands where a client's connection would: see gateway.exchange.Out."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: Headers = []
        self.body = b""

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """The head."""
        self.status, self.headers = status, [*headers, *read_lines(lines)]

    async def write(self, data: bytes) -> None:
        """A piece of the body."""
        self.body += data

    async def end(self, data: bytes) -> None:
        """The last piece."""
        self.body += data

    async def abort(self) -> None:
        """It will not be whole."""
        self.status = 502
