"""Kind of a finding → class, with why: strict loader of data/kinds.toml. It knows no text and no detector."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.core.places import Class

PREFIX = ".*"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of finding means."""

    class_: Class
    group: str
    """Such as ``special``, ``secret``, ``identifier``, ``financial``, ``contact``, ``personal``, ``business``."""
    why: str


class Together(msgspec.Struct, frozen=True, kw_only=True):
    """Groups or kinds that mean more together than each by itself."""

    all: tuple[str, ...]
    class_: Class
    why: str


class Kinds(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table."""

    named: dict[str, Kind]
    """Kind, or the beginning of kinds with ``.*``, such as ``secret.*``."""
    otherwise: Class
    """Class of a kind that nobody has listed."""
    together: tuple[Together, ...] = ()
    many: int = 0
    """From this many findings of personal data on, a request holds a list of people; 0: never."""
    many_class: Class = Class.CONFIDENTIAL
    date: str = ""

    def of(self, kind: str) -> Kind:
        """What ``kind`` means: its own line, else the longest beginning that is listed, else the default."""
        found = self.named.get(kind)
        head = kind
        while found is None and head:
            found = self.named.get(head + PREFIX)
            head = head.rpartition(".")[0]
        return found or Kind(class_=self.otherwise, group="unlisted", why="a kind that no line of the policy names")


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str = ""
    date: str = ""


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kinds: tuple[str, ...]
    class_: str = msgspec.field(name="class")
    group: str
    why: str


class _Together(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    all: tuple[str, ...]
    class_: str = msgspec.field(name="class")
    why: str


class _Many(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: int
    class_: str = msgspec.field(name="class")


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    date: dt.date
    source: tuple[_Source, ...]
    otherwise: str
    many: _Many
    row: tuple[_Row, ...]
    together: tuple[_Together, ...] = ()


@functools.cache
def shipped() -> Kinds:
    """The table that comes with nearfar, read once."""
    return load((Path(__file__).parent / "data" / "kinds.toml").read_bytes())


def load(text: bytes) -> Kinds:
    """Read a table strictly; ValueError says what is wrong."""
    file = decode(text, _File, "not a table of kinds")
    if not file.source:
        raise ValueError("a table of kinds names its sources")
    named: dict[str, Kind] = {}
    for row in file.row:
        if not row.why:
            raise ValueError(f"{', '.join(row.kinds)}: says no reason")
        for kind in row.kinds:
            if kind in named:
                raise ValueError(f"{kind} is listed twice")
            named[kind] = Kind(class_=Class.parse(row.class_), group=row.group, why=row.why)
    return Kinds(
        named=named,
        otherwise=Class.parse(file.otherwise),
        together=tuple(Together(all=row.all, class_=Class.parse(row.class_), why=row.why) for row in file.together),
        many=file.many.count,
        many_class=Class.parse(file.many.class_),
        date=str(file.date),
    )


def changed(kinds: Kinds, groups: Mapping[str, Class], own: Mapping[str, Class], name: str) -> Kinds:
    """``kinds`` with other classes for whole groups and for single kinds, as the policy ``name`` wants them.

    ValueError for a group that no kind has. A kind that is not listed yet is added.
    """
    known = {kind.group for kind in kinds.named.values()}
    if missing := sorted(set(groups) - known):
        raise ValueError(f"no kind is in the group {', '.join(missing)}: use {', '.join(sorted(known))}")
    named = {
        key: msgspec.structs.replace(kind, class_=groups[kind.group]) if kind.group in groups else kind
        for key, kind in kinds.named.items()
    }
    for key, class_ in own.items():
        before = named.get(key) or kinds.of(key)
        named[key] = msgspec.structs.replace(before, class_=class_, why=f"{before.why} (class by policy {name})")
    return msgspec.structs.replace(kinds, named=named)
