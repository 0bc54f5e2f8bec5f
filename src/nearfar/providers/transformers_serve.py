"""``transformers serve``. Source: transformers 5.23, ``cli/serving``, read and run 2026-11-22.

It loads, and downloads, any model that a request names, unless it was started with one (``transformers serve MODEL``).
"""

from __future__ import annotations

from nearfar.core.routing import Capability
from nearfar.providers import listing
from nearfar.providers.base import Evidence, Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

_OWN = {"/load_model", "/reset", "/v1/chat/completions"}


def read_paths(body: bytes) -> list[Found] | None:
    """No models, but the proof that this is it: its description of itself has paths that no other server has."""
    value = listing.decode(body)
    paths = value.get("paths") if value is not None else None
    return [] if isinstance(paths, dict) and paths.keys() >= _OWN else None


PROVIDER = Provider(
    name="transformers-serve",
    title="Transformers (transformers serve)",
    wire="transformers.chat",
    base_url="http://127.0.0.1:8000/v1",
    auth="none",
    ports=(8000,),
    # Models of the local cache, whether loaded or not. A request can name any other: nothing proves local weights.
    probes=(Probe(path="/v1/models", read=listing.any_owner), Probe(path="/openapi.json", read=read_paths)),
    capabilities={
        "streaming": _YES,
        "tools": Capability(),
        "tool_choice": _NO,
        "images": Capability(),
        "documents": _NO,
        "json_schema": _NO,
        "json_mode": _NO,
        "logprobs": _NO,
        "seed": _YES,
        "choices": _NO,
        "embeddings": _NO,
    },
    evidence=Evidence(
        label="live", what="transformers serve 5.23 with a tiny random model answers in tests/live, on the CPU."
    ),
)
