"""Triton's OpenAI frontend, over TensorRT-LLM or vLLM. Source: triton-inference-server/server python/openai of 2026-08,
read 2026-11-22. Its own protocol (ports 8000 and 8001) is not spoken.
"""

from __future__ import annotations

from nearfar.core.routing import Capability
from nearfar.providers import listing
from nearfar.providers.base import Evidence, Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


def read_models(body: bytes) -> list[Found] | None:
    """The models of ``/v1/models``, all owned by ``Triton Inference Server``."""
    return listing.owned_by("Triton Inference Server")(body)


PROVIDER = Provider(
    name="triton",
    title="Triton (OpenAI frontend)",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    base_url="http://127.0.0.1:9000/v1",
    ports=(9000,),
    probes=(Probe(path="/v1/models", read=read_models),),
    capabilities={
        "streaming": _YES,
        # Only with --tool-call-parser; only llama3's and mistral's.
        "tools": Capability(),
        "logprobs": Capability(),
        "choices": _NO,
        "audio": _NO,
        "documents": _NO,
    },
    # It answers 400 to them.
    drop=("logit_bias",),
    evidence=Evidence(
        label="docs", what="Its list of models is a golden answer written from its source; no server was asked."
    ),
)
