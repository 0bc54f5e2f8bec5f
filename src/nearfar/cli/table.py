"""Lays out tables as lines: whole where there is room, else fitted to a width without breaking a word.

It counts wide characters as two, and knows neither terminals nor commands.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import msgspec
from rich.cells import cell_len

GAP = "  "
FLOW = 24
"""Cells that a column of sentences keeps before other columns are left out for it."""
NARROWEST = 8
"""Cells that a shortened column keeps, as far as that is possible at all."""
ELLIPSIS = "…"


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """A table that fits; the first line is its head."""

    lines: list[str]
    left_out: list[str]
    """Heads of columns that say something and found no room."""


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """The rows as lines in which each column begins at the same place, however wide that becomes."""
    return [_line(row, _widths(rows), right) for row in rows]


def fitted(
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    right: Sequence[int] = (),
    drop: Sequence[str] = (),
    flow: Sequence[str] = (),
    under: bool = False,
) -> Fitted:
    """The rows, heads first, in at most ``width`` cells. ``under``: what found no room stands below its row.

    ``drop`` names the columns that may be left out, the least important first. ``flow`` names columns of sentences:
    they go on in further lines, broken between words. What is still too wide is shortened in its middle.
    """
    heads = list(rows[0])
    kept = list(range(len(heads)))
    sentences = {heads.index(name) for name in flow}
    natural = _widths(rows)
    empty = [i for i in kept[1:] if not any(row[i] for row in rows[1:])]
    ranked = [*empty, *(i for i in map(heads.index, drop) if i not in empty)]
    out: list[int] = []
    while len(out) < len(ranked) and _least(kept, natural, sentences) > width:
        out.append(ranked[len(out)])
        kept.remove(out[-1])
    for index in reversed(out):
        # A wide one that had to go may have made room for narrower ones.
        if index not in empty and _least([*kept, index], natural, sentences) <= width:
            kept = sorted([*kept, index])
    widths = _shares(kept, natural, sentences, width)
    lines = []
    for row in rows:
        cells = [
            _wrapped(row[i], widths[i]) if i in sentences else [shortened(row[i], widths[i]) if row[i] else ""]
            for i in kept
        ]
        for number in range(max(map(len, cells))):
            line = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append(_line(line, [widths[i] for i in kept], [kept.index(i) for i in right if i in kept]))
        if under and row is not rows[0]:
            more = " · ".join(f"{heads[i].lower()} {row[i]}" for i in sorted(out) if i not in kept and row[i])
            lines += [f"{GAP}{text}" for text in _wrapped(more, max(NARROWEST, width - len(GAP))) if text]
    if under:
        return Fitted(lines=lines, left_out=[])
    left_out = [name for i, name in enumerate(heads) if i not in kept and i not in empty]
    return Fitted(lines=lines, left_out=left_out)


def shortened(text: str, width: int) -> str:
    """``text`` in ``width`` cells: names differ at their ends, so it is their middle that goes."""
    if cell_len(text) <= width:
        return text
    room = max(0, width - 1)
    tail = _backwards(text, room // 2)
    return f"{_forwards(text, room - cell_len(tail))}{ELLIPSIS}{tail}"


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(row[index]) for row in rows) for index in range(len(rows[0]))]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = []
    for index, (text, width) in enumerate(zip(cells, widths, strict=True)):
        fill = " " * (width - cell_len(text))
        padded.append(fill + text if index in right else text + fill)
    return GAP.join(padded).rstrip()


def _gaps(kept: Sequence[int]) -> int:
    return len(GAP) * (len(kept) - 1)


def _least(kept: Sequence[int], natural: Sequence[int], sentences: set[int]) -> int:
    """The width that ``kept`` needs when sentences take no more than they must."""
    return _gaps(kept) + sum(min(FLOW, natural[i]) if i in sentences else natural[i] for i in kept)


def _shares(kept: Sequence[int], natural: Sequence[int], sentences: set[int], width: int) -> dict[int, int]:
    """Column → its width: what it needs, taken first from the sentences, then from the widest."""
    shares = {i: natural[i] for i in kept}
    excess = _gaps(kept) + sum(shares.values()) - width
    limits = [({i: FLOW for i in kept if i in sentences}), dict.fromkeys(kept, NARROWEST), dict.fromkeys(kept, 1)]
    for limit in limits:
        while excess > 0:
            wide = [i for i, least in limit.items() if shares[i] > least]
            if not wide:
                break
            shares[max(wide, key=lambda i: shares[i])] -= 1
            excess -= 1
    return shares


def _wrapped(text: str, width: int) -> list[str]:
    """``text`` as lines of at most ``width`` cells, broken between words (or ideographs, which need no space)."""
    lines: list[str] = []
    line = ""
    for word, space in _words(text):
        joined = f"{line}{space}{word}" if line else word
        if cell_len(joined) <= width:
            line = joined
        else:
            lines += [line] if line else []
            line = shortened(word, width)
    return [*lines, line]


def _words(text: str) -> list[tuple[str, str]]:
    """(word, the space before it): an ideograph is a word by itself, closing punctuation stays with what it closes."""
    words: list[tuple[str, str]] = []
    for chunk in text.split():
        space = " "
        word = ""
        for character in chunk:
            if unicodedata.east_asian_width(character) not in "WF":
                word += character
                continue
            if unicodedata.category(character).startswith("P") and word:
                word += character
                continue
            if word:
                words.append((word, space))
                space = ""
            word = character
        words.append((word, space))
    return words


def _forwards(text: str, room: int) -> str:
    taken = ""
    for character in text:
        if cell_len(taken + character) > room:
            break
        taken += character
    return taken


def _backwards(text: str, room: int) -> str:
    taken = ""
    for character in reversed(text):
        if cell_len(character + taken) > room:
            break
        taken = character + taken
    return taken
