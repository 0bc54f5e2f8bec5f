"""OpenAI's own service. Source: the OpenAI API reference, read 2026-11-22."""

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="openai",
    title="OpenAI",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    also=("openai.responses", "openai.completions"),
    other_wires={"transcription": "openai.audio"},
    base_url="https://api.openai.com/v1",
    key_env=("OPENAI_API_KEY",),
    capabilities={
        "streaming": _YES,
        "tools": _YES,
        "tool_choice": _YES,
        "parallel_tools": _YES,
        "images": _YES,
        "media_urls": _YES,
        "json_schema": _YES,
        "json_mode": _YES,
        "embeddings": _YES,
        "dimensions": _YES,
        "token_input": _YES,
    },
    # Reasoning models refuse the old name; every current model takes the new one.
    rename={"max_tokens": "max_completion_tokens"},
    default_models=("gpt-6-luna", "gpt-5.4-mini"),
    evidence=Evidence(
        label="schema",
        what="The official client, current and previous major, reads what goes through; its types hold our requests.",
    ),
)
