"""Brings flags, environment and files together into frozen settings, and remembers who said what.

It opens no file but the three configuration files, and never one of the current folder: a project that is
cloned and entered must not be able to move anybody's requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import types
import typing
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import msgspec

from nearfar.settings import checks, shape, sources
from nearfar.settings.anchor import anchored
from nearfar.settings.environ import Environ
from nearfar.settings.errors import Problem, SettingsError, refuse
from nearfar.settings.model import Settings
from nearfar.settings.paths import SYSTEM_CONFIG, Folders, folders
from nearfar.settings.secrets import is_reference, resolve
from nearfar.settings.shape import Layer, Leaf, Path, dotted

_ANYTHING: typing.Final = types.MappingProxyType({str: "anything", float: 0.0, tuple: ()})


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that hold together, with the origin of each value."""

    settings: Settings
    origins: dict[str, str]
    """Dotted key → ``flag --port``, ``env NEARFAR_…``, ``file PATH:LINE`` or ``default``; every setting is in it."""
    environ: Environ
    folders: Folders
    files: tuple[str, ...] = ()
    """Configuration files that were read, the strongest first."""
    digest: str = ""
    """Stands for the names and the content of ``files``: another value means that they have changed."""

    @property
    def ledger_url(self) -> str:
        """The ledger's database: as configured (a reference is resolved now), else in the state folder."""
        url = self.settings.ledger.url
        if is_reference(url):
            return resolve(url, self.environ).reveal()
        return url or self.folders.ledger_url

    @property
    def journal(self) -> FilePath:
        """The folder of the ledger's journal."""
        folder = self.settings.ledger.journal
        return FilePath(folder) if folder else self.folders.journal

    @property
    def audit(self) -> FilePath:
        """The folder of the audit's chains."""
        folder = self.settings.audit.folder
        return FilePath(folder) if folder else self.folders.audit


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as it was found, whether it can be used or not."""

    loaded: Loaded
    """What is sound in it: a setting that is wrong stands at its default, a table that cannot be read is left out."""
    problems: tuple[Problem, ...] = ()
    """Everything that is wrong with it."""


def load(
    *,
    config: FilePath | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str],
    system: FilePath = SYSTEM_CONFIG,
) -> Loaded:
    """The settings of this start: flag > ``NEARFAR_*`` > ``--config`` > user's file > system's file > default.

    ``config`` is the file of ``--config``; without it ``NEARFAR_CONFIG`` may name one. ``overrides`` maps dotted
    keys to text, as flags give them. Raises SettingsError with everything that is wrong, not only the first.
    """
    draft = examine(config=config, overrides=overrides, environ=environ, system=system)
    if draft.problems:
        raise refuse(draft.problems)
    return draft.loaded


def examine(
    *,
    config: FilePath | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str],
    system: FilePath = SYSTEM_CONFIG,
) -> Draft:
    """As ``load``, for whoever wants to see all of it at once: nothing that is wrong hides anything else."""
    snapshot = Environ(environ)
    named, optional, problems = _files(config, snapshot, system)
    layers = [sources.from_standard(snapshot)]
    read: list[FilePath] = []
    for path in (*optional, *named):
        if path in named or path.exists():
            try:
                layers.append(sources.from_file(path))
            except SettingsError as error:
                problems += error.problems
            else:
                read.insert(0, path)
    merged = _merge(layers)
    for late in (sources.from_environ(snapshot, merged.tables), sources.from_flags(overrides or {})):
        merged = _merge([merged, late], whole=False)

    def origin(path: Path) -> str:
        if path in merged.leaves:
            return merged.leaves[path].origin
        return merged.opened.get(path) or first.get(path, "default")

    first = _first(merged)
    problems += merged.problems + _missing(merged, first)
    told = {problem.key for problem in problems}
    for problem in checks.check(_sound(merged, problems, whole=False), origin, _named(merged)):
        # What was said about a setting, or about a table it lies in, is not said again in other words.
        if told.isdisjoint(_around(problem.key)):
            problems.append(problem)
    settings, adrift = anchored(_sound(merged, problems), origin)
    problems += adrift
    loaded = Loaded(
        settings=settings,
        origins={dotted(path): origin(path) for path, _ in shape.leaves_of(settings)},
        environ=snapshot,
        folders=folders(snapshot, settings),
        files=tuple(str(path) for path in read),
        digest=_digest(read),
    )
    return Draft(loaded=loaded, problems=tuple(problems))


def inherited(settings: Settings, digest: str = "") -> Loaded:
    """Settings that a parent process has loaded already, with this process's own environment."""
    snapshot = Environ(os.environ)
    return Loaded(settings=settings, origins={}, environ=snapshot, folders=folders(snapshot, settings), digest=digest)


