"""Where fetched models came from, kept beside them: one small file for each. It asks nobody and reads no model."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from nearfar.core.errors import NotFoundError


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model came from."""

    repo: str
    commit: str
    file: str
    """The first file, or what the folder is called."""
    files: dict[str, str]
    """Its place in the model's folder → SHA-256, as the repository stated it."""
    licence: str
    endpoint: str
    fetched: dt.date


class Origins:
    """Of the models in the folder ``models``."""

    def __init__(self, models: Path) -> None:
        self._folder = models / ".hub" / "origins"

    def keep(self, name: str, origin: Origin) -> None:
        """Remember where the model ``name`` came from."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(name).write_bytes(msgspec.json.encode(origin))

    def known(self, name: str) -> Origin | None:
        """Where it came from; None if nobody remembers."""
        try:
            return msgspec.json.decode(self._path(name).read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError):
            return None

    def of(self, name: str) -> Origin:
        """Where it came from. Raises NotFoundError."""
        origin = self.known(name)
        if origin is None:
            raise NotFoundError(
                f"Nobody stated a checksum for {name}: it was not fetched with `nearfar models pull`.",
                code="no_origin",
                hint="Remove it and fetch it from its repository, if that matters: nearfar models pull REPO",
            )
        return origin

    def forget(self, name: str) -> None:
        """The model is gone; another one of its name has another origin."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
