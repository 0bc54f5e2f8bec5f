from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearfar.engine.child_words import Words, letters


def words(folder: Path, **changes: Any) -> Words:
    content = {
        "model": {"vocab": {"Ġa": 0, "ä½": 1, "ł": 2, "<s>": 3, "漢": 4}},
        "decoder": {"type": "ByteLevel"},
        "added_tokens": [
            {"id": 3, "content": "<s>", "special": True},
            {"id": 5, "content": "<tool_call>", "special": False},
        ],
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content | changes))
    return Words.read(path)


def test_tokens_as_bytes(tmp_path: Path) -> None:
    found = words(tmp_path)
    assert found.pieces == {0: b" a", 1: b"\xe4\xbd", 2: b"\xa0", 3: b"", 4: "漢".encode(), 5: b"<tool_call>"}
    assert found.special == {"<s>": 3, "<tool_call>": 5}


def test_other_vocabularies_are_left_to_their_runtime(tmp_path: Path) -> None:
    for decoder in (None, {"type": "Metaspace"}, {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]}):
        found = words(tmp_path, decoder=decoder)
        assert not found.pieces
        assert found.special
    assert not words(tmp_path, model={"vocab": [["a", 0.1]]}).pieces  # a Unigram's list


def test_all_bytes_have_their_letter() -> None:
    assert len(set(letters())) == 256
    assert (letters()[0x20], letters()[0x41], letters()[0x0A]) == ("Ġ", "A", "Ċ")


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("[")
    with pytest.raises(msgspec.DecodeError):
        Words.read(tmp_path / "tokenizer.json")
