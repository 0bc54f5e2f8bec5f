"""How many examples of a property are taken: all of them in `make test-all`, a share in the quick tests."""

from __future__ import annotations

import os

from hypothesis import settings

HUNDRED = int(os.environ.get("NEARFAR_EXAMPLES", "40"))
"""What a hundred examples come down to; `make test-all` says 100."""


def examples(most: int) -> settings:
    """``most`` examples in `make test-all`, their share in the quick tests."""
    return settings(max_examples=most * HUNDRED // 100)
