"""Google's access tokens: Application Default Credentials, renewed before they expire. It knows no service of Google's.

Credentials are looked for where Google's own tools look: a file named by ``GOOGLE_APPLICATION_CREDENTIALS``, the file
that ``gcloud auth application-default login`` writes, the metadata server of a machine at Google. Service accounts,
users and external accounts are google-auth's business (the extra ``google``, imported when first needed and used
without ``requests``); the metadata server's answer is read here. A service account signs its token itself, without a
connection.

How this stands to the egress rule: sockets to models are opened in ``transport`` alone. The connections made here are
none of those: no byte of a request is in them, only the owner's own credentials, and they go where the owner's
credential file or Google's metadata address says, never where a request says. They count as connections to a cloud
all the same: a signer is made only for deployments that may be called, so with ``--offline`` there is none, and nothing
is looked for before the first attempt at such a deployment. Redirects are refused.

Source: google.aip.dev/auth and Google Cloud's "How Application Default Credentials works", read 2026-11-22.
"""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import http.client
import ipaddress
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from nearfar.core import install
from nearfar.core.errors import UpstreamError
from nearfar.gateway.credentials import refuse_in_clear
from nearfar.policy.seal import Origin

Header = tuple[str, str]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MARGIN = 225.0
"""Seconds before its end from which a token is renewed beside the requests that still use it."""
LEAST = 10.0
"""Seconds that a token must still be good for to be sent."""
PAUSE = 10.0
"""Seconds between two tries to renew a token that is still good."""
TIMEOUT = 20.0
METADATA_TIMEOUT = 3.0
MAX_ANSWER = 1024 * 1024

