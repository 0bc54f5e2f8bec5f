"""What is known of a model before it is loaded: the same few facts for every file format. It reads no file."""

from __future__ import annotations

import msgspec

LLAMA_CPP = "llama.cpp"
TRANSFORMERS = "transformers"
ONNX = "onnx"
SUFFIXES = {TRANSFORMERS: ".transformers", ONNX: ".onnx"}
"""Engine → what the folders of its models end with."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's files say about it. Zero or empty means that they do not say."""

    engine: str = LLAMA_CPP
    """Which engine runs it: ``llama.cpp``, ``transformers`` or ``onnx``."""
    architecture: str
    name: str = ""
    kind: str = "model"
    """GGUF's ``general.type``: ``model``, ``adapter``, ``mmproj``, …"""
    version: int = 0
    """Of the GGUF format."""
    parts: int = 1
    """Files the model is split over."""
    file_bytes: int
    tensor_bytes: int
    """Bytes of all tensors: what loading puts into memory."""
    repacked_bytes: int = 0
    """The part of ``tensor_bytes`` that the engine copies into a faster layout on a CPU."""
    tensors: int = 0
    parameters: int = 0
    quantization: str = ""
    """The file's own label (``Q4_K_M``), else its commonest tensor type."""
    context_length: int = 0
    """Tokens the model was trained for."""
    layers: int = 0
    embedding_length: int = 0
    feed_forward: int = 0
    """The widest feed-forward layer that is active for one token."""
    heads: int = 0
    kv_heads: tuple[int, ...] = ()
    """Key/value heads per layer; one number if all layers are alike."""
    key_length: int = 0
    value_length: int = 0
    sliding_window: int = 0
    vocabulary: int = 0
    tokenizer: str = ""
    pooling: str = ""
    """``none``, ``mean``, ``cls``, ``last`` or ``rank``; empty when not stated."""
    embedding: bool = False
    """It computes embeddings and cannot chat."""
    has_chat_template: bool = False
    experts: int = 0
    """Experts of each layer; 0 without any."""
    experts_used: int = 0
    """Of them, how many compute one token."""
    expert_feed_forward: int = 0
    expert_parameters: int = 0
    """Of ``parameters``, those of all experts."""
    number_bytes: int = 2
    """Bytes of one number in its cache of keys and values."""
