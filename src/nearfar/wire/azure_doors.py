"""Azure OpenAI's two doors: where a request goes on a resource, by the deployment's options. It knows no dialect.

Source: Microsoft's "Azure OpenAI API version lifecycle" and REST reference, read 2026-11-22. The newer door, generally
available since 2025-08, is ``/openai/v1`` with the deployment's name as ``model``; the older one names the deployment
in the path and wants an ``api-version``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.wire.base import Outgoing
from nearfar.wire.failures import upstream_error

NEW_DOOR = "/openai/v1"


def through(outgoing: Outgoing, deployment: Deployment) -> Outgoing:
    """``outgoing`` with the path that Azure wants. ``options.api_version`` chooses the older door.

    A base URL that already ends with ``/openai/v1`` is taken as it is.
    """
    version = deployment.options.get("api_version", "")
    if version:
        place = f"/openai/deployments/{quote(deployment.model, safe='')}"
        path = f"{place}{outgoing.path}?{urlencode({'api-version': version})}"
    elif deployment.base_url.rstrip("/").endswith(NEW_DOOR):
        return outgoing
    else:
        path = NEW_DOOR + outgoing.path
    return msgspec.structs.replace(outgoing, path=path)


def error(status: int, headers: Mapping[str, str], body: bytes) -> NearfarError:
    """As OpenAI's; a 404 most often means that the resource has no deployment of this name."""
    found = upstream_error(status, headers, body)
    if status == 404 and isinstance(found, UpstreamError):
        found.hint = "model is the name of the deployment at Azure, not of the model behind it."
    return found
