"""Azure OpenAI, by either of its doors. Source: Microsoft's API version lifecycle and REST reference, read 2026-11-22.

``options.resource`` names the resource. The newer door (``/openai/v1``) is taken unless ``options.api_version`` is set.
At both, ``model`` is the name of the deployment at Azure. A key goes out as ``api-key``; a token of Entra ID goes into
``headers.authorization``, as a reference.
"""

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")

PROVIDER = Provider(
    name="azure-openai",
    title="Azure OpenAI",
    wire="azure.chat",
    embeddings_wire="azure.embeddings",
    base_url="https://{resource}.openai.azure.com",
    options={"resource": "", "api_version": ""},
    key_env=("AZURE_OPENAI_API_KEY",),
    auth="api-key",
    capabilities={
        "streaming": _YES,
        "tools": _YES,
        "tool_choice": _YES,
        "parallel_tools": _YES,
        "images": Capability(),
        "json_schema": _YES,
        "json_mode": _YES,
        "embeddings": Capability(),
    },
    # As at OpenAI: reasoning models refuse the old name.
    rename={"max_tokens": "max_completion_tokens"},
    evidence=Evidence(
        label="docs",
        what="Paths of both doors and the filter's odd events are held to its reference; the official client's Azure "
        "class sends the same paths. No resource was asked.",
    ),
)
