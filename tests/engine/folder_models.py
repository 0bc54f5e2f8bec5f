"""Write model folders of a few bytes: right in every header, and of no use to an engine."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "vocab_size": 4,
}
GENAI: dict[str, Any] = {
    "model": {
        "type": "llama",
        "context_length": 256,
        "vocab_size": 4,
        "eos_token_id": [2],
        "bot_token_id": 3,
        "decoder": {
            "session_options": {"log_id": "x", "provider_options": []},
            "filename": "model.onnx",
            "head_size": 4,
            "hidden_size": 8,
            "inputs": {},
            "outputs": {},
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "num_key_value_heads": 1,
        },
    },
    "search": {"max_length": 256},
}


def safetensors(tensors: dict[str, tuple[str, list[int], int]], *, data: bytes | None = None) -> bytes:
    """A file: name → (type, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return pack(header, bytes(at) if data is None else data)


def pack(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = safetensors({"a": ("F32", [2, 3], 24), "b": ("BF16", [4], 8)})


def hf(folder: Path, *, weights: bytes | None = WEIGHTS, template: str = "{{ messages }}", **changes: Any) -> Path:
    """A folder in Hugging Face's layout; ``changes`` to its config.json, None removes."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {name: value for name, value in (CONFIG | changes).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template} if template else {}))
    if weights is not None:
        (folder / "model.safetensors").write_bytes(weights)
    return folder


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def onnx(*, location: str = "model.onnx.data", length: int = 16, offset: int = 0, kind: int = 1) -> bytes:
    """A graph with one initializer that lies in another file."""
    entries = {"location": location, "offset": str(offset), "length": str(length)}
    external = b"".join(field(13, field(1, k.encode()) + field(2, v.encode())) for k, v in entries.items())
    tensor = field(1, 4) + field(2, kind) + field(8, b"w") + external + field(14, 1)
    return field(1, 10) + field(2, b"tests") + field(7, field(2, b"g") + field(5, tensor))


def genai(folder: Path, config: dict[str, Any] = GENAI, *, graph: bytes | None = None, data: int = 16) -> Path:
    """A folder made for ONNX Runtime GenAI."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genai_config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "model.onnx").write_bytes(onnx() if graph is None else graph)
    (folder / "model.onnx.data").write_bytes(bytes(data))
    return folder
