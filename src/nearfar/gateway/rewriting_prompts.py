"""What a near model is told to rewrite and to merge: strict loader of data/rewriting.toml. It asks nobody."""

from __future__ import annotations

import datetime as dt
import functools
import re
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.gateway.prompts import Source

_SLOT = re.compile(r"\{(conversation|answer)\}")


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One language: instructions, and the message that brings the material, once for each step."""

    language: str
    rewrite: str
    rewrite_ask: str
    merge: str
    merge_ask: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: tuple[Source, ...]
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
