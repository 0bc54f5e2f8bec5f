"""What a near model is told to rewrite and to merge: strict loader of data/rewriting.toml. It asks nobody."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nearfar.core.data import decode

_SLOT = re.compile(r"\{(conversation|answer)\}")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_SHARE = 10
"""One ideograph in so many characters makes a text Chinese."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One language: instructions, and the message that brings the material, once for each step."""

    language: str
    rewrite: str
    rewrite_ask: str
    merge: str
    merge_ask: str


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str = ""
    date: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: tuple[_Source, ...]
    prompt: tuple[Prompt, ...]


@functools.cache
def shipped() -> tuple[Prompt, ...]:
    """The prompts that come with nearfar, read once; English first."""
    return load((Path(__file__).parent / "data" / "rewriting.toml").read_bytes())


def load(text: bytes) -> tuple[Prompt, ...]:
    """Read prompts strictly; ValueError says what is wrong."""
    file = decode(text, _File, "not a file of prompts")
    if [item.language for item in file.prompt] != ["en", "zh-Hant"]:
        raise ValueError("a file of prompts has English (en) and then Traditional Chinese (zh-Hant)")
    for item in file.prompt:
        for name, wanted in (("rewrite_ask", ["conversation"]), ("merge_ask", ["conversation", "answer"])):
            if _SLOT.findall(getattr(item, name)) != wanted:
                raise ValueError(f"{item.language}: {name} must hold {', '.join(wanted)} in braces, each once")
    return file.prompt


def fitting(prompts: Sequence[Prompt], text: str) -> Prompt:
    """The prompt in the language of ``text``."""
    chinese = len(_IDEOGRAPH.findall(text)) * _SHARE > len(text)
    return prompts[1] if chinese else prompts[0]


def fill(template: str, values: Mapping[str, str]) -> str:
    """``template`` with ``values`` in its slots; what looks like a slot within a value is none."""
    return _SLOT.sub(lambda found: values[found[1]], template)
