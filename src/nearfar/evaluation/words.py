"""Sentences of an evaluation's report in English and Traditional Chinese, from data/words.toml. It knows no figures."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

LANGUAGES: Final = MappingProxyType({"en": "en", "zh-Hant": "zh-Hant", "zh-TW": "zh-Hant"})
"""What may be said of a language → the language."""


class Words:
    """One language."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table

    def __call__(self, key: str, **values: object) -> str:
        """The sentence ``key`` with its gaps filled."""
        return self._table[key].format(**values)


@functools.cache
def words(language: str) -> Words:
    """The words of ``language``, a value of LANGUAGES."""
    return Words(tables()[language])


@functools.cache
def tables() -> dict[str, dict[str, str]]:
    """Language → key → sentence."""
    return tomllib.loads((Path(__file__).parent / "data" / "words.toml").read_text(encoding="utf-8"))
