"""Finds models and devices by the names that people and files give them. It knows names, not what they stand for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

_QUANT = re.compile(
    r"(?i)(?<![a-z0-9])(?:ud[-_])?("
    r"i?q[1-8]_(?:k_)?(?:xxs|xs|s|m|l|xl|nl|k|0|1)(?:_(?:xxs|xs|s|m|l|xl))?|q6_k|tq[12]_0|mxfp4|nvfp4|fp4|fp8|bf16|fp16|f16|f32|"
    r"awq(?:-int4)?|gptq-int[48]|int[48]|[48]bit)(?![a-z0-9])"
)
_NOISE = frozenset(
    {
        *("instruct", "it", "chat", "hf", "gguf", "meta", "preview", "mlx", "the", "model"),
        *("gpu", "gpus", "llamacpp", "via", "ai", "ud", "qat", "of", "on", "one"),
        *("single", "node", "nvidia", "geforce", "amd", "radeon", "apple", "intel", "graphics", "core"),
        *("cores", "x1", "x2", "x4", "x8", "openbuddy"),
    }
)
"""Words that tell models and devices apart nowhere."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a name was found to mean."""

    key: str
    exact: bool
    """False: words of the name were passed over, listed in ``ignored``."""
    ignored: tuple[str, ...] = ()


def split_quant(name: str) -> tuple[str, str]:
    """A file's or model's name without its type of weights, and that type (upper case; empty without one)."""
    stem = re.sub(r"(?i)\.(?:gguf|safetensors)$", "", name.strip().rstrip("/").rpartition("/")[2] or name)
    found = list(_QUANT.finditer(stem))
    if not found:
        return stem, ""
    last = found[-1]
    return stem[: last.start()].rstrip("-_. :") + stem[last.end() :], last[1].upper()


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, lower case: ``Qwen2.5-7B`` is qwen, 2.5, 7b. Words that tell nothing are left out."""
    text = re.sub(r"\((?:r|tm)\)|[®™]", " ", name.lower())
    words = re.findall(r"\d+(?:\.\d+)?[a-z]*|[a-z]+", text)
    return tuple(word for word in words if word not in _NOISE)


def find(name: str, names: Mapping[str, Sequence[str]], *, must: re.Pattern[str] | None = None) -> Match | None:
    """The key whose names fit ``name`` best; None when nothing does, or two fit equally well.

    ``names``: key → what it is called. All words of a name must be in what was asked for. ``must`` tells words that
    may not be passed over: a size, a ``ti``.
    """
    asked = tokens(name)
    wanted = frozenset(asked)
    best: list[tuple[int, str]] = []
    for key, called in names.items():
        for each in called:
            words = frozenset(tokens(each))
            if words == wanted:
                return Match(key=key, exact=True)
            if words and words <= wanted and not (must and any(must.fullmatch(word) for word in wanted - words)):
                best.append((len(words), key))
    if not best:
        return None
    most = max(count for count, _ in best)
    keys = sorted({key for count, key in best if count == most})
    if len(keys) != 1:
        return None
    known = frozenset(word for each in names[keys[0]] for word in tokens(each))
    return Match(key=keys[0], exact=False, ignored=tuple(word for word in asked if word not in known))


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Names that look like ``name``, best first."""
    folded = {each.casefold(): each for each in names}
    return [folded[near] for near in difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=0.4)]
