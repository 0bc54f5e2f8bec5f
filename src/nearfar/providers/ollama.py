"""Ollama, over its native API: its OpenAI door ignores the context length. It knows no place: weights prove that.

Source: Ollama's docs/api.md and server sources of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Call, Evidence, Found, Life, Probe, Provider, Running, Shown

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
    nearfar: str = ""


class _Loaded(msgspec.Struct):
    name: str = ""
    model: str = ""
    size: int = 0
    expires_at: str = ""
    context_length: int | None = None


class _Ps(msgspec.Struct):
    models: list[_Loaded]


class _Show(msgspec.Struct):
    model_info: dict[str, Any] | None = None
    capabilities: list[str] | None = None


def read_tags(body: bytes) -> list[Found] | None:
    """The models that ``/api/tags`` lists.

    Ollama also serves models of its cloud under its own address. Weights are local only when they have a size, no
    remote host or model, and no cloud suffix in their tag.
    """
    try:
        tags = msgspec.json.decode(body, type=_Tags)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
    """No models, but the proof that this is Ollama: ``/api/version`` answers with nothing but a version.

    A gateway such as this one, which speaks Ollama's dialect, is not: where its models run is not for Ollama to say.
    """
    try:
        found = msgspec.json.decode(body, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if found.nearfar else []


def read_ps(body: bytes) -> list[Running] | None:
    """The models of ``/api/ps``: those in memory. One that is still being loaded is not among them."""
    try:
        loaded = msgspec.json.decode(body, type=_Ps).models
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return [
        Running(model=item.name or item.model, context=item.context_length, bytes=item.size, expires=item.expires_at)
        for item in loaded
    ]


def load(model: str, operation: str, context: int | None) -> Call:
    """A request for no answer: without a prompt Ollama loads the model and says so. It spends no tokens."""
    asked: dict[str, Any] = {"model": model, "stream": False}
    if context is not None:
        asked["options"] = {"num_ctx": context}
    if operation == "embeddings":
        return Call(method="POST", path="/api/embed", body=msgspec.json.encode({"model": model, "input": []}))
    return Call(method="POST", path="/api/generate", body=msgspec.json.encode(asked))


def unload(running: Running) -> Call:
    """A request for no answer that is to be kept for no time."""
    asked = {"model": running.model, "keep_alive": 0, "stream": False}
    return Call(method="POST", path="/api/generate", body=msgspec.json.encode(asked))


def read_show(body: bytes) -> Shown | None:
    """What ``/api/show`` says: the context the model was trained for, and what it can do."""
    try:
        found = msgspec.json.decode(body, type=_Show)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    info = found.model_info or {}
    context = info.get(f"{info.get('general.architecture', '')}.context_length")
    said = found.capabilities
    can = {}
    if said is not None:
        for ours, theirs in (("tools", "tools"), ("images", "vision"), ("reasoning", "thinking")):
            can[ours] = Capability(can=theirs in said, source="probed")
    return Shown(context=context if isinstance(context, int) and context > 0 else None, capabilities=can)


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
    also=("ollama.generate",),
    embeddings_wire="ollama.embed",
    base_url="http://127.0.0.1:11434",
    auth="none",
    ports=(11434,),
    probes=(Probe(path="/api/tags", read=read_tags), Probe(path="/api/version", read=read_version)),
    tells_weights=True,
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
    life=Life(
        running=Call(path="/api/ps"),
        read=read_ps,
        load=load,
        unload=unload,
        show=lambda model: Call(method="POST", path="/api/show", body=msgspec.json.encode({"model": model})),
        read_shown=read_show,
    ),
    evidence=Evidence(
        label="schema",
        what="Requests and replies are checked by the types of Ollama's official Python client 0.6.",
    ),
)
