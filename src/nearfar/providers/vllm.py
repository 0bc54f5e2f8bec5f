"""vLLM's OpenAI server. Source: vLLM's docs/serving of 2026-08. It does not say where its weights lie."""

from __future__ import annotations

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")


class _Model(msgspec.Struct):
    id: str
    owned_by: str
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Version(msgspec.Struct):
    version: str


def read_models(body: bytes) -> list[Found] | None:
    """The models of ``/v1/models``, all owned by ``vllm``."""
    try:
        models = msgspec.json.decode(body, type=_Models).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not models or any(model.owned_by != "vllm" for model in models):
        return None
    return [Found(model=model.id, local_weights=False, context=model.max_model_len, loaded=True) for model in models]


def read_version(body: bytes) -> list[Found] | None:
    """No models, but a version, as ``/version`` gives it."""
    try:
        msgspec.json.decode(body, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return []


PROVIDER = Provider(
    name="vllm",
    title="vLLM",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    # Where it serves a model of speech; others answer 404.
    other_wires={"transcription": "openai.audio"},
    base_url="http://127.0.0.1:8000/v1",
    key_env=("VLLM_API_KEY",),
    ports=(8000,),
    probes=(Probe(path="/v1/models", read=read_models), Probe(path="/version", read=read_version)),
    capabilities={
        "streaming": _YES,
        "choices": _YES,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        # Only where it was started with a parser for the model's calls.
        "tools": Capability(),
        "tool_choice": Capability(),
        "images": Capability(),
    },
    evidence=Evidence(
        label="docs",
        what="Its reasoning, errors in mid-stream and lists are golden bytes written from its documentation; no server "
        "was asked.",
    ),
)
