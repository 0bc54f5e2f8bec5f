"""GPT4All's local API server. Source: gpt4all-chat/src/server.cpp of 2025-02 (its last), read 2026-11-22."""

from __future__ import annotations

from nearfar.core.routing import Capability
from nearfar.providers import listing
from nearfar.providers.base import Evidence, Found, Probe, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")


def read_models(body: bytes) -> list[Found] | None:
    """The models of ``/v1/models``, all owned by ``humanity``; a list without any is not told from others'.

    GPT4All can also list models of clouds for which its user gave a key, so nothing proves local weights.
    """
    return listing.owned_by("humanity")(body)


PROVIDER = Provider(
    name="gpt4all",
    title="GPT4All",
    wire="gpt4all.chat",
    base_url="http://127.0.0.1:4891/v1",
    auth="none",
    ports=(4891,),
    probes=(Probe(path="/v1/models", read=read_models),),
    capabilities={
        # The client gets a stream, made of one body; its source is told as adapted:stream.
        "streaming": _NO,
        "tools": _NO,
        "tool_choice": _NO,
        "parallel_tools": _NO,
        "images": _NO,
        "audio": _NO,
        "documents": _NO,
        "json_schema": _NO,
        "json_mode": _NO,
        "logprobs": _NO,
        "seed": _NO,
        "choices": _YES,
        "embeddings": _NO,
    },
    evidence=Evidence(
        label="docs",
        what="Asked by the tests through a stand-in that refuses what its source refuses; the program has a window and "
        "does not run there.",
    ),
)
