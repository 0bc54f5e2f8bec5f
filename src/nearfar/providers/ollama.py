"""Ollama, over its native API: its OpenAI door ignores the context length. It knows no place: weights prove that.

Source: Ollama's docs/api.md and server sources of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


class _Model(msgspec.Struct):
    name: str
    size: int = 0
    remote_host: str = ""
    remote_model: str = ""
    details: dict[str, Any] | None = None


class _Tags(msgspec.Struct):
    models: list[_Model]


class _Version(msgspec.Struct):
    version: str


def read_tags(body: bytes) -> list[Found] | None:
    """The models that ``/api/tags`` lists.

    Ollama also serves models of its cloud under its own address. Weights are local only when they have a size, no
    remote host or model, and no cloud suffix in their tag.
    """
    try:
        tags = msgspec.json.decode(body, type=_Tags)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return [
        Found(
            model=model.name,
            local_weights=_has_weights(model),
            operations=frozenset({"embeddings"} if _embeds(model) else {"chat"}),
        )
        for model in tags.models
    ]


def read_version(body: bytes) -> list[Found] | None:
    """No models, but the proof that this is Ollama: ``/api/version`` answers with nothing but a version."""
    try:
        msgspec.json.decode(body, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return []


def _has_weights(model: _Model) -> bool:
    tag = model.name.rpartition(":")[2]
    cloudy = tag == "cloud" or tag.endswith("-cloud") or model.name.endswith("-cloud")
    return model.size > 0 and not model.remote_host and not model.remote_model and not cloudy


def _embeds(model: _Model) -> bool:
    """Tags names no operations; embedding models are of BERT's families or say so in their name."""
    family = str((model.details or {}).get("family", ""))
    return family.endswith("bert") or "embed" in model.name


PROVIDER = Provider(
    name="ollama",
    title="Ollama",
    wire="ollama.chat",
    embeddings_wire="ollama.embed",
    base_url="http://127.0.0.1:11434",
    auth="none",
    ports=(11434,),
    probes=(Probe(path="/api/tags", read=read_tags), Probe(path="/api/version", read=read_version)),
    capabilities={
        "streaming": _YES,
        "tools": Capability(),
        "tool_choice": _NO,
        "images": Capability(),
        "media_urls": _NO,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "choices": _NO,
        "audio": _NO,
        "documents": _NO,
        "embeddings": _YES,
        "dimensions": _YES,
        "token_input": _NO,
    },
)
