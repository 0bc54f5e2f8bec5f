"""Changes a request's members for one deployment: its model's name, what it calls otherwise, what it refuses.

It knows no dialect. Every change but the model's name is shown as a deviation.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nearfar.core.routing import Deployment
from nearfar.wire import strict

JSON_HEADERS = (("content-type", "application/json"),)

_encode = msgspec.json.Encoder().encode


def patch(
    fields: Mapping[str, msgspec.Raw], asked: str, deployment: Deployment, extra: Mapping[str, bytes], unchanged: bytes
) -> tuple[bytes, tuple[str, ...]]:
    """The body for ``deployment``, and the deviations.

    ``asked`` is the model's name in ``fields``; ``extra`` members are set silently, unless the deployment drops them.
    ``unchanged`` is returned as it is when nothing changes.
    """
    changes: dict[str, bytes | None] = dict(extra)
    deviations: list[str] = []
    if asked != deployment.model:
        changes["model"] = _encode(deployment.model)
    for old, new in deployment.rename.items():
        if old not in fields:
            continue
        changes[old] = None
        if new in fields:
            deviations.append(f"dropped:{old}")
        else:
            changes[new] = bytes(fields[old])
            deviations.append(f"renamed:{old}")
    for name in deployment.drop:
        if name in fields and changes.get(name, b"") is not None:
            deviations.append(f"dropped:{name}")
        changes[name] = None
    body = strict.replace(fields, changes) if changes else unchanged
    return body, tuple(deviations)
