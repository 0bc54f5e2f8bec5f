"""What a scan says about a text: where something private stands, and what could not be read. It keeps no value."""

from __future__ import annotations

from typing import Protocol

import msgspec

from nearfar.privacy.normal import Normal


class Finding(msgspec.Struct, frozen=True, order=True):
    """Something private: characters ``start`` to ``end`` (exclusive) of the text that was scanned.

    ``kind`` is a dotted lower-case name (``email``, ``tw.national_id``); ``score`` is from 0 to 1, 1 being certain.
    """

    start: int
    end: int
    kind: str
    score: float
    detector: str


class Unknown(msgspec.Struct, frozen=True, order=True):
    """Characters that nobody could read (encoded or binary), and ``why``: they may hold anything."""

    start: int
    end: int
    why: str


class Detector(Protocol):
    """Finds what rules cannot, such as names. Offsets are those of the normal form; the scanner maps them back.

    ``version`` changes whenever the same text may give other findings: it is part of every memo's key.
    Any exception, and any finding outside the text, makes the whole scan fail with GuardError.
    """

    name: str
    version: str

    def scan(self, text: Normal) -> list[Finding]:
        """What this detector finds, in any order."""
        ...
