from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.engine.child_text import Detokenizer, Stops, overlap


def decoded(pieces: list[bytes]) -> list[str]:
    """What comes out for tokens with these bytes, the rest at the end last."""
    detokenizer = Detokenizer(lambda tokens: b"".join(pieces[t] for t in tokens).decode("utf-8", "replace"), {})
    return [*(detokenizer.feed(token) for token in range(len(pieces))), detokenizer.flush()]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(text=st.text(max_size=60), places=st.lists(st.integers(0, 400), max_size=80))
def test_every_cut_of_a_text_gives_the_text_and_no_half_character(text: str, places: list[int]) -> None:
    out = decoded(cut(text.encode(), places))
    assert "".join(out) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in out)


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 400), max_size=200))
def test_noise_comes_out_whole(data: bytes, places: list[int]) -> None:
    assert "".join(decoded(cut(data, places))) == data.decode("utf-8", "replace")


def test_a_character_appears_with_its_last_byte() -> None:
    data = "你好".encode()
    assert decoded([data[:1], data[1:4], data[4:], b"!"]) == ["", "你", "好", "!", ""]


def test_noise_is_not_held_for_ever() -> None:
    out = decoded([b"\xff"] * 100)
    assert len("".join(out[:10])) >= 7


def test_a_first_space_that_a_decoder_drops_is_only_dropped_once() -> None:
    """Decoders of the sentencepiece kind drop the space before the first word."""
    words = ["▁the", "▁cat", "s", "▁sat"]
    detokenizer = Detokenizer(lambda tokens: "".join(words[t] for t in tokens).replace("▁", " ").lstrip(" "), {})
    assert "".join(detokenizer.feed(token) for token in range(4)) == "the cats sat"


def test_marks_are_seen() -> None:
    detokenizer = Detokenizer(lambda tokens: "".join("ab"[t] for t in tokens if t < 2), {7: "[TOOL_CALLS]"})
    assert [detokenizer.feed(token) for token in (0, 7, 1, 5)] == ["a", "[TOOL_CALLS]", "b", ""]


@given(
    text=st.text("abc", max_size=30),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    places=st.lists(st.integers(0, 60), max_size=30),
)
def test_a_stop_ends_the_text_before_it_however_it_is_cut(text: str, stops: list[str], places: list[int]) -> None:
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    reader, out = Stops(stops), ""
    for piece in cut(text.encode(), places):
        out += reader.feed(piece.decode())
    out += reader.flush()
    if any(len(stop) > 1 for stop in stops):
        # A stop that is whole earlier wins over one that begins earlier: what is out cannot be taken back.
        assert reader.hit == bool(found)
        assert not any(stop in out for stop in stops)
    else:
        assert out == (text[: min(found)] if found else text)


@pytest.mark.parametrize(
    ("text", "word", "length"), [("xab", "abc", 2), ("abc", "abc", 0), ("", "a", 0), ("aa", "aab", 2)]
)
def test_overlap(text: str, word: str, length: int) -> None:
    assert overlap(text, word) == length
