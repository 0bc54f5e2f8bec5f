"""The folders nearfar lives in, by the platform's own rules. It creates them; it does not know what lies in them."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path

import msgspec

from nearfar.settings.environ import Environ
from nearfar.settings.errors import SettingsError
from nearfar.settings.model import Settings

APP = "nearfar"
LONGEST_RUNTIME = 80
"""Bytes of the runtime folder's path: a socket's whole path may have 103 on the strictest system."""
SYSTEM_CONFIG = Path("/etc/nearfar/config.toml")


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute folders. Nothing says that they exist: see ``private``."""

    config: Path
    """Holds ``config.toml``."""
    state: Path
    """Database, journal and key hashes."""
    data: Path
    cache: Path
    runtime: Path
    """Sockets and other things that end with the process."""
    models: Path
    """GGUF files added by their owner."""

    @property
    def user_config(self) -> Path:
        """The user's configuration file, whether it exists or not."""
        return self.config / "config.toml"

    @property
    def ledger_url(self) -> str:
        """The ledger's database when none is configured."""
        return f"sqlite:///{self.state / 'ledger.db'}"

    @property
    def journal(self) -> Path:
        """The ledger's journal when none is configured."""
        return self.state / "journal"

    @property
    def audit(self) -> Path:
        """The audit's chains when no folder is configured."""
        return self.state / "audit"


def folders(environ: Environ, settings: Settings | None = None) -> Folders:
    """Where things are for this user; ``state_dir`` and ``models_dir`` of ``settings`` win.

    With ``state_dir`` set, sockets stay in it too: two gateways with two state folders never meet.
    """
    platform = _xdg(environ) if sys.platform.startswith("linux") else _platform()
    if settings is None:
        return platform
    state = _chosen(settings.state_dir, "state_dir", environ)
    models = _chosen(settings.models_dir, "models_dir", environ)
    if state is not None:
        platform = msgspec.structs.replace(platform, state=state, runtime=state / "run")
    if len(os.fsencode(platform.runtime)) > LONGEST_RUNTIME:
        platform = msgspec.structs.replace(platform, runtime=_short(platform.state, environ))
    return msgspec.structs.replace(platform, models=models) if models is not None else platform


def _short(state: Path, environ: Environ) -> Path:
    """A folder of its own for each state folder and user, whose path leaves room for a socket's name."""
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(environ.get("TMPDIR") or "/tmp") / f"nearfar-{os.getuid()}-{name}"  # noqa: S108 - see private


def private(path: Path) -> Path:
    """``path``, created with its missing parents, readable by its owner alone; an existing folder stays as it is."""
    try:
        missing = [item for item in (path, *path.parents) if not item.exists()]
        for item in reversed(missing):
            item.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(f"{path} is not a folder")
        if path.parent.stat().st_mode & stat.S_IWOTH and path.lstat().st_uid != os.getuid():
            # In /tmp anybody may have made it first, in order to own what we put there.
            raise PermissionError(f"{path} belongs to somebody else")
    except OSError as error:
        raise SettingsError(
            f"The folder {path} cannot be created: {error.strerror or error}.",
            hint="Set state_dir (or models_dir) to a folder you may write to, or mend its permissions.",
        ) from error
    return path


def _xdg(environ: Environ) -> Folders:
    """The XDG base directories. platformdirs reads the process environment; this reads the snapshot."""
    home = Path(environ.get("HOME") or Path("~").expanduser())
    state = _base(environ, "XDG_STATE_HOME", home / ".local/state")
    data = _base(environ, "XDG_DATA_HOME", home / ".local/share")
    return Folders(
        config=_base(environ, "XDG_CONFIG_HOME", home / ".config"),
        state=state,
        data=data,
        cache=_base(environ, "XDG_CACHE_HOME", home / ".cache"),
        runtime=_base(environ, "XDG_RUNTIME_DIR", state / "run", own=False),
        models=data / "models",
    )


def _base(environ: Environ, name: str, default: Path, *, own: bool = True) -> Path:
    value = environ.get(name)
    # The specification: a relative path is invalid and is ignored.
    if value and Path(value).is_absolute():
        return Path(value) / APP
    return default / APP if own else default


def _platform() -> Folders:
    import platformdirs

    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return Folders(
        config=dirs.user_config_path,
        state=dirs.user_state_path,
        data=dirs.user_data_path,
        cache=dirs.user_cache_path,
        runtime=dirs.user_runtime_path,
        models=dirs.user_data_path / "models",
    )


def _chosen(text: str, key: str, environ: Environ) -> Path | None:
    if not text:
        return None
    if text == "~" or text.startswith("~/"):
        text = (environ.get("HOME") or str(Path("~").expanduser())) + text[1:]
    if "\0" in text:
        raise SettingsError(f"{key}: not a path.")
    return Path(os.path.abspath(text))  # noqa: PTH100 - resolve() would follow links, which may not exist yet
