"""Sentences in the languages that advice is given in, from data/words.toml and phrases.toml. It knows no arithmetic."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from string import Formatter

from nearfar.advisor.advise import Said

LANGUAGES = ("en", "zh-Hant")


class Words:
    """One language."""

    def __init__(self, table: dict[str, str], phrases: dict[str, str]) -> None:
        self._table = table
        names = {key.removeprefix("name_"): text for key, text in table.items() if key.startswith("name_")} | phrases
        self._names = {name: names[name] for name in sorted(names, key=len, reverse=True)}

    def __call__(self, key: str, **values: str | float) -> str:
        """The sentence ``key`` with its gaps filled."""
        return self._table[key].format(**{name: self._named(value) for name, value in values.items()})

    def _named(self, value: str | float) -> str | float:
        """Names of machines and texts of licences from the data, in this language: the longest first."""
        if isinstance(value, str):
            for name, text in self._names.items():
                value = value.replace(name, text)
        return value

    def say(self, said: Said) -> str:
        """A sentence of the advice. A value ``level`` is a word of the catalogue, and has a sentence of its own."""
        values = dict(said.values)
        if "level" in values:
            values["level"] = self(f"level_{values['level']}")
        return self(said.key, **values)


@functools.cache
def words(language: str) -> Words:
    """The words of ``language``, one of LANGUAGES."""
    return Words(tables()[language], phrases().get(language, {}))


@functools.cache
def tables() -> dict[str, dict[str, str]]:
    """Language → key → sentence."""
    return tomllib.loads((Path(__file__).parent / "data" / "words.toml").read_text(encoding="utf-8"))


@functools.cache
def phrases() -> dict[str, dict[str, str]]:
    """Language → text of the catalogue → the same in that language."""
    return tomllib.loads((Path(__file__).parent / "data" / "phrases.toml").read_text(encoding="utf-8"))


def gaps(sentence: str) -> set[str]:
    """The names of what must be filled in."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}
