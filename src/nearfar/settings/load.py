"""Brings flags, environment and files together into frozen settings, and remembers who said what.

It opens no file but the three configuration files, and never one of the current folder: a project that is
cloned and entered must not be able to move anybody's requests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath

import msgspec

from nearfar.settings import checks, shape, sources
from nearfar.settings.environ import Environ
from nearfar.settings.errors import Problem, SettingsError, refuse
from nearfar.settings.model import Settings
from nearfar.settings.paths import SYSTEM_CONFIG, Folders, folders
from nearfar.settings.secrets import is_reference, resolve
from nearfar.settings.shape import Layer, Leaf, Path, dotted


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that hold together, with the origin of each value."""

    settings: Settings
    origins: dict[str, str]
    """Dotted key → ``flag --port``, ``env NEARFAR_…``, ``file PATH:LINE`` or ``default``; every setting is in it."""
    environ: Environ
    folders: Folders
    files: tuple[str, ...] = ()
    """Configuration files that were read, the strongest first."""

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
    snapshot = Environ(environ)
    named, optional = _files(config, snapshot, system)
    layers = [sources.from_standard(snapshot)]
    read: list[FilePath] = []
    for path in (*optional, *named):
        if path in named or path.exists():
            layers.append(sources.from_file(path))
            read.insert(0, path)
    merged = _merge(layers)
    for late in (sources.from_environ(snapshot, merged.tables), sources.from_flags(overrides or {})):
        merged = _merge([merged, late], whole=False)
    problems = merged.problems + _missing(merged)
    if problems:
        raise refuse(problems)
    settings = msgspec.convert(_tree(merged.leaves), Settings, strict=True)

    def origin(path: Path) -> str:
        if path in merged.leaves:
            return merged.leaves[path].origin
        return next((leaf.origin for at, leaf in merged.leaves.items() if at[: len(path)] == path), "default")

    problems = checks.check(settings, origin)
    if problems:
        raise refuse(problems)
    return Loaded(
        settings=settings,
        origins={dotted(path): origin(path) for path, _ in shape.leaves_of(settings)},
        environ=snapshot,
        folders=folders(snapshot, settings),
        files=tuple(str(path) for path in read),
    )


def inherited(settings: Settings) -> Loaded:
    """Settings that a parent process has loaded already, with this process's own environment."""
    snapshot = Environ(os.environ)
    return Loaded(settings=settings, origins={}, environ=snapshot, folders=folders(snapshot, settings))


def _files(
    config: FilePath | None, environ: Environ, system: FilePath
) -> tuple[tuple[FilePath, ...], tuple[FilePath, ...]]:
    """(files that were asked for by name, files that may be there), the weakest first."""
    named = config or (FilePath(environ.get("NEARFAR_CONFIG")) if environ.has("NEARFAR_CONFIG") else None)
    if named is not None and not named.exists():
        origin = "flag --config" if config else "env NEARFAR_CONFIG"
        problem = Problem(key="", origin=origin, message=f"there is no file {named}", hint="Check the path.")
        raise SettingsError(problem.text, problems=[problem], hint=problem.hint)
    user = folders(environ).user_config
    return ((named,) if named else ()), tuple(path for path in (system, user) if path != named)


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
        merged.leaves |= layer.leaves
        merged.tables |= layer.tables
        merged.problems += layer.problems
    return merged


def _missing(layer: Layer) -> list[Problem]:
    """Settings without a default that nobody gave, in tables that somebody opened."""
    problems = []
    for path, kind in layer.tables.items():
        for name, field in shape.fields(kind).items():
            at = (*path, name)
            given = any(leaf[: len(at)] == at for leaf in layer.leaves)
            refused = any(problem.key == dotted(at) for problem in layer.problems)
            if field.required and not given and not refused:
                origin = next((leaf.origin for key, leaf in layer.leaves.items() if key[: len(path)] == path), "")
                problems.append(Problem(key=dotted(at), origin=origin, message="is missing and has no default"))
    return problems


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
