"""How many examples of a property are taken: all of them in `make test-all`, a share in the quick tests."""

from __future__ import annotations

import os
from collections.abc import Collection

from hypothesis import HealthCheck, settings

HUNDRED = int(os.environ.get("NEARFAR_EXAMPLES", "25"))
"""What a hundred examples come down to; `make test-all` says 100."""


def examples(most: int, *, suppress: Collection[HealthCheck] = ()) -> settings:
    """``most`` examples in `make test-all`, their share in the quick tests, and five at least."""
    return settings(max_examples=max(min(most, 5), most * HUNDRED // 100), suppress_health_check=suppress)
