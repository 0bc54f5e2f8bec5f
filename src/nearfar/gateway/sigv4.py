"""AWS Signature Version 4 over one request's exact bytes. It knows no service, looks for no keys and opens nothing.

Written here because signing is done for every attempt, and importing botocore costs more than the server may.
Source: the AWS documentation, "Create a signed AWS API request", and botocore's signer, to which the tests hold it;
read 2026-11-22.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

Header = tuple[str, str]

_UNSIGNED = frozenset(
    {
        "authorization",
        "baggage",
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Headers that hops on the way may change, or that are written after the signature."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Keys as AWS gives them. Never printed."""

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        """No part of a key."""
        return "Credentials(...)"


class SigV4:
    """Signs for one service in one region; remembers the key that is derived from the secret for a day."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._derived: tuple[str, str, bytes] = ("", "", b"")

    def sign(
        self,
        credentials: Credentials,
        method: str,
        host: str,
        target: str,
        headers: Iterable[Header],
        body: bytes,
        stamp: str,
    ) -> tuple[Header, ...]:
        """The headers that authorise exactly this request.

        ``host`` as the host header will say it, ``target`` as it will be sent, percent-encoded, with its query;
        ``headers`` the ones that will be sent; ``stamp`` the time in UTC as ``20261122T083000Z``.
        """
        added: list[Header] = [("x-amz-date", stamp)]
        if credentials.token:
            added.append(("x-amz-security-token", credentials.token))
        names, lines = _canonical_headers([*headers, ("host", host), *added])
        path, _, query = target.partition("?")
        canonical = "\n".join(
            (
                method.upper(),
                quote(_plain_path(path), safe="/~"),
                "&".join(sorted(query.split("&"), key=_by_name)) if query else "",
                lines,
                "",
                names,
                hashlib.sha256(body).hexdigest(),
            )
        )
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(credentials.secret_key, stamp[:8]), text.encode(), "sha256").hex()
        value = f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, "
        added.append(("authorization", f"{value}Signature={signature}"))
        return tuple(added)

    def _key(self, secret: str, day: str) -> bytes:
        known_secret, known_day, key = self._derived
        if (known_secret, known_day) != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = (secret, day, key)
        return key


def _canonical_headers(headers: Iterable[Header]) -> tuple[str, str]:
    """The names of what is signed, and their lines."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        key = name.lower().strip()
        if key not in _UNSIGNED:
            values.setdefault(key, []).append(" ".join(value.split()))
    names = sorted(values)
    return ";".join(names), "\n".join(f"{name}:{','.join(values[name])}" for name in names)


def _plain_path(path: str) -> str:
    """The path without dots and doubled slashes; every service but S3 takes it so, encoded once more."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    last = "/" if path.endswith("/") and kept else ""
    return f"/{'/'.join(kept)}{last}"


def _by_name(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name, value
