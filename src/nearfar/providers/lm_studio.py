"""LM Studio. Source: lmstudio-ai/docs of 2026-04. It may list models of linked machines: nothing proves local."""

from __future__ import annotations

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


class _Model(msgspec.Struct):
    id: str
    type: str
    state: str
    max_context_length: int | None = None
    loaded_context_length: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


def read_models(body: bytes) -> list[Found] | None:
    """The models of ``/api/v0/models``, a list that only LM Studio gives with types and states."""
    try:
        models = msgspec.json.decode(body, type=_Models).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return [
        Found(
            model=model.id,
            local_weights=False,
            context=model.loaded_context_length or model.max_context_length,
            operations=frozenset({"embeddings"} if model.type == "embeddings" else {"chat"}),
            capabilities={"images": Capability(can=model.type == "vlm", source="probed")},
            loaded=model.state == "loaded",
        )
        for model in models
    ]


PROVIDER = Provider(
    name="lm-studio",
    title="LM Studio",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    base_url="http://127.0.0.1:1234/v1",
    key_env=("LM_API_TOKEN",),
    ports=(1234,),
    probes=(Probe(path="/api/v0/models", read=read_models),),
    capabilities={"streaming": _YES, "json_schema": _YES, "json_mode": _NO, "choices": _NO, "embeddings": _YES},
)
