"""What a judge is told, and how its word is read: strict loader of data/judge.toml. It asks nobody."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.gateway.prompts import Source, fill, fitting

BEST = 10
"""The highest number; 0 is the lowest."""
_SLOT = re.compile(r"\{(mark|conversation|first|second)\}")
_SLOTS = {"mark", "conversation", "first", "second"}
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One language: the instruction, and the message that brings the material."""

    language: str
    system: str
    ask: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: tuple[Source, ...]
    prompt: tuple[Prompt, ...]


class _Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: int
    b: int


_decode = msgspec.json.Decoder(_Numbers).decode


@functools.cache
def shipped() -> tuple[Prompt, ...]:
    """The prompts that come with nearfar, read once; English first."""
    return load((Path(__file__).parent / "data" / "judge.toml").read_bytes())


def load(text: bytes) -> tuple[Prompt, ...]:
    """Read prompts strictly; ValueError says what is wrong."""
    file = decode(text, _File, "not a file of prompts")
    if [item.language for item in file.prompt] != ["en", "zh-Hant"]:
        raise ValueError("a file of prompts has English (en) and then Traditional Chinese (zh-Hant)")
    for item in file.prompt:
        if set(_SLOT.findall(item.ask)) != _SLOTS or set(_SLOT.findall(item.system)) != {"mark"}:
            raise ValueError(f"{item.language}: ask must hold {', '.join(sorted(_SLOTS))} in braces, and system mark")
    return file.prompt


def asked(prompts: Sequence[Prompt], *, mark: str, conversation: str, first: str, second: str) -> tuple[str, str]:
    """The instruction and the message, in the language of ``conversation``."""
    prompt = fitting(prompts, conversation)
    values = {"mark": mark, "conversation": conversation, "first": first, "second": second}
    return fill(prompt.system, values), fill(prompt.ask, values)


def numbers(text: str) -> tuple[float, float] | None:
    """What the judge gives both, 0 to 1; None for anything but one JSON object of two whole numbers in their range."""
    plain = text.strip()
    fenced = _FENCED.fullmatch(plain)
    try:
        found = _decode(fenced[1] if fenced else plain)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    if not (0 <= found.a <= BEST and 0 <= found.b <= BEST):
        return None
    return found.a / BEST, found.b / BEST
