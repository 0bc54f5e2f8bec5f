"""Transformers in a child process of this gateway, reached over its socket: folders with safetensors."""

from __future__ import annotations

from nearfar.core.places import Place
from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="transformers",
    title="Transformers (in a child process)",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
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
        "json_schema": _NO,
        "json_mode": _NO,
        "logprobs": _YES,
        "seed": _YES,
        "choices": _NO,
        "embeddings": _YES,
        "dimensions": _NO,
        "token_input": _NO,
    },
    drop=("reasoning_effort", "verbosity"),
    evidence=Evidence(
        label="live", what="Tiny Llama and BERT models of transformers 5.23 answer on the CPU in tests/stages."
    ),
)
