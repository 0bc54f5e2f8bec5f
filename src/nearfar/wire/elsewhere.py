"""What a request draws on beyond its own words, under the names that policies use. It refuses nothing: policy does.

``References`` gathers name → where it first stands in the request. Dialects spell the same thing differently; here it
has one name: ``googleSearch``, ``web_search_20260318`` and ``search_parameters`` are all ``web_search``.
"""

from __future__ import annotations

import re
from typing import Any

References = dict[str, str]
"""Name of a reference or provider-run tool → the member that brings it in."""

Frozen = tuple[tuple[str, str], ...]

_ALIASES = {
    "bing_grounding": "web_search",
    "cachedContent": "cached_content",
    "code_interpreter": "code_execution",
    "codeExecution": "code_execution",
    "connectors": "mcp",
    "container_id": "container",
    "container_upload": "container",
    "continuationToken": "continuation_token",
    "dataSources": "data_sources",
    "enable_code_interpreter": "code_execution",
    "enable_search": "web_search",
    "enterpriseWebSearch": "web_search",
    "fileSearch": "file_search",
    "file_ids": "file_id",
    "google_search": "web_search",
    "googleMaps": "google_maps",
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "item_reference": "stored_response",
    "mcpServers": "mcp",
    "mcp_servers": "mcp",
    "mcp_toolset": "mcp",
    "modelArmorConfig": "model_armor",
    "nova_code_interpreter": "code_execution",
    "nova_grounding": "web_search",
    "outputConfig": "output_config",
    "previous_response_id": "stored_response",
    "promptVariables": "prompt",
    "search_options": "web_search",
    "search_parameters": "web_search",
    "session_params": "session",
    "tool_resources": "file_search",
    "urlContext": "url_context",
    "vector_store_ids": "file_search",
    "web_search_options": "web_search",
    "web_search_preview": "web_search",
}
_VERSION = re.compile(r"_(?:\d{8}|\d{4}_\d{2}_\d{2})\Z")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
UNKNOWN = "unknown_tool"
"""The name of a tool whose own name no policy could spell."""


def name_of(spelling: str) -> str:
    """The name that policies use for what a dialect spells ``spelling``."""
    plain = _VERSION.sub("", spelling)
    known = _ALIASES.get(plain)
    if known is not None:
        return known
    return plain if _NAME.match(plain) else UNKNOWN


def note(found: References, spelling: str, where: str) -> None:
    """Add what ``spelling`` stands for; the first place of each is kept."""
    found.setdefault(name_of(spelling), where[:200])


def note_members(found: References, names: frozenset[str], values: dict[str, Any], prefix: str = "") -> None:
    """Add those ``names`` among the members ``values`` that say something."""
    for name in sorted(names & values.keys()):
        if values[name] is not None and values[name] is not False:
            note(found, name, prefix + name)


def frozen(found: References) -> Frozen:
    """As a request carries them."""
    return tuple(found.items()) if found else ()
