"""The embedded engine's record: what it can do, and what no model in it can."""

from __future__ import annotations

import pytest

from nearfar.core.places import Place
from nearfar.providers.embedded import PROVIDER


@pytest.mark.parametrize("what", ["images", "audio", "documents", "media_urls"])
def test_it_reads_text_alone(what: str) -> None:
    """Else a picture is refused as a prompt that is too long, and people look for the wrong thing."""
    known = PROVIDER.capabilities[what]
    assert (known.can, known.source) == (False, "catalogue")


def test_it_runs_here() -> None:
    assert PROVIDER.place is Place.DEVICE
