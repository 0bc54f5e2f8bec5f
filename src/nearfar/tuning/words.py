"""Hashed TF-IDF of words and pairs of words, and how alike a prompt is to remembered ones. It knows no language.

Runs of ideographs, which have no spaces, count by single characters and pairs. Words are stored as hashes: whoever
has the file can test whether a known word was seen, so it counts as content.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

BITS: Final = 31
"""Of a hash. So many that words hardly ever share one: a rare pair that shares its own would not look rare, and rare
ones, of which prompts are full, would drown what is common to two of them."""
SIZE: Final = 1 << BITS
LONGEST: Final = 4_000
"""Characters of a prompt that are looked at: its beginning and its end, half each. The question usually stands there,
and a router in use has two milliseconds for it."""
_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+|_+")
_RARE = 2
"""Prompts in which a word must stand to count: others say nothing about unseen prompts."""
_COMMON = 0.5
"""Share of prompts from which a word tells nothing apart and only costs time, once there are many prompts."""
_MANY = 100

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


def shortened(text: str) -> str:
    """What is looked at of a prompt."""
    return text if len(text) <= LONGEST else text[: LONGEST // 2] + text[-LONGEST // 2 :]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return values ^ (values >> np.uint64(33))


def counted(text: str) -> tuple[Whole, Floats]:
    """(buckets, damped counts) of a text's words and pairs."""
    found = _WORD.findall(shortened(text).lower())
    words = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in found], np.uint64)
    pairs = words[:-1] * np.uint64(31) + words[1:]
    hashed = _mixed(np.concatenate((words, pairs))) >> np.uint64(64 - BITS)
    buckets, counts = np.unique(hashed.astype(np.int64), return_counts=True)
    return buckets, (1 + np.log(counts)).astype(np.float32)


class Words(msgspec.Struct, frozen=True):
    """Remembered prompts by word: for each known bucket, which prompts hold it and how much it weighs there."""

    buckets: NDArray[np.int32]
    """Known buckets, ascending."""
    idf: Floats
    """For each of them."""
    begins: NDArray[np.int64]
    """Where its prompts begin in ``rows`` and ``weights``; one more than buckets."""
    rows: NDArray[np.int32]
    weights: Floats
    count: int
    """Remembered prompts."""

    def vector(self, text: str) -> tuple[NDArray[np.intp], Floats]:
        """(positions among the known buckets, unit weights) of a text."""
        buckets, counts = counted(text)
        at = np.searchsorted(self.buckets, buckets)
        at[at == len(self.buckets)] = 0
        hit = self.buckets[at] == buckets if len(self.buckets) else np.zeros(len(buckets), bool)
        at = at[hit]
        weights = counts[hit] * self.idf[at]
        norm = float(np.sqrt(weights @ weights))
        return at, (weights / norm if norm else weights).astype(np.float32)

    def alike(self, text: str) -> Floats:
        """Cosine between a text and every remembered prompt, 0 to 1."""
        at, weights = self.vector(text)
        if not len(at):
            return np.zeros(self.count, np.float32)
        return _gathered(self, at, weights)


def _gathered(index: Words, at: NDArray[np.intp], weights: Floats) -> Floats:
    """Sums over the postings of some buckets. Slices are joined, which takes a third of the time of one big pick."""
    ends = [*zip(index.begins[at].tolist(), index.begins[at + 1].tolist(), weights, strict=True)]
    rows = np.concatenate([index.rows[begin:end] for begin, end, _ in ends])
    products = np.concatenate([index.weights[begin:end] * weight for begin, end, weight in ends])
    return np.bincount(rows, weights=products, minlength=index.count).astype(np.float32)


def remember(texts: Sequence[str]) -> Words:
    """The index of these prompts."""
    found = [counted(text) for text in texts]
    sizes = np.array([len(buckets) for buckets, _ in found], np.int64)
    buckets = np.concatenate([item for item, _ in found]) if found else np.zeros(0, np.int64)
    counts = np.concatenate([item for _, item in found]) if found else np.zeros(0, np.float32)
    rows = np.repeat(np.arange(len(texts)), sizes)
    all_buckets, which, document_counts = np.unique(buckets, return_inverse=True, return_counts=True)
    idf = (np.log((1 + len(texts)) / (1 + document_counts)) + 1).astype(np.float32)
    most = _COMMON * len(texts) if len(texts) >= _MANY else len(texts)
    worth = (document_counts >= _RARE) & (document_counts <= most)
    kept = worth[which]
    which, counts, rows = which[kept], counts[kept], rows[kept]
    weights = counts * idf[which]
    norms = np.sqrt(np.bincount(rows, weights=weights * weights, minlength=len(texts)))
    weights = (weights / norms[rows]).astype(np.float32)
    order = np.argsort(which, kind="stable")
    sizes = np.where(worth, document_counts, 0)[worth]
    return Words(
        buckets=all_buckets[worth].astype(np.int32),
        idf=idf[worth],
        begins=np.append(0, np.cumsum(sizes)).astype(np.int64),
        rows=rows[order].astype(np.int32),
        weights=weights[order],
        count=len(texts),
    )


def gram(index: Words, part: NDArray[np.intp] | None = None) -> Floats:
    """Cosines between all remembered prompts, or between some of them."""
    chosen = np.arange(index.count) if part is None else part
    table = np.zeros((len(chosen), len(chosen)), np.float32)
    positions = np.repeat(np.arange(len(index.buckets)), np.diff(index.begins))
    order = np.argsort(index.rows, kind="stable")
    ends = np.cumsum(np.bincount(index.rows, minlength=index.count))
    for at, row in enumerate(chosen.tolist()):
        mine = order[(ends[row - 1] if row else 0) : ends[row]]
        if len(mine):
            table[at] = _gathered(index, positions[mine], index.weights[mine])[chosen]
    return table
