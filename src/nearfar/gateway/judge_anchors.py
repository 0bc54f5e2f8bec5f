"""Prompts with a better and a worse answer, on which a judge is tried: those that come along, or the owner's own.

It asks no judge.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.core.errors import UnprocessableEntityError

FEWEST = 5
"""Fewer say nothing about a judge."""
MOST = 200
LARGEST = 4 * 1024 * 1024
"""Bytes of a file of anchors."""


class BadAnchors(UnprocessableEntityError):
    """A file of anchors is not what it must be."""

    default_code = "bad_anchors"


class Anchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt, and which of two answers to it is better."""

    prompt: str
    better: str
    worse: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    anchor: tuple[Anchor, ...]


def shipped() -> tuple[Anchor, ...]:
    """Those that come with nearfar, English and Traditional Chinese."""
    text = (Path(__file__).parent / "data" / "anchors.toml").read_bytes()
    return decode(text, _File, "not a file of anchors").anchor


def read(path: Path) -> tuple[Anchor, ...]:
    """The owner's: ``{"prompt": …, "better": …, "worse": …}`` on each line. Raises BadAnchors."""
    hint = '{"prompt": "…", "better": "…", "worse": "…"} on each line.'
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise BadAnchors(f"The anchors {path} cannot be read: {error.strerror or error}.") from error
    if len(text) > LARGEST:
        raise BadAnchors(f"{path} has more than {LARGEST} bytes.", hint=hint)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            anchor = msgspec.json.decode(line, type=Anchor)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnchors(f"{path}, line {number}: {error}.", hint=hint) from error
        if not (anchor.prompt and anchor.better and anchor.worse) or anchor.better == anchor.worse:
            raise BadAnchors(f"{path}, line {number}: three texts, and two different answers.", hint=hint)
        found.append(anchor)
    if not FEWEST <= len(found) <= MOST:
        raise BadAnchors(f"{path} holds {len(found)} anchors; {FEWEST} to {MOST} are of use.", hint=hint)
    return tuple(found)


def digest(anchors: Iterable[Anchor]) -> str:
    """Stands for their words."""
    return hashlib.sha256(msgspec.json.encode(list(anchors))).hexdigest()[:16]
