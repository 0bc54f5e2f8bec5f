"""Anthropic's own service. Source: the Claude API reference and its Python SDK 2.12, read 2026-11-22."""

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="anthropic",
    title="Anthropic",
    wire="anthropic.messages",
    other_wires={"count_tokens": "anthropic.count_tokens"},
    base_url="https://api.anthropic.com",
    key_env=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    auth="x-api-key",
    capabilities={
        "streaming": _YES,
        "tools": _YES,
        "tool_choice": _YES,
        "parallel_tools": _YES,
        "images": _YES,
        "media_urls": _YES,
        "documents": _YES,
        "json_schema": _YES,
        "json_mode": _NO,
        "audio": _NO,
        "logprobs": _NO,
        "choices": _NO,
        "seed": _NO,
        "embeddings": _NO,
    },
    default_models=("claude-sonnet-5-5", "claude-haiku-5-5"),
    evidence=Evidence(
        label="schema",
        what="Requests are held to the types of its official client; replies are golden bytes from its documentation.",
    ),
)
