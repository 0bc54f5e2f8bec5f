"""What the user of a request has said so far, as one text: what routers are fitted on and asked about.

It is the same for all dialects. What the system, models and tools said is not in it, and it keeps nothing.
"""

from __future__ import annotations

import re

from nearfar.core.chat import Request
from nearfar.core.errors import MaskingFailed
from nearfar.privacy import walk

MOST = 8 * 1024 * 1024
"""Bytes of body that are read at all."""
_TOOLS = re.compile(r"content\[\d+\]\.content|\.output\b|functionResponse|toolResult|function_response")
"""Paths of what tools answered: some dialects have the user say it."""


def asked(request: Request) -> str:
    """The user's texts in their order, a blank line between two; empty where there are none that can be read."""
    if len(request.body) > MOST:
        return ""
    texts: list[str] = []

    def visit(spot: walk.Spot) -> str:
        if spot.by == "user" and spot.form == walk.TEXT and spot.text and _TOOLS.search(spot.path) is None:
            texts.append(spot.text)
        return spot.text

    try:
        walk.body(request.body, visit, [])
    except MaskingFailed:
        return ""
    return "\n\n".join(texts)
