"""llama.cpp's server, with one model or, as a router, with several.

Source: its tools/server/README.md of 2026-08; the default port moved from 8080 to 9931 then.
"""

from __future__ import annotations

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Call, Evidence, Found, Life, Probe, Provider, Running

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


class _Meta(msgspec.Struct):
    size: int = 0
    n_ctx: int | None = None


class _Model(msgspec.Struct):
    id: str
    owned_by: str = ""
    meta: _Meta | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Props(msgspec.Struct):
    default_generation_settings: msgspec.Raw
    total_slots: int


def read_models(body: bytes) -> list[Found] | None:
    """The models of ``/v1/models``, all owned by ``llamacpp``; weights with a size lie on the server's machine."""
    try:
        models = msgspec.json.decode(body, type=_Models).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not models or any(model.owned_by != "llamacpp" for model in models):
        return None
    return [
        Found(
            model=model.id,
            local_weights=model.meta is not None and model.meta.size > 0,
            context=model.meta.n_ctx if model.meta is not None else None,
        )
        for model in models
    ]


def read_props(body: bytes) -> list[Found] | None:
    """No models, but the proof that this is llama.cpp: slots and generation settings."""
    try:
        msgspec.json.decode(body, type=_Props)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return []


class _Status(msgspec.Struct):
    value: str = ""


class _Routed(msgspec.Struct):
    id: str
    status: _Status | None = None
    meta: _Meta | None = None


class _Router(msgspec.Struct):
    data: list[_Routed]


def read_router(body: bytes) -> list[Running] | None:
    """The models of ``/models`` that are in memory, or on their way. A sleeping one has left the memory.

    A server with one model gives no status: that model is loaded, and answers whatever is asked for.
    """
    try:
        models = msgspec.json.decode(body, type=_Router).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = []
    for model in models:
        context = model.meta.n_ctx if model.meta is not None else None
        if model.status is None:
            found.append(Running(model="", context=context))
        elif model.status.value in {"loaded", "loading"}:
            found.append(Running(model=model.id, loading=model.status.value == "loading", context=context))
    return found


def _change(what: str, model: str) -> Call:
    return Call(method="POST", path=f"/models/{what}", body=msgspec.json.encode({"model": model}))


def load(model: str, operation: str, context: int | None) -> Call:
    """Have the router start the model. It answers at once, and its list says ``loading``; the context is its own."""
    del operation, context
    return _change("load", model)


PROVIDER = Provider(
    name="llama-cpp",
    title="llama.cpp server",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    base_url="http://127.0.0.1:9931/v1",
    key_env=("LLAMA_API_KEY",),
    ports=(9931, 8080),
    probes=(Probe(path="/v1/models", read=read_models), Probe(path="/props", read=read_props)),
    tells_weights=True,
    capabilities={
        "streaming": _YES,
        "tool_choice": _YES,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "documents": _NO,
        # The engine leaves the member unread, so the vectors would have another length than asked for.
        "dimensions": _NO,
    },
    life=Life(
        running=Call(path="/models"),
        read=read_router,
        load=load,
        unload=lambda running: _change("unload", running.model),
    ),
    evidence=Evidence(
        label="live",
        what="llama.cpp's own server answers in the tests, as the embedded engine; its router mode is from its README.",
    ),
)
