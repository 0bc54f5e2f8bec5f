"""A position in an untrusted file that refuses to pass its end, and the error it raises. It knows no file format."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from nearfar.core.errors import EngineError

MAX_HEADER_BYTES = 128 * 1024 * 1024
"""A vocabulary of 256,000 tokens with its merges takes about 20 MB. This also bounds the time of a walk: seconds."""
_WINDOW = 1 << 18
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class ModelFileError(EngineError):
    """A model file that cannot be used; ``code`` says how it is wrong.

    An EngineError, not a BadRequestError: a request that meets a bad file asked nothing wrong, and another candidate
    may well answer it.
    """

    default_code = "model_file_invalid"


class Cursor:
    """A position in a file that refuses to pass its end. It holds one window of the file, never more."""

    def __init__(self, descriptor: int, size: int, path: Path) -> None:
        self.size = size
        self.path = path
        self._descriptor = descriptor
        self._window = b""
        self._start = 0  # of the window, in the file
        self._at = 0  # in the window

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    @property
    def left(self) -> int:
        """Bytes between the position and the end of the file."""
        return self.size - self.position

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; callers bound ``count``."""
        self._need(count)
        end = self._at + count
        if end > len(self._window):
            self._refill(count)
            end = count
        data = self._window[self._at : end]
        self._at = end
        return data

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes."""
        self._need(count)
        self._at += count

    def skip_strings(self, count: int) -> None:
        """Pass over ``count`` strings: the one loop whose speed matters, a vocabulary has 10^5 of them."""
        unpack = _U64.unpack_from
        while count:
            self._need(8 * count)
            if self._at + 8 > len(self._window):
                self._refill(8)
            window, at = self._window, self._at
            last = len(window) - 8
            while count and at <= last:
                at += 8 + unpack(window, at)[0]
                count -= 1
            self._at = at
            self._need(0)

    def u32(self) -> int:
        """A little-endian unsigned number of 4 bytes."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """A little-endian unsigned number of 8 bytes."""
        return int(_U64.unpack(self.take(8))[0])

    def text(self, limit: int) -> str | None:
        """A string, or None (skipped) if it is longer than ``limit`` bytes."""
        length = self.u64()
        if length > limit:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def malformed(self, what: str) -> ModelFileError:
        """The error for content that cannot be right."""
        return ModelFileError(
            f"{self.path} is damaged: {what} (near byte {self.position}).",
            code="gguf_malformed",
            hint="Fetch the file again and compare its checksum.",
        )

    def _need(self, count: int) -> None:
        """Refuse what lies beyond the end of the file, or beyond any sane header."""
        if count > self.left:
            raise ModelFileError(
                f"{self.path} is truncated or damaged: its header needs {self.position + count} bytes, "
                f"the file has {self.size}.",
                code="gguf_truncated",
                hint="Fetch the file again and compare its checksum.",
            )
        if self.position + count > MAX_HEADER_BYTES:
            raise self.malformed(f"its header is longer than {MAX_HEADER_BYTES} bytes")

    def _refill(self, count: int) -> None:
        """Move the window to the position, with at least ``count`` bytes in it."""
        self._start, self._at = self.position, 0
        self._window = os.pread(self._descriptor, min(max(_WINDOW, count), self.size - self._start), self._start)
        if len(self._window) < count:  # somebody cut the file while we read it
            raise ModelFileError(f"{self.path} changed while it was read.", code="gguf_truncated")
