"""The embedded engine: llama.cpp's own HTTP server in a child process of this gateway, reached over its socket."""

from nearfar.core.places import Place
from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="embedded",
    title="the embedded engine",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    also=("openai.completions",),
    place=Place.DEVICE,
    capabilities={
        "streaming": _YES,
        "tools": _YES,
        "tool_choice": _YES,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "embeddings": _YES,
        # No projector (mmproj) is loaded beside a model.
        "images": _NO,
        "audio": _NO,
        "documents": _NO,
        # The child has no network, so it can fetch nothing.
        "media_urls": _NO,
        # The engine leaves the member unread, so the vectors would have another length than asked for.
        "dimensions": _NO,
    },
    evidence=Evidence(label="live", what="The engine itself answers in the tests, through the official clients too."),
)
