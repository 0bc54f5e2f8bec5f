"""What a judge is told, and how its word is read: strict loader of data/judge.toml. It asks nobody."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nearfar.core.data import decode

BEST = 10
"""The highest number; 0 is the lowest."""
_SLOT = re.compile(r"\{(mark|conversation|first|second)\}")
_SLOTS = {"mark", "conversation", "first", "second"}
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_SHARE = 10
"""One ideograph in so many characters makes a text Chinese."""
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One language: the instruction, and the message that brings the material."""

    language: str
    system: str
    ask: str


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str = ""
    date: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: tuple[_Source, ...]
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
    chinese = len(_IDEOGRAPH.findall(conversation)) * _SHARE > len(conversation)
    prompt = prompts[1] if chinese else prompts[0]
    values = {"mark": mark, "conversation": conversation, "first": first, "second": second}
    return _filled(prompt.system, values), _filled(prompt.ask, values)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """What looks like a slot within a value is none."""
    return _SLOT.sub(lambda found: values[found[1]], template)


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
