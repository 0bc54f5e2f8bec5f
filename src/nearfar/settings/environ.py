"""A snapshot of the environment, and what its standard variables say. It prints names, never values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nearfar.settings.errors import Problem, SettingsError

PREFIX = "NEARFAR_"
RESERVED = frozenset({"NEARFAR_CONFIG", "NEARFAR_API_KEY", "NEARFAR_URL"})
"""Variables of the terminal itself: a configuration file, and how to reach a running gateway."""
OLLAMA_PORT = 11434


class Environ:
    """What the process was started with, taken once; later changes of the process environment do not show."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __repr__(self) -> str:
        return f"<Environ of {len(self._values)} variables>"

    def get(self, name: str) -> str:
        """The variable's value; empty when it is unset."""
        return self._values.get(name, "")

    def has(self, name: str) -> bool:
        """Whether the variable is set to something."""
        return bool(self._values.get(name))

    def present(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of ``names`` that are set to something, in the given order."""
        return tuple(name for name in names if self.has(name))

    def first(self, *names: str) -> tuple[str, str]:
        """(name, value) of the first of ``names`` that is set; two empty strings when none is."""
        for name in names:
            if self.has(name):
                return name, self._values[name]
        return "", ""

    def values(self) -> dict[str, str]:
        """Everything, for a child process that stands in for this one."""
        return dict(self._values)

    def ours(self) -> dict[str, str]:
        """All variables that start with ``NEARFAR_``, except the terminal's own."""
        return {
            name: value
            for name, value in sorted(self._values.items())
            if name.startswith(PREFIX) and name not in RESERVED
        }

    @property
    def ssl_cert_file(self) -> str:
        """Path of a PEM file with the authorities to trust instead of the system's; empty when unset."""
        return self.get("SSL_CERT_FILE")

    @property
    def ollama_url(self) -> str:
        """OLLAMA_HOST as a base URL a client can use; empty when unset. Raises SettingsError for a bad one.

        Ollama's own rules: ``http`` and port 11434 unless said otherwise; an address that means "every
        interface" to a server means loopback to a client.
        """
        value = self.get("OLLAMA_HOST").strip()
        return _ollama_url(value) if value else ""


_ADDRESS = re.compile(
    r"(?:(https?)://)?([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?((?:/[A-Za-z0-9._~/-]*)?)", re.IGNORECASE
)


def _ollama_url(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match[3] or 1) not in range(1, 65536):
        problem = Problem(
            key="",
            origin="env OLLAMA_HOST",
            message="not an address such as 127.0.0.1:11434",
            hint="Set OLLAMA_HOST to host:port, or unset it.",
        )
        raise SettingsError(problem.text, problems=[problem], hint=problem.hint)
    scheme = (match[1] or "http").lower()
    port = match[3] or {"": OLLAMA_PORT, "http": 80, "https": 443}[(match[1] or "").lower()]
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(match[2], match[2])
    return f"{scheme}://{host}:{port}{match[4].rstrip('/')}"
