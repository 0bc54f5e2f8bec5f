"""Read the header of a GGUF file without trusting it. It knows no engine, loads no weights and stores no token lists.

Every count and length in the file is checked against what is left of the file before anything is read or allocated
for it, so a hostile or damaged file costs at most a walk over its own bytes. Format: little-endian GGUF 2 and 3, as in
ggml's ``docs/gguf.md``.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import msgspec

from nearfar.engine.cursor import Cursor, ModelFileError
from nearfar.engine.gguf_types import EMBEDDING_ARCHITECTURES, FILE_TYPES, POOLING, REPACKED, TENSOR_TYPES
from nearfar.engine.header import Header

_MAX_KEY = 65_535  # the format's own limit
_MAX_TEXT = 4_096  # of the few texts that are kept
_MAX_NUMBERS = 1_024  # of the few number lists that are kept: one per layer
_MAX_NUMBER = 1 << 31
_MAX_KEPT = 64
_MAX_DIMENSIONS = 4

_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING = 8
_ARRAY = 9

_TEXTS = frozenset({"general.architecture", "general.name", "general.type", "tokenizer.ggml.model"})
_NUMBERS = frozenset({"general.alignment", "general.file_type", "split.count", "split.no", "split.tensors.count"})
_OF_ARCHITECTURE = frozenset(
    {
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.sliding_window",
        "attention.value_length",
        "block_count",
        "context_length",
        "embedding_length",
        "expert_count",
        "expert_feed_forward_length",
        "expert_used_count",
        "feed_forward_length",
        "pooling_type",
        "vocab_size",
    }
)
_TOKENS = "tokenizer.ggml.tokens"
_TEMPLATE = "tokenizer.chat_template"

Value = int | str | tuple[int, ...]


class TensorSums(msgspec.Struct, frozen=True):
    """Sums over the tensor table."""

    end: int
    bytes: int
    repacked: int
    parameters: int
    commonest: str
    vocabulary: int
    experts: int
    """Parameters of tensors that hold all experts of a layer."""


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """What one file says, before it is understood as a model: the later parts of a split model name no architecture."""

    path: Path
    version: int
    values: dict[str, Value]
    tensors: TensorSums
    tensor_count: int
    has_template: bool
    file_bytes: int


def read_header(path: Path) -> Header:
    """The header of the GGUF file at ``path``. Raises ModelFileError and nothing else."""
    return header_of(walk(path))


def walk(path: Path) -> Walked:
    """Walk over the header of the GGUF file at ``path``. Raises ModelFileError and nothing else."""
    try:
        # Not blocking: opening a named pipe must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ModelFileError(f"{path} cannot be opened: {reason}.", code="model_file_unreadable") from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path} is not a file.", code="model_file_unreadable")
        return _read(Cursor(descriptor, status.st_size, path))
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror}.", code="model_file_unreadable") from exc
    finally:
        os.close(descriptor)


def _read(cursor: Cursor) -> Walked:
    """The recipe: preamble, metadata, tensor table, extents."""
    version, tensor_count, value_count = _preamble(cursor)
    values, has_template = _metadata(cursor, value_count)
    tensors = _tensor_table(cursor, tensor_count)
    alignment = _alignment(cursor, values)
    data_start = -(-cursor.position // alignment) * alignment
    needed = data_start + tensors.end
    if tensor_count and needed > cursor.size:
        raise ModelFileError(
            f"{cursor.path} is truncated: its header says {needed} bytes, the file has {cursor.size}.",
            code="gguf_truncated",
            hint="Fetch the file again and compare its checksum.",
        )
    if tensors.bytes > cursor.size - data_start and tensor_count:
        raise cursor.malformed("its tensors overlap")
    return Walked(
        path=cursor.path,
        version=version,
        values=values,
        tensors=tensors,
        tensor_count=tensor_count,
        has_template=has_template,
        file_bytes=cursor.size,
    )


def _preamble(cursor: Cursor) -> tuple[int, int, int]:
    """Version and the counts of tensors and values."""
    if cursor.size < 24 or cursor.take(4) != b"GGUF":
        raise ModelFileError(
            f"{cursor.path} is not a GGUF file.",
            code="not_gguf",
            hint="nearfar runs GGUF files, folders with safetensors, and folders made for ONNX Runtime GenAI.",
        )
    version = cursor.u32()
    if version not in {2, 3}:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        what = f"big-endian GGUF {swapped}" if swapped in {2, 3} else f"GGUF version {version}"
        raise ModelFileError(
            f"{cursor.path} is {what}, which this release cannot read.",
            code="gguf_version",
            hint="Use a little-endian file of GGUF version 2 or 3.",
        )
    tensor_count, value_count = cursor.u64(), cursor.u64()
    # The smallest value takes 13 bytes (empty key, type, one byte), the smallest tensor 24.
    if value_count * 13 + tensor_count * 24 > cursor.left:
        raise ModelFileError(
            f"{cursor.path} is truncated or damaged: it announces {value_count} values and {tensor_count} tensors, "
            f"but has only {cursor.left} bytes left for them.",
            code="gguf_truncated",
            hint="Fetch the file again and compare its checksum.",
        )
    return version, tensor_count, value_count


def _metadata(cursor: Cursor, count: int) -> tuple[dict[str, Value], bool]:
    """The few values that matter, and whether there is a chat template."""
    kept: dict[str, Value] = {}
    has_template = False
    for _ in range(count):
        key = cursor.text(_MAX_KEY)
        if key is None:
            raise cursor.malformed("a key is longer than the format allows")
        if key in kept:
            raise cursor.malformed(f"{key} occurs twice")
        before = cursor.position
        value = _value(cursor, key)
        if key == _TEMPLATE:
            has_template = cursor.position - before > 12  # more than its type and length: not empty
        if value is not None:
            if len(kept) >= _MAX_KEPT:
                raise cursor.malformed("it describes too many architectures")
            kept[key] = value
    return kept, has_template


def _value(cursor: Cursor, key: str) -> Value | None:
    """Pass over one value; returns it if it is among those that are kept."""
    kind = cursor.u32()
    wanted = key in _NUMBERS or key.partition(".")[2] in _OF_ARCHITECTURE
    if kind == _STRING:
        limit = _MAX_TEXT if key in _TEXTS else -1
        text = cursor.text(limit)
        if wanted:
            raise cursor.malformed(f"{key} is not a number")
        return text
    if kind == _ARRAY:
        return _array(cursor, key, wanted=wanted)
    scalar = _SCALARS.get(kind)
    if scalar is None:
        raise cursor.malformed(f"{key} has the unknown type {kind}")
    if key in _TEXTS or key == _TEMPLATE:
        raise cursor.malformed(f"{key} is not a text")
    if not wanted:
        cursor.skip(scalar.size)
        return None
    return _natural(cursor, key, scalar.unpack(cursor.take(scalar.size))[0])


def _array(cursor: Cursor, key: str, *, wanted: bool) -> Value | None:
    """Pass over a list; returns its numbers if wanted, and of the vocabulary its length."""
    kind, count = cursor.u32(), cursor.u64()
    if kind == _STRING:
        cursor.skip_strings(count)
        if wanted:
            raise cursor.malformed(f"{key} is not a number")
        return count if key == _TOKENS else None
    scalar = _SCALARS.get(kind)
    if scalar is None:
        raise cursor.malformed(f"{key} is a list of the unknown type {kind}")
    if not wanted:
        cursor.skip(count * scalar.size)
        return None
    if count > _MAX_NUMBERS:
        raise cursor.malformed(f"{key} has {count} numbers")
    data = cursor.take(count * scalar.size)
    return tuple(_natural(cursor, key, item[0]) for item in scalar.iter_unpack(data))


def _natural(cursor: Cursor, key: str, number: object) -> int:
    if not isinstance(number, int) or not 0 <= number <= _MAX_NUMBER:
        raise cursor.malformed(f"{key} is {number}, not a sensible natural number")
    return int(number)


def _alignment(cursor: Cursor, values: dict[str, Value]) -> int:
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise cursor.malformed(f"its alignment is {alignment}")
    return alignment


def _tensor_table(cursor: Cursor, count: int) -> TensorSums:
    """Walk the tensor table: sizes, extents, and which type holds most bytes."""
    end = total = repacked = parameters = vocabulary = experts = 0
    by_type: dict[int, int] = {}
    for _ in range(count):
        name = cursor.text(_MAX_KEY)
        dimension_count = cursor.u32()
        if name is None or dimension_count > _MAX_DIMENSIONS:
            raise cursor.malformed("an entry of its tensor table is too large")
        dimensions = [cursor.u64() for _ in range(dimension_count)]
        kind, offset = cursor.u32(), cursor.u64()
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        known = TENSOR_TYPES.get(kind)
        size = 0
        if known is None and elements > 8 * cursor.size:  # even at one bit each
            raise cursor.malformed(f"tensor {name[:80]} is larger than the file")
        if known is not None:
            if dimensions and dimensions[0] % known.block:
                raise cursor.malformed(f"tensor {name[:80]} does not fill its blocks of {known.block}")
            size = elements // known.block * known.bytes
            by_type[kind] = by_type.get(kind, 0) + size
            repacked += size if known.name in REPACKED else 0
        end = max(end, offset + size)
        total += size
        parameters += elements
        experts += elements if "_exps." in name else 0
        if name == "token_embd.weight" and dimension_count == 2:
            vocabulary = dimensions[1]
    commonest = TENSOR_TYPES[max(by_type, key=lambda kind: by_type[kind])].name if by_type else ""
    return TensorSums(end, total, repacked, parameters, commonest, vocabulary, experts)


def damaged(path: Path, what: str) -> ModelFileError:
    """The error for a file whose content cannot be right."""
    hint = "Fetch the file again and compare its checksum."
    return ModelFileError(f"{path} is damaged: {what}.", code="gguf_malformed", hint=hint)


def header_of(walked: Walked) -> Header:
    """What the walked file says about its model. Raises ModelFileError."""
    values, tensors = walked.values, walked.tensors
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise damaged(walked.path, "it names no architecture")

    def numbers(key: str) -> tuple[int, ...]:
        value = values.get(f"{architecture}.{key}", ())
        return value if isinstance(value, tuple) else (int(value),)

    def number(key: str) -> int:
        return max(numbers(key), default=0)

    def text(key: str) -> str:
        return str(values.get(key, ""))

    heads, width = number("attention.head_count"), number("embedding_length")
    head = width // heads if heads else 0
    pooling = POOLING.get(number("pooling_type"), "") if numbers("pooling_type") else ""
    file_type = values.get("general.file_type", -1)
    label = FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else ""
    parts = values.get("split.count", 1)
    tokens = values.get(_TOKENS, 0)
    experts = number("expert_used_count") * number("expert_feed_forward_length")
    return Header(
        architecture=architecture,
        name=text("general.name"),
        kind=text("general.type") or "model",
        version=walked.version,
        parts=max(1, parts) if isinstance(parts, int) else 1,
        file_bytes=walked.file_bytes,
        tensor_bytes=tensors.bytes,
        repacked_bytes=tensors.repacked,
        tensors=walked.tensor_count,
        parameters=tensors.parameters,
        quantization=label or tensors.commonest,
        context_length=number("context_length"),
        layers=number("block_count"),
        embedding_length=width,
        feed_forward=max(number("feed_forward_length"), experts),
        heads=heads,
        kv_heads=numbers("attention.head_count_kv") or ((heads,) if heads else ()),
        key_length=number("attention.key_length") or head,
        value_length=number("attention.value_length") or head,
        sliding_window=number("attention.sliding_window"),
        experts=number("expert_count"),
        experts_used=number("expert_used_count"),
        expert_feed_forward=number("expert_feed_forward_length"),
        expert_parameters=tensors.experts,
        vocabulary=number("vocab_size") or (tokens if isinstance(tokens, int) else 0) or tensors.vocabulary,
        tokenizer=text("tokenizer.ggml.model"),
        pooling=pooling,
        embedding=architecture in EMBEDDING_ARCHITECTURES or pooling in {"mean", "cls", "last"},
        has_chat_template=walked.has_template,
    )
