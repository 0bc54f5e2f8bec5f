"""Prompts for near models and judges: the one in a text's language, and its slots filled. It knows no prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

P = TypeVar("P")

_SLOT = re.compile(r"\{([a-z]+)\}")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_SHARE = 10
"""One ideograph in so many characters makes a text Chinese."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a file of prompts comes from."""

    name: str
    url: str = ""
    date: str = ""


def fitting(prompts: Sequence[P], text: str) -> P:
    """The prompt in the language of ``text``: English stands first, then Chinese."""
    chinese = len(_IDEOGRAPH.findall(text)) * _SHARE > len(text)
    return prompts[1] if chinese else prompts[0]


def fill(template: str, values: Mapping[str, str]) -> str:
    """``template`` with ``values`` in its slots; what looks like a slot within a value is none."""
    return _SLOT.sub(lambda found: values.get(found[1], found[0]), template)