def _digest(files: Sequence[FilePath]) -> str:
    told = hashlib.sha256()
    for path in files:
        with contextlib.suppress(OSError):  # gone since it was read: changed, that is
            told.update(os.fsencode(path) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()[:16]


def _files(
    config: FilePath | None, environ: Environ, system: FilePath
) -> tuple[tuple[FilePath, ...], tuple[FilePath, ...], list[Problem]]:
    """(files that were asked for by name, files that may be there, what is wrong with the names), weakest first."""
    named = config or (FilePath(environ.get("NEARFAR_CONFIG")) if environ.has("NEARFAR_CONFIG") else None)
    problems = []
    if named is not None and not named.exists():
        origin = "flag --config" if config else "env NEARFAR_CONFIG"
        problems = [Problem(key="", origin=origin, message=f"there is no file {named}", hint="Check the path.")]
        named = None
    user = folders(environ).user_config
    return ((named,) if named else ()), tuple(path for path in (system, user) if path != named), problems


def _merge(layers: list[Layer], *, whole: bool = True) -> Layer:
    """One layer of all, the later ones stronger.

    With ``whole`` a deployment or route in a stronger file replaces the weaker one as a whole: else one file's
    address could be joined to another file's key.
    """
    merged = Layer()
    for layer in layers:
        if whole:
            entries = {path[:2] for path in layer.tables if len(path) >= 2 and path[0] in {"deployments", "routes"}}
            merged.leaves = {path: leaf for path, leaf in merged.leaves.items() if path[:2] not in entries}
            merged.tables = {path: kind for path, kind in merged.tables.items() if path[:2] not in entries}
            merged.opened = {path: who for path, who in merged.opened.items() if path[:2] not in entries}
        merged.leaves |= layer.leaves
        merged.tables |= layer.tables
        merged.opened |= layer.opened
        merged.problems += layer.problems
    return merged


def _first(layer: Layer) -> dict[Path, str]:
    """Each setting and each table around one → who said the first word of it."""
    first: dict[Path, str] = {}
    for path, leaf in layer.leaves.items():
        for depth in range(len(path) + 1):
            first.setdefault(path[:depth], leaf.origin)
    return first


def _around(key: str) -> list[str]:
    """A dotted key, and what may be the key of a table that it lies in."""
    return [key, *(key[:at] for at, character in enumerate(key) if character == ".")]


def _missing(layer: Layer, first: Mapping[Path, str]) -> list[Problem]:
    """Settings without a default that nobody gave, in tables that somebody opened."""
    problems = []
    refused = {problem.key for problem in layer.problems}
    for path, kind in layer.tables.items():
        for name, field in shape.fields(kind).items():
            at = (*path, name)
            if field.required and at not in first and dotted(at) not in refused:
                origin = layer.opened.get(path) or first.get(path, "")
                problems.append(Problem(key=dotted(at), origin=origin, message="is missing and has no default"))
    return problems


def _sound(layer: Layer, problems: Sequence[Problem], *, whole: bool = True) -> Settings:
    """The settings that ``problems`` say nothing against.

    A table that lacks what it must have is left out. Unless ``whole``: then it is completed by anything of the right
    type, so that the rest of it can be checked.
    """
    wrong = {_path(problem.key) for problem in problems if problem.key}
    leaves = _without(layer.leaves, wrong)
    within = Counter(path[:depth] for path in leaves for depth in range(len(path) + 1))
    """Table or setting → how many leaves are left in it."""
    left_out: set[Path] = set()
    # The innermost first: what is left of a table may leave out the one around it.
    for path, kind in sorted(layer.tables.items(), key=lambda item: -len(item[0])):
        for name, field in shape.fields(kind).items():
            need = (*path, name)
            if not field.required or within[need]:
                continue
            if whole:
                left_out.add(path)
                gone = within[path]
                within.subtract({path[:depth]: gone for depth in range(len(path) + 1)})
                break
            leaves[need] = Leaf(value=_anything(field.type), origin="")
            within.update(need[:depth] for depth in range(len(need) + 1))
    return msgspec.convert(_tree(_without(leaves, left_out)), Settings, strict=True)


def _anything(kind: Any) -> object:
    """Some value of this type."""
    origin = typing.get_origin(kind)
    return typing.get_args(kind)[0] if origin is typing.Literal else _ANYTHING.get(origin or kind, "")


def _without(leaves: Mapping[Path, Leaf], tables: Container[Path]) -> dict[Path, Leaf]:
    """The leaves that are none of ``tables`` and lie in none of them."""
    return {
        path: leaf for path, leaf in leaves.items() if not any(path[:depth] in tables for depth in range(len(path) + 1))
    }


def _named(layer: Layer) -> set[str]:
    """Deployments that somebody wrote down, readable or not."""
    paths = [*layer.tables, *(_path(problem.key) for problem in layer.problems if problem.key)]
    return {path[1] for path in paths if len(path) > 1 and path[0] == "deployments"}


def _path(key: str) -> Path:
    try:
        return shape.parse_key(key)
    except ValueError:
        return (key,)  # what a flag or a variable named, and no setting is named like


def _tree(leaves: Mapping[Path, Leaf]) -> dict[str, object]:
    """The leaves as nested tables."""
    root: dict[str, object] = {}
    for path, leaf in leaves.items():
        table = root
        for part in path[:-1]:
            inner = table.setdefault(part, {})
            assert isinstance(inner, dict)
            table = inner
        table[path[-1]] = leaf.value
    return root
