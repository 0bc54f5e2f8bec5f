"""TensorRT-LLM's own server, trtllm-serve. Source: its openai_server.py and openai_protocol.py of 2026-08, read
2026-11-22. Triton's door to the same engine is another system: see triton.
"""

from __future__ import annotations

from nearfar.core.routing import Capability
from nearfar.providers import listing
from nearfar.providers.base import Evidence, Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


def read_models(body: bytes) -> list[Found] | None:
    """The one model of ``/v1/models``, owned by ``tensorrt_llm``."""
    return listing.owned_by("tensorrt_llm")(body)


PROVIDER = Provider(
    name="tensorrt-llm",
    title="TensorRT-LLM (trtllm-serve)",
    wire="openai.chat",
    base_url="http://127.0.0.1:8000/v1",
    auth="none",
    ports=(8000,),
    probes=(Probe(path="/v1/models", read=read_models),),
    capabilities={
        "streaming": _YES,
        "tools": Capability(),
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "documents": _NO,
        "embeddings": _NO,
    },
    evidence=Evidence(
        label="docs",
        what="Its flat errors and its list of models are golden bytes written from its source; no server was asked.",
    ),
)
