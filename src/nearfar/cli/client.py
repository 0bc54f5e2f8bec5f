"""Talks to a running gateway over HTTP. It knows paths and errors of the gateway, and no command.

It follows no redirect, uses no proxy, and sends a key only to the address that was asked for.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from nearfar import __version__
from nearfar.cli.errors import UsageError
from nearfar.core.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NearfarError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    StreamCut,
)
from nearfar.settings.environ import Environ
from nearfar.settings.load import Loaded

QUICK = 3.0
"""Seconds a question about state may take."""
PATIENT = 900.0
"""Seconds between two pieces of an answer."""
MAX_BODY = 64 * 1024 * 1024


class _Reply:
    """A reply being read; leaving its ``with`` closes the connection, whatever is still to come."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def read(self) -> bytes:
        """Some more bytes; empty at the end."""
        return self._response.read1(65536)


class Gateway:
    """A running gateway's address, and the key to present there."""

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._base = parts.path.rstrip("/")
        self._key = key.strip()

    def __repr__(self) -> str:
        return f"<Gateway at {self.url}>"

    def get(self, path: str, *, timeout: float = QUICK) -> Any:
        """The JSON value at ``path``."""
        return self._json("GET", path, None, timeout)

    def post(self, path: str, body: object, *, timeout: float = QUICK) -> Any:
        """What the gateway answers to ``body``, sent as JSON."""
        return self._json("POST", path, msgspec.json.encode(body), timeout)

    def alive(self) -> bool:
        """Whether a nearfar gateway answers there. No key is sent: it might be somebody else."""
        try:
            with self._open("GET", "/", None, 1.0, key=False) as reply:
                said = msgspec.json.decode(_read(reply))
                return reply.status == 200 and isinstance(said, dict) and said.get("name") == "nearfar"
        except (NearfarError, msgspec.DecodeError):
            return False

    def ready(self) -> Any:
        """What it says of its own readiness, ready or not. No key is sent, for nobody is asked for one there."""
        with self._open("GET", "/readyz", None, QUICK, key=False) as reply:
            try:
                return msgspec.json.decode(_read(reply))
            except msgspec.DecodeError as error:
                raise InternalServerError(f"{self.url}/readyz did not answer with JSON.") from error

    @contextlib.contextmanager
    def stream(
        self, path: str, body: object, extra: Mapping[str, str] | None = None
    ) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
        """(lower-case headers, pieces of the body as they come). Raises the gateway's error for a refused request."""
        with self._open("POST", path, msgspec.json.encode(body), PATIENT, extra=extra) as reply:
            if reply.status >= 400:
                raise error_of(reply.status, _read(reply))
            yield reply.headers, _pieces(reply)

    def _json(self, method: str, path: str, body: bytes | None, timeout: float) -> Any:
        with self._open(method, path, body, timeout) as reply:
            data = _read(reply)
        if reply.status >= 400:
            raise error_of(reply.status, data)
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError as error:
            raise InternalServerError(
                f"{self.url}{path} did not answer with JSON.", hint="Is this address a nearfar gateway?"
            ) from error

    def _open(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        *,
        key: bool = True,
        extra: Mapping[str, str] | None = None,
    ) -> _Reply:
        """The reply, its head read."""
        headers = {"user-agent": f"nearfar-cli/{__version__}", "accept-encoding": "identity", **(extra or {})}
        if body is not None:
            headers["content-type"] = "application/json"
        if key and self._key:
            headers["authorization"] = f"Bearer {self._sound_key()}"
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, self._base + path, body, headers)
            return _Reply(connection, connection.getresponse())
        except TimeoutError as error:
            connection.close()
            raise APITimeoutError(f"The gateway at {self.url} did not answer within {timeout:g} s.") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise APIConnectionError(
                f"No gateway answers at {self.url} ({_why(error)}).",
                hint="Start one with `nearfar serve`, or name another with --url or NEARFAR_URL.",
            ) from error

    def _sound_key(self) -> str:
        """The key, if a header can hold it; an error of the library below would repeat it."""
        if self._key.isascii() and self._key.isprintable() and " " not in self._key:
            return self._key
        raise AuthenticationError(
            "NEARFAR_API_KEY holds what no key does: a space, a line break or a letter beyond ASCII.",
            hint="Set it to a key made with `nearfar keys new`.",
        )


def locate(loaded: Loaded, url: str = "") -> Gateway:
    """The gateway to talk to: ``--url``, else ``NEARFAR_URL``, else where the configuration would serve."""
    environ: Environ = loaded.environ
    source = "--url" if url else "NEARFAR_URL"
    chosen = url or environ.get("NEARFAR_URL")
    if not chosen:
        return Gateway(served_at(loaded), environ.get("NEARFAR_API_KEY"))
    if not re.fullmatch(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?", chosen):
        raise UsageError(
            f"{source} is not an address.", hint="Use http://127.0.0.1:8642, without credentials or query."
        )
    return Gateway(chosen.removesuffix("/").removesuffix("/v1"), environ.get("NEARFAR_API_KEY"))


def served_at(loaded: Loaded) -> str:
    """The address at which a gateway with these settings is reached from this machine."""
    server = loaded.settings.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    scheme = "https" if server.tls_cert else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def error_of(status: int, body: bytes) -> NearfarError:
    """The error that the gateway's error body stands for."""
    kind: type[NearfarError] = InternalServerError
    if status in _KINDS:
        kind = _KINDS[status]
    elif 400 <= status < 500:
        kind = BadRequestError
    message, code = _told(body)
    hint = "Set NEARFAR_API_KEY to a key made with `nearfar keys new`." if status == 401 else ""
    return kind(message or f"The gateway answered with status {status}.", code=code or None, hint=hint)


_KINDS: Mapping[int, type[NearfarError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}


class _Told(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: _Told


def _told(body: bytes) -> tuple[str, str]:
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except msgspec.DecodeError:
        return "", ""
    return error.message, str(error.code or "")


def _read(reply: _Reply) -> bytes:
    data = b""
    for piece in _pieces(reply):
        data += piece
        if len(data) > MAX_BODY:
            raise InternalServerError(f"The answer is larger than {MAX_BODY} bytes.")
    return data


def _pieces(reply: _Reply) -> Iterator[bytes]:
    try:
        while data := reply.read():
            yield data
    except (OSError, http.client.HTTPException) as error:
        raise StreamCut(f"The gateway's answer broke off ({_why(error)}).") from error


def _why(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "it ended too early"
    reason = getattr(error, "strerror", None) or type(error).__name__
    return str(reason).lower()
