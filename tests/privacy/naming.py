"""What the tests of names share: the detector that comes with nearfar, and what it finds."""

from __future__ import annotations

from nearfar.privacy.names import Names
from nearfar.privacy.normal import Normal

NAMES = Names.shipped()


def found(text: str) -> list[str]:
    """The names in ``text``, in their order."""
    normal = Normal.of(text)
    return [normal.text[each.start : each.end] for each in sorted(NAMES.scan(normal))]
