"""Google's Gemini API, with a key. Source: the Gemini API reference and google-genai 3.4, read 2026-11-22.

``v1beta`` holds all of ``v1`` and besides the aliases ``gemini-…-latest``; ``base_url`` chooses another version.
"""

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="gemini",
    title="Google Gemini",
    wire="gemini.generate",
    embeddings_wire="gemini.embed",
    other_wires={"count_tokens": "gemini.count"},
    base_url="https://generativelanguage.googleapis.com/v1beta",
    key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    auth="x-goog-api-key",
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
        "seed": _YES,
        "choices": _YES,
        "reasoning": _YES,
        "embeddings": _YES,
        "dimensions": _YES,
        "token_input": _NO,
    },
    evidence=Evidence(
        label="schema",
        what="Requests are checked by the types of google-genai, which also reads our upstream bytes as we do.",
    ),
)
