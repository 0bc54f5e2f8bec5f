"""The folder of the children's sockets: made ours alone, cleared of dead ones, a new path for each child.

It knows no child and starts none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path

from nearfar.core.errors import EngineError

_PATH_LIMIT = 103
"""Bytes of a Unix socket's path on the strictest system."""


def new(folder: Path) -> Path:
    """A path that no other socket has."""
    return folder / f"engine-{secrets.token_hex(4)}.sock"


def prepare(folder: Path) -> None:
    """Make ``folder`` ours alone, and clear sockets in it that nobody answers on. Raises EngineError."""
    if len(os.fsencode(new(folder))) > _PATH_LIMIT:
        raise EngineError(
            f"The folder for sockets has too long a path: {folder}.",
            code="engine_runtime_dir",
            hint="Choose a shorter state_dir.",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as exc:
        raise EngineError(
            f"The folder for sockets cannot be used: {folder}: {exc.strerror}.",
            code="engine_runtime_dir",
            hint="Choose another state_dir.",
        ) from exc
    for path in folder.glob("engine-*.sock"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) != 0:
                path.unlink()