_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
_HINT = "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
_CODES = frozenset(
    {"invalid_grant", "invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "access_denied"}
)
"""OAuth's words for a refusal: the only ones that are repeated, for a description may quote what was sent."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token. Never printed."""

    value: str
    expires: float
    """Seconds since the epoch."""
    project: str = ""
    """The project that pays, where the credentials name one."""

    def __repr__(self) -> str:
        """Everything but the token."""
        return f"Token(expires={self.expires!r})"


Source = Callable[[], Token]
"""Makes a fresh token. It may block: it is called in a thread. Raises UpstreamError, without secrets in its text."""


def signer(service: str, options: Mapping[str, str], environ: Mapping[str, str]) -> GoogleTokens:
    """The signer for every service of Google's. Nothing is read or asked before the first request."""
    del service, options
    return GoogleTokens(source(environ))


class GoogleTokens:
    """Puts a token on each attempt; one renewal serves all that wait for it."""

    def __init__(self, ask: Source, *, clock: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._clock = clock
        self._token: Token | None = None
        self._renewal: asyncio.Task[Token] | None = None
        self._tried = 0.0

    async def headers(
        self, method: str, origin: Origin, path: str, headers: tuple[Header, ...], body: bytes
    ) -> tuple[Header, ...]:
        """The headers that authorise any request. Raises UpstreamError (code ``upstream_credentials``)."""
        del method, path, headers, body
        refuse_in_clear(origin)
        token = await self._good()
        found = (("authorization", f"Bearer {token.value}"),)
        return (*found, ("x-goog-user-project", token.project)) if token.project else found

    async def _good(self) -> Token:
        token, now = self._token, self._clock()
        if token is None or token.expires - now < LEAST:
            # Shielded: one request that leaves must not take the token from the others that wait.
            return await asyncio.shield(self._renew())
        if token.expires - now < MARGIN and now - self._tried >= PAUSE:
            self._renew()
        return token

    def _renew(self) -> asyncio.Task[Token]:
        if self._renewal is None:
            self._tried = self._clock()
            self._renewal = asyncio.create_task(asyncio.to_thread(self._ask))
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    def _renewed(self, task: asyncio.Task[Token]) -> None:
        self._renewal = None
        if not task.cancelled() and task.exception() is None:
            self._token = task.result()


def source(environ: Mapping[str, str]) -> Source:
    """Application Default Credentials as ``environ`` leads to them, read anew each time: files are rotated."""

    def ask() -> Token:
        door = Door(environ.get("HTTPS_PROXY") or environ.get("https_proxy") or "")
        found = _file(environ)
        if found is not None:
            return _from_info(_read(found), door)
        return _from_metadata(environ)

    return ask


def _refuse(message: str, hint: str = _HINT) -> UpstreamError:
    return UpstreamError(message, code="upstream_credentials", hint=hint)


def _file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if named:
        return Path(named)
    folder = environ.get("CLOUDSDK_CONFIG", "")
    if not folder and environ.get("HOME"):
        folder = str(Path(environ["HOME"]) / ".config" / "gcloud")
    well_known = Path(folder) / "application_default_credentials.json"
    return well_known if folder and well_known.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as exc:
        raise _refuse("Google's credential file cannot be read.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Not chained: the decoder's words could quote the file.
        raise _refuse("Google's credential file is no JSON object.") from None
    return found


def _from_info(info: dict[str, Any], door: Door) -> Token:
    """A token from a credential file's contents, by google-auth."""
    kind = info.get("type")
    try:
        from google.auth import exceptions
    except ModuleNotFoundError as exc:
        message = "There are credentials of Google's, but what reads them is not installed."
        raise _refuse(message, hint=f"Install it: {install.command('google')}") from exc
    try:
        credentials = _credentials(kind, info)
        credentials.refresh(door)
    except exceptions.GoogleAuthError as exc:
        raise _refuse(f"Google refused the credentials of the type {_shown(kind)}{_reason(exc)}.") from exc
    except (KeyError, TypeError, ValueError):
        # Not chained: a key that cannot be read may be quoted.
        raise _refuse(f"Google's credential file of the type {_shown(kind)} is not complete.") from None
    expiry = credentials.expiry
    expires = time.time() + 3600 if expiry is None else calendar.timegm(expiry.timetuple())
    token = credentials.token
    if isinstance(token, bytes):  # a self-signed one
        token = token.decode()
    if not token:
        raise _refuse("Google's credentials gave no token.")
    project = info.get("quota_project_id")
    return Token(value=token, expires=expires, project=project if isinstance(project, str) else "")


def _credentials(kind: object, info: dict[str, Any]) -> Any:
    scopes = [SCOPE]
    if kind == "service_account":
        from google.oauth2 import service_account

        read = service_account.Credentials.from_service_account_info
        found = read(info, scopes=scopes)  # type: ignore[no-untyped-call]  # google-auth is typed in part
        own = info.get("token_uri", _TOKEN_URI) == _TOKEN_URI
        return found.with_always_use_jwt_access(True) if own else found
    if kind == "authorized_user":
        from google.oauth2 import credentials

        return credentials.Credentials(  # type: ignore[no-untyped-call]  # as above
            None,
            refresh_token=info["refresh_token"],
            client_id=info["client_id"],
            client_secret=info["client_secret"],
            token_uri=info.get("token_uri", _TOKEN_URI),
            scopes=scopes,
        )
    if kind == "external_account" and "environment_id" not in (info.get("credential_source") or {}):
        from google.auth import identity_pool

        external = identity_pool.Credentials.from_info
        return external(info, scopes=scopes)  # type: ignore[no-untyped-call]  # as above
    message = f"Credentials of the type {_shown(kind)} are not read here."
    raise _refuse(message, hint="Use a service account, a user's login, or an external account with a file.")


def _shown(kind: object) -> str:
    return repr(kind[:40]) if isinstance(kind, str) else "that it does not name"


def _reason(error: Exception) -> str:
    said = error.args[1] if len(error.args) > 1 else None
    code = said.get("error") if isinstance(said, dict) else None
    return f" ({code})" if code in _CODES else ""


class _Issued(msgspec.Struct):
    access_token: str
    expires_in: float


def _from_metadata(environ: Mapping[str, str]) -> Token:
    """The token of the account that this machine at Google runs as."""
    nothing = "No credentials of Google's were found: no file, and no metadata server answers."
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        raise _refuse("No credentials of Google's were found.")
    host = environ.get("GCE_METADATA_HOST") or environ.get("GCE_METADATA_IP") or "169.254.169.254"
    try:
        address = f"http://{host}{_METADATA}?{urlencode({'scopes': SCOPE})}"
        answer = Door("")(address, headers={"metadata-flavor": "Google"}, timeout=METADATA_TIMEOUT)
    except UpstreamError as exc:
        raise _refuse(nothing) from exc
    if answer.headers.get("metadata-flavor") != "Google":
        raise _refuse(nothing)
    if answer.status != 200:
        raise _refuse(f"The metadata server gave no token ({answer.status}): this machine may have no service account.")
    try:
        issued = msgspec.json.decode(answer.data, type=_Issued)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Not chained: the answer holds a token.
        raise _refuse("The metadata server's answer holds no token.") from None
    return Token(value=issued.access_token, expires=time.time() + issued.expires_in)


class Answer(msgspec.Struct, frozen=True):
    """A reply, with the members that google-auth reads."""

    status: int
    headers: dict[str, str]
    data: bytes


class Door:
    """The one way out of this module: a request to whoever issues tokens. google-auth calls it too."""

    def __init__(self, proxy: str) -> None:
        """``proxy``: the address of an HTTP proxy for what is not near; empty for none."""
        self._proxy = proxy

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> Answer:
        """Ask. Raises UpstreamError when nobody answers, and for a redirect; google-auth lets that through."""
        try:
            with contextlib.closing(self._connection(url, timeout or TIMEOUT)) as connection:
                parts = urlsplit(url)
                target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
                connection.request(method, target, body, dict(headers or {}))
                reply = connection.getresponse()
                data = reply.read(MAX_ANSWER)
        except (OSError, http.client.HTTPException) as exc:
            message = "Whoever issues Google's tokens cannot be reached."
            raise _refuse(message, hint="Check the connection, and HTTPS_PROXY.") from exc
        if 300 <= reply.status < 400:
            raise _refuse("Whoever issues Google's tokens answered with a redirect, and redirects are never followed.")
        return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, data)

    def _connection(self, url: str, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "http" and _is_near(host):
            return http.client.HTTPConnection(host, parts.port or 80, timeout=timeout)
        if parts.scheme != "https":
            raise _refuse("Whoever issues Google's tokens must be asked over https.")
        if not self._proxy:
            return http.client.HTTPSConnection(host, parts.port or 443, timeout=timeout)
        proxy = urlsplit(self._proxy if "//" in self._proxy else f"//{self._proxy}")
        connection = http.client.HTTPSConnection(proxy.hostname or "", proxy.port or 8080, timeout=timeout)
        connection.set_tunnel(host, parts.port or 443)
        return connection


def _is_near(host: str) -> bool:
    """Whether plain HTTP may be spoken: the metadata server's link, and this machine."""
    if host in {"localhost", "metadata.google.internal"}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_link_local or address.is_loopback
