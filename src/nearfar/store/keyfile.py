"""Keys of 32 random bytes, in files that only their owner can read. It knows not what they are for."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from nearfar.core.errors import StoreUnavailable

KEY_BYTES = 32


def read_key(text: str, name: str) -> bytes:
    """A key written as 64 hexadecimal digits or as base64. Raises StoreUnavailable with its ``name``, not its text."""
    for decode in (bytes.fromhex, base64.b64decode):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return key
    raise StoreUnavailable(
        f"{name} does not hold {KEY_BYTES} bytes.",
        code="bad_cipher_key",
        hint="Make one: openssl rand -hex 32.",
    )


def key_in(path: Path) -> bytes:
    """The key in the file ``path``, made there when there is none. Several processes agree on one.

    Raises StoreUnavailable.
    """
    try:
        if not path.exists():
            _make(path)
        return read_key(path.read_text(encoding="ascii").strip(), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnavailable(
            f"The key in {path} cannot be used: {error}.",
            code="bad_cipher_key",
            hint="Mend its permissions.",
        ) from error


def _make(path: Path) -> None:
    """Write a whole file first and give it its name after: nobody reads half a key, and the first one stays."""
    mine = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, os.urandom(KEY_BYTES).hex().encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
