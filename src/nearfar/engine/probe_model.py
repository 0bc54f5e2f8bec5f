"""Writes a model of meaningless weights, large enough to measure memory with. It runs nothing.

Its answers are noise; what matters is that a token reads a known number of bytes: more than processors' caches hold.
Format: GGUF 3 as in ggml's ``docs/gguf.md``, October 2026; the architecture is ``llama``, the weights are Q8_0.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

_F32, _Q8_0 = 0, 8
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9
_ALIGN = 32
_HEAD = 64
_CHUNK = 1 << 15
"""Blocks that are written at once."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of the model."""

    layers: int = 8
    hidden: int = 2048
    ffn: int = 5632
    heads: int = 32
    kv_heads: int = 4
    context: int = 1024

    @property
    def matrices(self) -> list[tuple[str, int, int]]:
        """(name, columns, rows) of every matrix, in the order of the file."""
        kept = self.kv_heads * _HEAD
        made = [("token_embd.weight", self.hidden, len(_tokens())), ("output.weight", self.hidden, len(_tokens()))]
        for layer in range(self.layers):
            for part, columns, rows in (
                ("attn_q", self.hidden, self.hidden),
                ("attn_k", self.hidden, kept),
                ("attn_v", self.hidden, kept),
                ("attn_output", self.hidden, self.hidden),
                ("ffn_gate", self.hidden, self.ffn),
                ("ffn_up", self.hidden, self.ffn),
                ("ffn_down", self.ffn, self.hidden),
            ):
                made.append((f"blk.{layer}.{part}.weight", columns, rows))
        return made

    @property
    def parameters(self) -> int:
        """That compute one token: all matrices but the table that tokens are looked up in."""
        return sum(columns * rows for _, columns, rows in self.matrices[1:])

    @property
    def read_bytes(self) -> int:
        """Bytes that one token reads."""
        return self.parameters * 34 // 32


def write_probe(path: Path, probe: Probe) -> int:
    """Write the model to ``path``; its size in bytes. Raises OSError."""
    vectors = ["output_norm.weight"]
    vectors += [f"blk.{layer}.{norm}.weight" for layer in range(probe.layers) for norm in ("attn_norm", "ffn_norm")]
    with path.open("wb") as file:
        file.write(_head(probe, vectors))
        _pad(file)
        for _ in vectors:
            file.write(struct.pack("<f", 1.0) * probe.hidden)
            _pad(file)
        chunk = _blocks(_CHUNK)
        for _, columns, rows in probe.matrices:
            left = columns * rows // 32
            while left:
                count = min(left, _CHUNK)
                file.write(chunk[: count * 34])
                left -= count
            _pad(file)
        return file.tell()


def _blocks(count: int) -> bytes:
    """``count`` blocks: a small scale, then 32 numbers. Seeded, so that the file is always the same."""
    source = random.Random(7)  # noqa: S311 (noise, not a secret)
    scale = struct.pack("<e", 2e-4)
    return b"".join(scale + source.randbytes(32) for _ in range(count))


def _head(probe: Probe, vectors: list[str]) -> bytes:
    values = list(_values(probe))
    matrices = probe.matrices
    made = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(vectors) + len(matrices), len(values)))
    for value in values:
        made += value
    offset = 0
    for name in vectors:
        made += _text(name) + struct.pack("<IQIQ", 1, probe.hidden, _F32, offset)
        offset += _aligned(4 * probe.hidden)
    for name, columns, rows in matrices:
        made += _text(name) + struct.pack("<IQQIQ", 2, columns, rows, _Q8_0, offset)
        offset += _aligned(columns * rows // 32 * 34)
    return bytes(made)


def _values(probe: Probe) -> Iterator[bytes]:
    def number(key: str, value: int) -> bytes:
        return _text(key) + struct.pack("<II", _UINT32, value)

    def text(key: str, value: str) -> bytes:
        return _text(key) + struct.pack("<I", _STRING) + _text(value)

    def array(key: str, kind: int, items: list[bytes]) -> bytes:
        return _text(key) + struct.pack("<IIQ", _ARRAY, kind, len(items)) + b"".join(items)

    tokens = _tokens()
    yield text("general.architecture", "llama")
    yield text("general.name", "nearfar probe: meaningless weights, for measuring")
    yield number("general.file_type", 7)
    yield number("llama.context_length", probe.context)
    yield number("llama.embedding_length", probe.hidden)
    yield number("llama.block_count", probe.layers)
    yield number("llama.feed_forward_length", probe.ffn)
    yield number("llama.attention.head_count", probe.heads)
    yield number("llama.attention.head_count_kv", probe.kv_heads)
    yield number("llama.rope.dimension_count", _HEAD)
    yield number("llama.vocab_size", len(tokens))
    yield _text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", _FLOAT32, 1e-5)
    yield text("tokenizer.ggml.model", "llama")
    yield array("tokenizer.ggml.tokens", _STRING, [_text(token) for token in tokens])
    yield array("tokenizer.ggml.scores", _FLOAT32, [struct.pack("<f", 0.0)] * len(tokens))
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    yield array("tokenizer.ggml.token_type", _INT32, [struct.pack("<i", kind) for kind in kinds])
    yield number("tokenizer.ggml.bos_token_id", 1)
    yield number("tokenizer.ggml.eos_token_id", 2)


def _tokens() -> list[str]:
    plain = [f"▁w{i}" for i in range(253)]
    return ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *plain]


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _pad(file: BinaryIO) -> None:
    file.write(b"\0" * (-file.tell() % _ALIGN))
