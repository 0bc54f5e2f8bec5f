"""Where a deployment runs, how sensitive a request is, and what is done to it first. They know no policy."""

from __future__ import annotations

import enum


class Place(enum.IntEnum):
    """How far a deployment is; a larger value is further away."""

    DEVICE = 0
    LAN = 1
    PRIVATE_CLOUD = 2
    CLOUD = 3

    @property
    def label(self) -> str:
        """The name used in configuration, headers and the ledger."""
        return _PLACE_LABELS[self]

    @property
    def near(self) -> bool:
        """Whether this place counts as local in strategies such as ``local-first``."""
        return _NEAR[self]

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place named ``text``; ValueError with the allowed names otherwise."""
        try:
            return _PLACES[text]
        except KeyError:
            raise ValueError(f"unknown place {text!r}: use one of {', '.join(_PLACES)}") from None


class Class(enum.IntEnum):
    """How sensitive a request is; a larger value is more sensitive."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    @property
    def label(self) -> str:
        """The name used in configuration, headers and the ledger."""
        return _CLASS_LABELS[self]

    @classmethod
    def parse(cls, text: str) -> Class:
        """The class named ``text``; ValueError with the allowed names otherwise."""
        try:
            return _CLASSES[text]
        except KeyError:
            raise ValueError(f"unknown class {text!r}: use one of {', '.join(_CLASSES)}") from None


class Treatment(enum.IntEnum):
    """What is done to content before it leaves for a deployment; a larger value tells less of it."""

    CLEAR = 0
    MASKED = 1
    REWRITTEN = 2

    @property
    def label(self) -> str:
        """The name used in configuration, headers and records."""
        return _TREATMENT_LABELS[self]

    @classmethod
    def parse(cls, text: str) -> Treatment:
        """The treatment named ``text``; ValueError with the allowed names otherwise."""
        try:
            return _TREATMENTS[text]
        except KeyError:
            raise ValueError(f"unknown treatment {text!r}: use one of {', '.join(_TREATMENTS)}") from None


# Tuples, because hashing an enum member runs Python code, and these are asked for several times per request.
_PLACE_LABELS = tuple(place.name.lower().replace("_", "-") for place in Place)
_CLASS_LABELS = tuple(item.name.lower() for item in Class)
_TREATMENT_LABELS = tuple(item.name.lower() for item in Treatment)
_NEAR = tuple(place <= Place.LAN for place in Place)
_PLACES = dict(zip(_PLACE_LABELS, Place, strict=True))
_CLASSES = dict(zip(_CLASS_LABELS, Class, strict=True))
_TREATMENTS = dict(zip(_TREATMENT_LABELS, Treatment, strict=True))
