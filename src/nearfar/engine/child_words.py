"""The bytes of a vocabulary's tokens, from ``tokenizer.json``. It knows no engine.

A runtime's own decoder turns tokens into text, and loses what follows half a character; bytes can simply be joined.
Format: Hugging Face tokenizers 0.23, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class _Added(msgspec.Struct):
    id: int
    content: str
    special: bool = False


class _Model(msgspec.Struct):
    vocab: Any = None


class _Tokenizer(msgspec.Struct):
    model: _Model
    decoder: Any = None
    added_tokens: list[_Added] = []


class Words(msgspec.Struct, frozen=True):
    """What is known of the tokens."""

    special: dict[str, int]
    """Text → token of those added to the vocabulary."""
    pieces: Mapping[int, bytes]
    """Token → its bytes, special ones apart; empty where the vocabulary is not one of bytes."""

    @classmethod
    def read(cls, path: Path) -> Words:
        """Of the file at ``path``. Raises msgspec.DecodeError, OSError."""
        found = msgspec.json.decode(path.read_bytes(), type=_Tokenizer)
        special = {added.content: added.id for added in found.added_tokens}
        vocabulary = found.model.vocab
        if not isinstance(vocabulary, dict) or not byte_level(found.decoder):
            return cls(special, {})
        of_letter = {letter: byte for byte, letter in enumerate(letters())}
        pieces = {}
        for word, token in vocabulary.items():
            try:
                pieces[token] = bytes([of_letter[letter] for letter in word])
            except KeyError:  # no word of bytes: some vocabularies hold their special tokens too
                pieces[token] = word.encode()
        for added in found.added_tokens:
            pieces[added.id] = b"" if added.special else added.content.encode()
        return cls(special, pieces)


def byte_level(decoder: object) -> bool:
    """Whether a tokenizer's decoder joins bytes written as GPT-2's letters, and does nothing else."""
    return isinstance(decoder, dict) and decoder.get("type") == "ByteLevel"


def letters() -> list[str]:
    """GPT-2's printable stand-ins for bytes, in byte order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unprintable = iter(range(256, 512))
    return [chr(byte if byte in printable else next(unprintable)) for byte in range(256)]
