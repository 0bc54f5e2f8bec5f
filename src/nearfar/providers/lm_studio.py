"""LM Studio. It may list models of linked machines: nothing proves local.

Source: lmstudio-ai/docs of 2026-04 (REST API v0 for the list, v1 of release 0.4 for loading), read 2026-11-22.
"""

from __future__ import annotations

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Call, Evidence, Found, Life, Probe, Provider, Running

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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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


class _Config(msgspec.Struct):
    context_length: int | None = None


class _Instance(msgspec.Struct):
    id: str
    config: _Config = msgspec.field(default_factory=_Config)


class _Kept(msgspec.Struct):
    key: str
    loaded_instances: list[_Instance]
    size_bytes: int = 0


class _Disk(msgspec.Struct):
    models: list[_Kept]


def read_loaded(body: bytes) -> list[Running] | None:
    """The loaded instances that ``/api/v1/models`` names beside each model on disk."""
    try:
        models = msgspec.json.decode(body, type=_Disk).models
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return [
        Running(model=model.key, instance=item.id, context=item.config.context_length, bytes=model.size_bytes)
        for model in models
        for item in model.loaded_instances
    ]


def load(model: str, operation: str, context: int | None) -> Call:
    """Load one instance; LM Studio answers when it is there."""
    del operation
    asked: dict[str, object] = {"model": model}
    if context is not None:
        asked["config"] = {"context_length": context}
    return Call(method="POST", path="/api/v1/models/load", body=msgspec.json.encode(asked))


def unload(running: Running) -> Call:
    """Unload one instance by its own name."""
    body = msgspec.json.encode({"instance_id": running.instance or running.model})
    return Call(method="POST", path="/api/v1/models/unload", body=body)


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
    life=Life(running=Call(path="/api/v1/models"), read=read_loaded, load=load, unload=unload),
    evidence=Evidence(label="docs", what="Written from LM Studio's documentation; no LM Studio answered in a test."),
)
