"""Private values and their masks, for one request; it knows no text positions and opens nothing.

A mask is ``⟦PERSON_7K3Q2M⟧``: a label that tells the model what stands there, an underscore as in the placeholders
models know, and a code of consonants and digits, so that no code is a word. The brackets occur in next to no text,
so ordinary replies are not held back. Where only identifiers may stand (names, keys), the word goes without brackets.

The code is HMAC-SHA256 of the value's comparable form under a key made of the gateway's key, the caller and the
conversation. The conversation is known by its own history (``identity``), so the next turn, on any replica, makes the
same masks. Two spellings of one value (王小明 and 王 小明) share a code and differ in a suffix, because each must come
back as it was. Two values never share one. Two conversations of one caller that begin with the same words share a key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from nearfar.core.errors import MaskingFailed
from nearfar.privacy import vault_escapes
from nearfar.privacy.normal import Normal

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ23456789"
LABEL = 12
"""Letters of a label at most."""
CODE = 6
"""Characters of a code: 28^6, so a guess meets one of 100 values once in five million."""
VARIANT = 2
LONGEST = 16
"""Characters of a code with everything that collisions and spellings may add."""
LIMIT = 10_000
"""Values of one request."""
LITERAL = "text"
"""The kind of what only looks like a mask."""


def fold(text: str) -> str:
    """The form in which values are compared: the normal form in lower case, without escapes and white space."""
    for _ in range(vault_escapes.NESTED):
        if "\\" not in text and "%" not in text:
            break
        text = vault_escapes.plain(text)[0]
    return "".join(Normal.of(text).lower.split()) or text


def identity(first: str) -> bytes:
    """Which conversation it is, by the first words of its user; the same in every later turn of it."""
    return hashlib.sha256(first.encode("utf-8", "surrogatepass")).digest()


def label(kind: str) -> str:
    """The label for a kind: ``tw.national_id`` → ``NATIONALID``."""
    last = kind.rpartition(".")[2]
    letters = "".join(char for char in last.upper() if "A" <= char <= "Z")[:LABEL]
    return letters if len(letters) > 1 else "PRIVATE"


class Vault:
    """What stands behind the masks of one request. It dies with the request; nothing of it is ever printed."""

    def __init__(self, key: bytes, *, caller: str, conversation: bytes, limit: int = LIMIT) -> None:
        """``key``: the gateway's secret, at least 16 bytes; ``conversation``: see ``identity``."""
        if len(key) < 16:
            raise MaskingFailed("The key for masks has fewer than 16 bytes, so masks could be forged.")
        who = caller.encode("utf-8", "surrogatepass")
        self._key = hmac.digest(key, b"masks\0%d\0" % len(who) + who + conversation, "sha256")
        self._limit = limit
        self._open = True
        self._words: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._stems: dict[str, str] = {}
        self._private: dict[str, None] = {}
        self._labels: set[str] = set()

    def __repr__(self) -> str:
        """How many values it holds, and none of them."""
        return f"<Vault of {len(self._values)} values>"

    def __len__(self) -> int:
        return len(self._values)

    @property
    def labels(self) -> set[str]:
        """The labels of its masks."""
        return self._labels

    @property
    def private(self) -> list[str]:
        """Every spelling of every private value, in the order in which they were met."""
        return list(self._private)

    def word(self, value: str, kind: str, *, private: bool = True) -> str:
        """The mask of ``value`` without its brackets; made when it has none yet. Raises MaskingFailed when full.

        ``private``: whether the value is one that must not leave; a sentence around one is not.
        """
        if private and self._open:
            self._private[value] = None
        known = self._words.get(value)
        if known is not None:
            return known
        if not self._open:
            raise MaskingFailed("This map of masks was forgotten, or only restores.")
        if len(self._values) >= self._limit:
            raise MaskingFailed(f"The request holds more than {self._limit} private values.")
        form = f"\0{value}" if kind == LITERAL else fold(value)
        stem = self._stems.get(form)
        if stem is None:
            stem = self._free(f"{label(kind)}_", form, CODE)
            self._stems[form] = word = stem
        else:
            word = self._free(stem, f"\0{value}", VARIANT)
        self._words[value] = word
        self._values[word] = value
        self._labels.add(word.partition("_")[0])
        return word

    def mask(self, value: str, kind: str, *, private: bool = True) -> str:
        """The mask of ``value``, in its brackets."""
        return f"⟦{self.word(value, kind, private=private)}⟧"

    def value(self, word: str) -> str | None:
        """What stands behind ``word``; None when it is no mask of this request."""
        return self._values.get(word)

    def pairs(self) -> dict[str, str]:
        """Every mask's word and what stands behind it: for whoever keeps it, encrypted, beyond the request."""
        return dict(self._values)

    @classmethod
    def kept(cls, pairs: Mapping[str, str]) -> Vault:
        """A vault that only restores what ``pairs`` says."""
        vault = cls(bytes(16), caller="", conversation=b"")
        vault._open = False
        vault._values.update(pairs)
        vault._words.update((value, word) for word, value in pairs.items())
        vault._labels.update(word.partition("_")[0] for word in pairs)
        return vault

    def forget(self) -> None:
        """Let go of everything; later masks are refused, later restores find nothing."""
        self._open = False
        self._key = b""
        for kept in (self._words, self._values, self._stems, self._private, self._labels):
            kept.clear()

    def _free(self, start: str, form: str, length: int) -> str:
        """A word that no other value has. A collision takes a new and longer code: no code is a part of its twin's."""
        for attempt in range(LONGEST - CODE - VARIANT):
            word = start + self._code(attempt, form, length + attempt)
            if word not in self._values:
                return word
        raise MaskingFailed("No free mask was found for a value.")

    def _code(self, attempt: int, form: str, length: int) -> str:
        digest = hmac.digest(self._key, b"%d\0" % attempt + form.encode("utf-8", "surrogatepass"), "sha256")
        number = int.from_bytes(digest[:16], "big")
        code = ""
        for _ in range(length):
            number, digit = divmod(number, len(ALPHABET))
            code += ALPHABET[digit]
        return code
