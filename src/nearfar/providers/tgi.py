"""Text Generation Inference. Source: its docs/openapi.json and router of 2026-01, read 2026-11-22; maintenance mode."""

from __future__ import annotations

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


class _Info(msgspec.Struct):
    model_id: str
    max_concurrent_requests: int
    max_total_tokens: int | None = None
    router: str = ""


def read_info(body: bytes) -> list[Found] | None:
    """The one model of ``/info``, which no other server answers in this shape. It does not say where weights lie."""
    try:
        info = msgspec.json.decode(body, type=_Info)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return [Found(model=info.model_id, local_weights=False, context=info.max_total_tokens, loaded=True)]


PROVIDER = Provider(
    name="tgi",
    title="Text Generation Inference",
    wire="tgi.chat",
    base_url="http://127.0.0.1:8080/v1",
    ports=(8080, 3000),
    probes=(Probe(path="/info", read=read_info),),
    capabilities={
        "streaming": _YES,
        "tools": Capability(),
        "tool_choice": Capability(),
        "images": Capability(),
        "audio": _NO,
        "documents": _NO,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "choices": _NO,
        "embeddings": _NO,
    },
    evidence=Evidence(
        label="docs",
        what="Requests and replies are held to the members of its OpenAPI description; no server was asked.",
    ),
)
