"""Fetches secrets by reference (``env:NAME``, ``file:PATH``) when they are needed. It keeps none and prints none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

from nearfar.settings.environ import Environ
from nearfar.settings.errors import SettingsError

MAX_BYTES = 64 * 1024


class Secret:
    """A value that does not print itself. ``reveal`` is the one way to it, so it is easy to search for."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str) -> None:
        self._value = value
        self.reference = reference

    def __repr__(self) -> str:
        return f"<Secret from {self.reference}>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")

    def reveal(self) -> str:
        """The value itself."""
        return self._value


def is_reference(text: str) -> bool:
    """Whether ``text`` says where a secret is, rather than being one."""
    scheme, _, rest = text.partition(":")
    if scheme == "env":
        return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest) is not None
    return scheme == "file" and rest.startswith(("/", "~/")) and rest.isprintable()


def resolve(reference: str, environ: Environ) -> Secret:
    """The secret behind ``reference``, read now. Raises SettingsError, which names the reference and no value."""
    if not is_reference(reference):
        raise SettingsError(
            "A key is written out where a reference belongs (its value is not repeated here).",
            hint="Use env:NAME or file:/absolute/path.",
        )
    scheme, _, rest = reference.partition(":")
    value = environ.get(rest) if scheme == "env" else _read(rest, reference, environ)
    value = value.strip()
    if not value:
        hint = f"Set the variable: export {rest}=…" if scheme == "env" else f"Write the key into {rest}."
        raise SettingsError(f"The key at {reference} is empty or not set.", hint=hint, code="secret_missing")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise SettingsError(
            f"The key at {reference} holds characters that no header may carry.",
            hint="It should be the key alone, on one line.",
        )
    return Secret(value, reference)


def _read(path: str, reference: str, environ: Environ) -> str:
    if path.startswith("~/") and environ.has("HOME"):
        path = environ.get("HOME") + path[1:]
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        # Too long for a key, so none: the empty text is refused by the caller like an empty file.
        return data.decode("utf-8") if len(data) <= MAX_BYTES else ""
    except OSError as error:
        raise SettingsError(
            f"The key at {reference} cannot be read: {error.strerror}.", hint="Check the path and its permissions."
        ) from error
    except UnicodeDecodeError:
        # A decoding error repeats the bytes it met, so the cause is not chained.
        raise SettingsError(f"The file at {reference} does not hold a key.", hint="One line of text.") from None


def hide_credentials(url: str) -> str:
    """``url`` without its user name and password, for people to read."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)" if "@" in url else url
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))
