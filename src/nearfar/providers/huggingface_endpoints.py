"""Hugging Face Inference Endpoints: an engine of the owner's choice behind a proxy that scales to zero.

Source: Hugging Face's documentation of Inference Endpoints, read 2026-11-22. The address is the endpoint's own.
"""

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="huggingface-endpoints",
    title="Hugging Face Inference Endpoints",
    wire="huggingface.chat",
    embeddings_wire="openai.embeddings",
    # Seconds for which the proxy holds a request while the endpoint scales up; without it, it answers 503 at once.
    options={"scale_up_timeout": ""},
    key_env=("HF_TOKEN",),
    capabilities={"streaming": _YES},
    evidence=Evidence(
        label="docs", what="The proxy's 503 and its header are held to its documentation; no endpoint was asked."
    ),
)
