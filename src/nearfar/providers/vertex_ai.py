"""Google's Vertex AI: Gemini's models, and Anthropic's behind the option ``publisher = "anthropic"``.

Google's Application Default Credentials authorise it (the extra ``google``). Where a location has an address of its own
rather than one made from its name, that is used. Source: Vertex AI's documentation "Locations" and "Claude on Vertex
AI", its discovery document of 2026-11-06, and the anthropic client 2.12, read 2026-11-22.
"""

from msgspec.structs import replace

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

_BELOW = "/{api_version}/projects/{project}/locations/{location}"

_GOOGLE = Provider(
    name="vertex-ai",
    title="Vertex AI",
    wire="gemini.generate",
    embeddings_wire="vertex.embed",
    other_wires={"count_tokens": "gemini.count"},
    base_url="https://{location}-aiplatform.googleapis.com" + _BELOW,
    addresses={
        "location=global": "https://aiplatform.googleapis.com" + _BELOW,
        "location=us": "https://aiplatform.us.rep.googleapis.com" + _BELOW,
        "location=eu": "https://aiplatform.eu.rep.googleapis.com" + _BELOW,
    },
    options={"project": "", "location": "", "api_version": "v1", "publisher": "google"},
    auth="google",
    capabilities={
        "streaming": _YES,
        "tools": _YES,
        "tool_choice": _YES,
        "parallel_tools": _YES,
        "images": _YES,
        # A file behind a URL is content that no scan has seen, fetched by Google.
        "media_urls": _NO,
        "audio": _YES,
        "documents": _YES,
        "json_schema": _YES,
        "json_mode": _YES,
        "logprobs": _YES,
        "seed": _YES,
        "choices": _YES,
        "reasoning": _YES,
        "embeddings": _YES,
        "dimensions": _YES,
        "token_input": _NO,
    },
    evidence=Evidence(
        label="schema",
        what="Requests are checked by Vertex AI's discovery document, replies by the types of google-genai.",
    ),
)

PROVIDER = replace(
    _GOOGLE,
    doors={
        "publisher=anthropic": replace(
            _GOOGLE,
            title="Vertex AI (Anthropic)",
            wire="vertex.anthropic",
            embeddings_wire="",
            other_wires={},
            capabilities={
                "streaming": _YES,
                "tools": _YES,
                "tool_choice": _YES,
                "parallel_tools": _YES,
                "images": _YES,
                "media_urls": _NO,
                "audio": _NO,
                "documents": _YES,
                "json_schema": _YES,
                "json_mode": _NO,
                "logprobs": _NO,
                "seed": _NO,
                "choices": _NO,
                "reasoning": _YES,
                "embeddings": _NO,
            },
            evidence=Evidence(
                label="schema",
                what="Requests are those that the anthropic client's own Vertex AI class makes, compared with its.",
            ),
        )
    },
)
