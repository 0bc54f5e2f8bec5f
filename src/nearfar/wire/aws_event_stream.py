"""AWS's event stream framing, both ways: messages of typed headers and a payload, each with two checksums.

It knows no service: what a message means is its reader's business.

Source: the format's description in the Smithy specification, "Amazon Event Stream", and botocore 1.44's constants, read
2026-11-22. A message, big-endian::

    total length (4)  length of the headers (4)  CRC-32 of these eight bytes (4)
    headers: length of the name (1), name, type (1), value
    payload
    CRC-32 of all before it (4)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import msgspec

from nearfar.core.errors import NearfarError, UpstreamError

MAX_HEADERS = 128 * 1024
"""Bytes of headers in one message: the format's own limit."""

MAX_PAYLOAD = 24 * 1024 * 1024
"""Bytes of payload in one message: the format's own limit."""

Value = bool | int | str | bytes
"""A header's value. Timestamps are milliseconds since the epoch, UUIDs their 16 bytes."""

_PRELUDE = 12
_FRAME = 16
"""Bytes of a message without headers and payload."""

_STRING = 7
_NUMBERS = {2: struct.Struct("!b"), 3: struct.Struct("!h"), 4: struct.Struct("!i"), 5: struct.Struct("!q")}
_TIMESTAMP, _UUID = 8, 9
_KNOWN_HEADERS = 64
"""Header blocks that one decoder remembers: a stream repeats a handful of them for thousands of messages."""

_prelude = struct.Struct("!III")
_word = struct.Struct("!I")
_length = struct.Struct("!H")


class Message(msgspec.Struct, frozen=True):
    """One message. Half a message, left at the end of a stream, has no headers."""

    headers: Mapping[str, Value]
    payload: bytes
    raw: bytes = b""
    """The whole message as it came."""

    def header(self, name: str) -> str:
        """A header that is text; empty when it is absent or something else."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. AWS's services send headers of text alone. Raises ValueError for what does not fit the format."""
    block = b"".join(_encode_header(name, value) for name, value in headers.items())
    if len(block) > MAX_HEADERS or len(payload) > MAX_PAYLOAD:
        raise ValueError("the message is larger than its format allows")
    lengths = struct.pack("!II", _FRAME + len(block) + len(payload), len(block))
    body = b"%b%b%b%b" % (lengths, _word.pack(zlib.crc32(lengths)), block, payload)
    return body + _word.pack(zlib.crc32(body))


def event(kind: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """A message as AWS's services send an event."""
    headers = {":event-type": kind, ":content-type": content_type, ":message-type": "event"}
    return encode(headers, payload)


def exception(kind: str, payload: bytes) -> bytes:
    """A message as AWS's services send a modelled error in the middle of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, payload)


def _encode_header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    if not 0 < len(key) < 256 or len(text) > 0x7FFF:
        raise ValueError(f"the header {name[:40]!r} does not fit the format")
    return b"%c%b%c%b%b" % (len(key), key, _STRING, _length.pack(len(text)), text)


class Messages:
    """Collects bytes until a message is whole, and checks it."""

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        """``limit``: bytes one payload may have before its stream is given up."""
        self._limit = limit
        self._rest = bytearray()
        self._wanted = 0
        """Length of the message under way; 0 before its prelude has been read."""
        self._known: dict[bytes, Mapping[str, Value]] = {}
        self._failure: NearfarError | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Messages completed by ``data``. Raises UpstreamError for bytes that are none, or are too many.

        Messages before the fault are returned, and the next call raises: every split of the bytes gives the same.
        """
        if self._failure is not None:
            raise self._failure
        self._rest += data
        found: list[Message] = []
        try:
            while (message := self._take()) is not None:
                found.append(message)
        except UpstreamError as exc:
            self._failure = exc
            if not found:
                raise
        return found

    def flush(self) -> list[Message]:
        """The stream ended: what is left is half a message, or rubbish, which no reader takes for a whole one."""
        rest = bytes(self._rest)
        self._rest.clear()
        return [Message({}, rest, rest)] if rest else []

    def _take(self) -> Message | None:
        """The next whole message; None when bytes are missing."""
        rest = self._rest
        if not self._wanted:
            if len(rest) < _PRELUDE:
                return None
            self._wanted = self._read_prelude()
        if len(rest) < self._wanted:
            return None
        whole = bytes(rest[: self._wanted])
        del rest[: self._wanted]
        self._wanted = 0
        (checksum,) = _word.unpack_from(whole, len(whole) - 4)
        if zlib.crc32(memoryview(whole)[:-4]) != checksum:
            raise _corrupt("a message whose checksum is wrong")
        end = _PRELUDE + _word.unpack_from(whole, 4)[0]
        return Message(self._headers(whole[_PRELUDE:end]), whole[end:-4], whole)

    def _read_prelude(self) -> int:
        total, headers, checksum = _prelude.unpack_from(self._rest)
        if zlib.crc32(self._rest[:8]) != checksum:
            raise _corrupt("bytes that begin no message")
        if headers > MAX_HEADERS or total < _FRAME + headers:
            raise _corrupt("a message with impossible lengths")
        if total - headers - _FRAME > self._limit:
            message = f"The upstream sent an event of more than {self._limit} bytes."
            raise UpstreamError(message, code="event_too_large", hint="Its stream is broken, or not AWS's.")
        return int(total)

    def _headers(self, block: bytes) -> Mapping[str, Value]:
        known = self._known.get(block)
        if known is None:
            try:
                known = _read_headers(block)
            except (struct.error, IndexError, ValueError) as exc:
                raise _corrupt("a message whose headers cannot be read") from exc
            if len(self._known) < _KNOWN_HEADERS:
                self._known[block] = known
        return known


def _read_headers(block: bytes) -> dict[str, Value]:
    """The headers of one message; ValueError, IndexError or struct.error for what is none."""
    headers: dict[str, Value] = {}
    at = 0
    while at < len(block):
        end = at + 1 + block[at]
        name = _slice(block, at + 1, end).decode()
        if not name or name in headers:
            raise ValueError("a header without a name, or twice")
        headers[name], at = _read_value(block, end)
    return headers


def _read_value(block: bytes, at: int) -> tuple[Value, int]:
    kind = block[at]
    at += 1
    if kind in {0, 1}:
        return kind == 0, at
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        return int(number.unpack_from(block, at)[0]), at + number.size
    if kind in {6, _STRING}:
        end = at + 2 + _length.unpack_from(block, at)[0]
        value = _slice(block, at + 2, end)
        return (value.decode() if kind == _STRING else value), end
    if kind == _TIMESTAMP:
        return int(_NUMBERS[5].unpack_from(block, at)[0]), at + 8
    if kind == _UUID:
        return _slice(block, at, at + 16), at + 16
    raise ValueError(f"a header of the unknown type {kind}")


def _slice(block: bytes, start: int, end: int) -> bytes:
    if end > len(block):
        raise ValueError("a header that ends too early")
    return block[start:end]


def _corrupt(what: str) -> UpstreamError:
    hint = "Its stream is broken, or not AWS's."
    return UpstreamError(f"The upstream sent {what}.", code="corrupt_stream", hint=hint)
