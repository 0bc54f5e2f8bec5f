"""ONNX Runtime GenAI in a child process of this gateway, reached over its socket: it ships no server of its own."""

from __future__ import annotations

from nearfar.core.places import Place
from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="onnx-runtime",
    title="ONNX Runtime GenAI (in a child process)",
    wire="openai.chat",
    place=Place.DEVICE,
    capabilities={
        "streaming": _YES,
        # A model whose template teaches it a known format calls tools; whether it does is the model's.
        "tools": Capability(),
        "tool_choice": _NO,
        "images": _NO,
        "audio": _NO,
        "documents": _NO,
        "media_urls": _NO,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "choices": _NO,
        "embeddings": _NO,
    },
    drop=("presence_penalty", "frequency_penalty", "logit_bias", "min_p", "reasoning_effort", "verbosity"),
    evidence=Evidence(
        label="live", what="A tiny Llama made by onnxruntime-genai 0.18's builder answers on the CPU in tests/stages."
    ),
)
