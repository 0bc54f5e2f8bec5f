"""Reads the header of a safetensors file without trusting it: names, types, shapes, extents. It loads no weights.

Every number is checked against the file's size before anything relies on it. Format: an unsigned little-endian number
of 8 bytes, a JSON object of so many bytes, then the tensors without a gap (the safetensors README, as of 2026-10).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import msgspec

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.folder_files import open_file

MAX_HEADER = 100_000_000
"""Bytes: the format's own limit."""
_LENGTH = struct.Struct("<Q")
_METADATA = "__metadata__"
_MAX_DIMENSIONS = 8

BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}


class Tensors(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the tensors of one file."""

    file_bytes: int
    bytes: int
    parameters: int
    by_type: dict[str, int]
    """Type → bytes."""
    names: frozenset[str]


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_tensor = msgspec.json.Decoder(_Tensor).decode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode


def read_tensors(path: Path) -> Tensors:
    """What the file at ``path`` holds. Raises ModelFileError and nothing else."""
    descriptor, size = open_file(path)
    try:
        length = _announced(path, descriptor, size)
        data = os.pread(descriptor, length, 8)
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror}.", code="model_file_unreadable") from exc
    finally:
        os.close(descriptor)
    if len(data) < length:
        raise ModelFileError(f"{path} changed while it was read.", code="safetensors_truncated")
    return _sum(path, data, size, size - 8 - length)


def header_bytes(path: Path) -> int:
    """Where the tensors of the file at ``path`` begin. Raises ModelFileError."""
    descriptor, size = open_file(path)
    try:
        return 8 + _announced(path, descriptor, size)
    finally:
        os.close(descriptor)


def _announced(path: Path, descriptor: int, size: int) -> int:
    head = os.pread(descriptor, 8, 0)
    length: int = _LENGTH.unpack(head)[0] if len(head) == 8 else 0
    if not 2 <= length <= min(MAX_HEADER, size - 8):
        raise ModelFileError(
            f"{path} is no safetensors file, or truncated: it announces a header of {length} bytes and has {size}.",
            code="safetensors_truncated",
            hint="Fetch the file again and compare its checksum.",
        )
    return length


def _sum(path: Path, data: bytes, size: int, room: int) -> Tensors:
    """``room``: bytes behind the header."""
    try:
        raw = _decode(data)
        _decode_metadata(raw.pop(_METADATA, b"{}"))
        tensors = {name: _decode_tensor(value) for name, value in raw.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _malformed(path, f"its header is not what the format says ({exc})") from exc
    by_type: dict[str, int] = {}
    extents: list[tuple[int, int]] = []
    parameters = 0
    for name, tensor in tensors.items():
        begin, end = tensor.data_offsets
        elements = _elements(path, name, tensor)
        if BITS[tensor.dtype] * elements != 8 * (end - begin) or not 0 <= begin <= end:
            raise _malformed(path, f"the extent of {name[:80]!r} does not fit its shape")
        parameters += elements
        by_type[tensor.dtype] = by_type.get(tensor.dtype, 0) + end - begin
        extents.append((begin, end))
    expected = 0
    for begin, end in sorted(extents):
        if begin != expected:
            raise _malformed(path, "its tensors overlap or leave a gap")
        expected = end
    if expected != room:
        raise ModelFileError(
            f"{path} is truncated or damaged: its tensors take {expected} bytes, the file has {room} for them.",
            code="safetensors_truncated",
            hint="Fetch the file again and compare its checksum.",
        )
    return Tensors(file_bytes=size, bytes=room, parameters=parameters, by_type=by_type, names=frozenset(tensors))


def _elements(path: Path, name: str, tensor: _Tensor) -> int:
    if tensor.dtype not in BITS:
        raise _malformed(path, f"{name[:80]!r} has the unknown type {tensor.dtype[:20]!r}")
    if len(tensor.shape) > _MAX_DIMENSIONS or any(side < 0 for side in tensor.shape):
        raise _malformed(path, f"{name[:80]!r} has an impossible shape")
    elements = 1
    for side in tensor.shape:
        elements *= side
    return elements


def _malformed(path: Path, what: str) -> ModelFileError:
    hint = "Fetch the file again and compare its checksum."
    return ModelFileError(f"{path} is damaged: {what}.", code="safetensors_malformed", hint=hint)


def common_type(by_type: dict[str, int]) -> str:
    """The type that holds most bytes; empty when there is none."""
    return max(by_type, key=lambda name: by_type[name]) if by_type else ""
