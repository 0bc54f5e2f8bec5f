"""Random phrases and values made from ``words.toml``. Knows nothing of dialogues.

With ``unseen`` the words kept for evaluation replace the ones that the corpus uses; made-up names, numbers and codes
come from the same makers with another random state.
"""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")

_ONSETS = "b c d f g h j k l m n p r s t v w z br ch dr fl gr kl pr sh st tr th pl sk".split()  # noqa: SIM905 - reads as a table
_VOWELS = "a e i o u ai ea ou ee ia".split()  # noqa: SIM905 - reads as a table
_CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "k", "nd", "rt", "x"]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def choose(random_: random.Random, pattern: str) -> str:
    """One reading of ``pattern``: each ``(a|b|)`` becomes one of its alternatives."""
    return _CHOICE.sub(lambda match: random_.choice(match.group(1).split("|")), pattern)


def readings(pattern: str) -> int:
    """How many readings a pattern has, at most."""
    count = 1
    for match in _CHOICE.finditer(pattern):
        count *= len(match.group(1).split("|"))
    return count


class Words:
    """Makers of words and values; every call advances the random state that it was given."""

    def __init__(self, random_: random.Random, *, unseen: bool = False) -> None:
        self.random = random_
        table = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))
        self.lists: dict[str, list[str]] = {}
        for name, words in table.items():
            base = name.removesuffix("_unseen")
            if (base != name) == unseen or (unseen and f"{name}_unseen" not in table):
                self.lists[base] = words.split()

    def one(self, name: str) -> str:
        """A word of one list."""
        return self.random.choice(self.lists[name])

    def made_up(self) -> str:
        """A word that nobody has seen: one to three syllables."""
        r = self.random
        return "".join(r.choice(_ONSETS) + r.choice(_VOWELS) + r.choice(_CODAS) for _ in range(r.choice((1, 2, 2, 3))))

    def name(self, listed: str) -> str:
        """A proper name: from a list, or more often made up; sometimes two words, sometimes in small letters."""
        r = self.random
        word = self.one(listed) if r.random() < 0.35 else self.made_up().capitalize()
        if r.random() < 0.15:
            word += " " + self.made_up().capitalize()
        return word.lower() if r.random() < 0.15 else word

    def noun_phrase(self) -> str:
        """One to three small words."""
        r = self.random
        words = [self.one("nouns") if r.random() < 0.7 else self.made_up()]
        while len(words) < 3 and r.random() < 0.45:
            words.insert(0, self.one("adjectives") if r.random() < 0.6 else self.made_up())
        return " ".join(words)

    def whole(self, largest: int = 9999) -> int:
        """A whole number; each count of digits is equally likely."""
        digits = self.random.randint(1, len(str(largest)))
        return min(largest, self.random.randint(0 if digits == 1 else 10 ** (digits - 1), 10**digits - 1))

    def code(self) -> str:
        """An identifier such as K-4821, inv203 or 7f-19."""
        r = self.random
        letters = "".join(r.choice(_LETTERS) for _ in range(r.randint(1, 3)))
        letters = letters.upper() if r.random() < 0.6 else letters
        return letters + r.choice(("-", "", "-", "_")) + str(r.randint(1, 99999))

    def value(self, kind: str) -> str | int | bool:
        """A value for a tool's argument of this kind."""
        r = self.random
        match kind:
            case "city":
                return (
                    self.name("cities") if r.random() < 0.97 or "zh_cities" not in self.lists else self.one("zh_cities")
                )
            case "person":
                return self.name("people")
            case "phrase":
                return self.noun_phrase()
            case "int":
                return self.whole()
            case "few":
                return r.randint(1, 20)
            case "code":
                return self.code() if r.random() < 0.7 else str(self.whole(99999))
            case "clock":
                return f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
            case "room":
                return r.choice(("kitchen", "bedroom", "hall", "office", "cellar", "bathroom", "attic", self.made_up()))
            case "currency":
                return r.choice(("euro", "dollar", "yen", "pound", "franc", "TWD", "EUR", "USD", "JPY", self.made_up()))
            case "thing":
                return self.one("things") if r.random() < 0.5 else self.noun_phrase()
            case "day":
                return r.choice(
                    ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", self.date())
                )
            case "date":
                return self.date()
            case "flag":
                return r.random() < 0.5
            case _:
                raise ValueError(f"no maker for values of kind {kind!r}")

    def date(self) -> str:
        """A date such as 2026-03-14."""
        r = self.random
        return f"20{r.randint(20, 39)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"

    def fill(self, pattern: str) -> str:
        """A reading of ``pattern`` whose slots are filled with words: {noun}, {city}, {person}, {n}, {phrase}, …"""
        return _SLOT.sub(lambda match: self._slot(match.group(1)), choose(self.random, pattern))

    def _slot(self, name: str) -> str:
        r = self.random
        match name:
            case "noun":
                return self.one("nouns") if r.random() < 0.75 else self.made_up()
            case "verb":
                return self.one("verbs")
            case "adjective":
                return self.one("adjectives")
            case "n":
                return str(self.whole())
            case "small":
                return str(r.randint(1, 9))
            case "sky":
                return r.choice(("sunny", "rain", "snow", "clouds", "wind", "fog", "storm", "clear"))
            case "zh":
                return self.one("zh_nouns") if r.random() < 0.7 else self.han()
            case _:
                return str(self.value(name))

    def han(self) -> str:
        """One to three common Han characters, at random."""
        return "".join(chr(self.random.randint(0x4E00, 0x9FA5)) for _ in range(self.random.randint(1, 3)))


_BEFORE = (
    "please ",
    "can you tell me ",
    "ok ",
    "so ",
    "i want to know ",
    "quick question: ",
    "hey, ",
    "well, ",
    "sorry, ",
)
_AFTER = (" please", " please?", "!", ".", "..", " now", " thanks", " exactly?")


def spoken(random_: random.Random, text: str, *, exact: bool = False) -> str:
    """``text`` as somebody might type it: with a capital, a question mark, a polite word or a slip.

    With ``exact`` nothing is changed inside and no word is added at the end, so that values in it stay whole.
    """
    if not exact and random_.random() < 0.05 and len(text) > 8:
        at = random_.randrange(1, len(text) - 2)
        text = text[:at] + random_.choice((text[at + 1] + text[at], text[at] * 2, "")) + text[at + 2 :]
    if random_.random() < 0.3:
        text = random_.choice(_BEFORE) + text
    draw = random_.random()
    if draw < 0.35:
        text += "?"
    elif draw < 0.55:
        text += random_.choice(("?", ".", "!") if exact else _AFTER)
    return text[0].upper() + text[1:] if random_.random() < 0.4 else text
