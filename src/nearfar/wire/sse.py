"""Server-sent events, split from bytes that may be cut anywhere. It knows no dialect: ``data`` stays undecoded.

Source: the WHATWG HTML standard, section 9.2 "Server-sent events". Lines end with LF, CRLF or CR.
"""

from __future__ import annotations

from typing import NamedTuple

from nearfar.core.errors import UpstreamError

MAX_EVENT = 8 * 1024 * 1024
"""Bytes one event may have before its stream is given up."""

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event that carries data; comments, ids and retry times are left out."""

    name: str
    data: bytes
    raw: bytes
    """The event as ``data`` lines alone: harmless to every client, whatever its upstream sent around it."""


class Splitter:
    """Collects bytes until an event is whole."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._line = bytearray()
        self._name = ""
        self._data: list[bytes] = []
        self._data_size = 0
        self._after_cr = False
        self._first = True

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``. Raises UpstreamError for an event above the limit."""
        if not (self._line or self._data or self._name or self._after_cr):
            events = self._whole(data)
            if events is not None:
                return events
        return self._lines(data)

    def flush(self) -> list[Event]:
        """The stream ended: an event whose blank line is missing counts, if it has data."""
        if self._line:
            self._take(self._end_line(b""))
        return self._dispatch()

    def _whole(self, data: bytes) -> list[Event] | None:
        """The common case: only whole events of one ``data`` line each, named or not. None when it is not that."""
        if data[-2:] != b"\n\n" or b"\r" in data:
            return None
        if data.find(b"\n") == len(data) - 2 and data[:6] == b"data: " and 8 < len(data) <= self._limit:
            self._first = False
            return [Event("", data[6:-2], data)]
        events = []
        for block in data[:-2].split(b"\n\n"):
            name = ""
            if block[:7] == b"event: ":
                first, _, block = block.partition(b"\n")  # noqa: PLW2901  the rest is the event without its name
                name = first[7:].decode("utf-8", "replace")
            if block[:6] != b"data: " or not 6 < len(block) <= self._limit or b"\n" in block:
                return None
            events.append(Event(name, block[6:], block + b"\n\n"))
        self._first = False
        return events

    def _lines(self, data: bytes) -> list[Event]:
        if not data:
            return []
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
        self._after_cr = data[-1:] == b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *ended, rest = data.split(b"\n")
        events: list[Event] = []
        for piece in ended:
            line = self._end_line(piece) if self._line else piece
            if line:
                self._take(line)
            else:
                events += self._dispatch()
        if rest:
            self._line += rest
            self._check(len(self._line))
        return events

    def _end_line(self, piece: bytes) -> bytes:
        line = bytes(self._line + piece)
        self._line.clear()
        return line

    def _take(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
            self._check(self._data_size)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")

    def _check(self, size: int) -> None:
        if size > self._limit:
            message = f"The upstream sent an event of more than {self._limit} bytes."
            raise UpstreamError(
                message, code="event_too_large", hint="Its stream is broken, or not server-sent events."
            )

    def _dispatch(self) -> list[Event]:
        name, data = self._name, self._data
        self._name, self._data, self._data_size = "", [], 0
        if not data or (len(data) == 1 and not data[0]):
            return []
        raw = b"".join(b"data: %b\n" % line for line in data) + b"\n"
        return [Event(name, b"\n".join(data), raw)]
