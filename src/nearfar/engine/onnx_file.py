"""Reads of an ONNX file where its weights lie, without trusting it. It knows no engine and loads no weights.

An ONNX file is one protocol buffer. The walk passes over everything but the names of external files, which must lie
beside it. Field numbers: onnx.proto of ONNX 1.23 (ModelProto.graph 7, GraphProto.initializer 5,
TensorProto.data_type 2 and external_data 13, StringStringEntryProto 1 and 2), 2026-11.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.folder_files import file_bytes, open_file, plain_name

_MAX_GRAPH = 1 << 31
"""Bytes: protocol buffers end there."""
_MAX_TEXT = 4096
_MAX_FILES = 64
_WINDOW = 1 << 16
_HALF = frozenset({10, 16})
"""TensorProto.data_type: FLOAT16, BFLOAT16."""
_PATHS = frozenset({(), (7,), (7, 5), (7, 5, 13)})
"""The nested messages that are walked into."""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the file."""

    external: frozenset[str]
    """Names of the files beside it that hold weights."""
    initializers: int
    half: bool = False
    """Whether weights are 16-bit floats, which the CPU has to widen."""


class _Entry(msgspec.Struct):
    key: str = ""
    value: str = ""


class _Walk:
    """A position in the file, and what was found so far."""

    def __init__(self, descriptor: int, size: int, path: Path) -> None:
        self._descriptor = descriptor
        self._size = size
        self._path = path
        self._window = b""
        self._start = 0
        self.at = 0
        self.initializers = 0
        self.half = False
        self.external: dict[str, int] = {}
        """File → bytes it must have."""

    def message(self, end: int, path: tuple[int, ...]) -> None:
        """Walk over the fields of one message, up to ``end``."""
        while self.at < end:
            tag = self._varint()
            field, kind = tag >> 3, tag & 7
            if kind == 0:
                self._varint()
            elif kind == 2:
                length = self._varint()
                inner = self.at + length
                if inner > end:
                    raise self._malformed("a part is longer than the whole")
                self._part((*path, field), inner)
                self.at = inner
            elif kind in {1, 5}:
                self.at += 8 if kind == 1 else 4
            else:
                raise self._malformed(f"it has a field of the unknown kind {kind}")
        if self.at != end:
            raise self._malformed("a part is longer than the whole")

    def _part(self, path: tuple[int, ...], end: int) -> None:
        if path == (7, 5):
            self.initializers += 1
            found: dict[str, str] = {}
            self._initializer(end, found)
            self._note(found)
        elif path in _PATHS:
            self.message(end, path)

    def _initializer(self, end: int, found: dict[str, str]) -> None:
        """A tensor: only its external data are of interest."""
        while self.at < end:
            tag = self._varint()
            field, kind = tag >> 3, tag & 7
            if kind == 0:
                value = self._varint()
                self.half |= field == 2 and value in _HALF
                continue
            length = self._varint() if kind == 2 else {1: 8, 5: 4}.get(kind, -1)
            inner = self.at + length
            if length < 0 or inner > end:
                raise self._malformed("a tensor is longer than its place")
            if field == 13 and kind == 2:
                entry = self._entry(inner)
                found[entry.key] = entry.value
            self.at = inner

    def _entry(self, end: int) -> _Entry:
        entry = _Entry()
        while self.at < end:
            tag = self._varint()
            length = self._varint()
            if tag & 7 != 2 or length > min(_MAX_TEXT, end - self.at):
                raise self._malformed("the place of a tensor is no text")
            text = self._take(length).decode("utf-8", "replace")
            if tag >> 3 == 1:
                entry.key = text
            elif tag >> 3 == 2:
                entry.value = text
        return entry

    def _note(self, found: dict[str, str]) -> None:
        if not found:
            return
        name = found.get("location", "")
        if not plain_name(name):
            raise self._malformed(f"it has weights outside its folder ({name[:80]!r})")
        offset, length = (found.get(key) or "0" for key in ("offset", "length"))
        if not (offset.isdecimal() and length.isdecimal() and len(offset + length) < 40):
            raise self._malformed("the place of a tensor is no number")
        self.external[name] = max(self.external.get(name, 0), int(offset) + int(length))
        if len(self.external) > _MAX_FILES:
            raise self._malformed("its weights lie in too many files")

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise self._malformed("a number does not end")

    def _take(self, count: int) -> bytes:
        if self.at + count > self._size:
            raise self._malformed("it ends too early")
        begin = self.at - self._start
        if not 0 <= begin <= len(self._window) - count:
            self._start, begin = self.at, 0
            self._window = os.pread(self._descriptor, max(_WINDOW, count), self.at)
            if len(self._window) < count:
                raise self._malformed("it changed while it was read")
        self.at += count
        return self._window[begin : begin + count]

    def _malformed(self, what: str) -> ModelFileError:
        hint = "Fetch the folder again."
        return ModelFileError(
            f"{self._path} is damaged: {what} (near byte {self.at}).", code="onnx_malformed", hint=hint
        )


def read_graph(path: Path) -> Graph:
    """Where the weights of the ONNX file at ``path`` lie. Raises ModelFileError and nothing else."""
    descriptor, size = open_file(path)
    try:
        walk = _Walk(descriptor, size, path)
        if size > _MAX_GRAPH:
            raise ModelFileError(f"{path} is larger than an ONNX file can be.", code="onnx_malformed")
        walk.message(size, ())
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror}.", code="model_file_unreadable") from exc
    finally:
        os.close(descriptor)
    if not walk.initializers:
        raise ModelFileError(f"{path} holds no weights.", code="onnx_malformed", hint="Fetch the folder again.")
    for name, needed in walk.external.items():
        if file_bytes(path.with_name(name)) < needed:
            raise ModelFileError(
                f"{path.with_name(name)} is truncated: {needed} bytes are needed.",
                code="onnx_truncated",
                hint="Fetch the file again and compare its checksum.",
            )
    return Graph(external=frozenset(walk.external), initializers=walk.initializers, half=walk.half)
