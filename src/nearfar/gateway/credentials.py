"""How an attempt is authorised: a header with a key, or a signature over its bytes. It knows no cloud's rules.

Where a signature is needed, ``credentials_KIND`` makes it and is imported only then: such modules may need an extra.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol

from nearfar.policy.seal import Origin

Header = tuple[str, str]

_KEY_HEADERS = frozenset({"x-api-key", "api-key", "x-goog-api-key"})


class Signer(Protocol):
    """Authorises one attempt at a time; refreshes its credentials by itself, before they expire."""

    async def headers(
        self, method: str, origin: Origin, path: str, headers: tuple[Header, ...], body: bytes
    ) -> tuple[Header, ...]:
        """Further headers for exactly this request; ``path`` is the request target as it will be sent.

        Raises AuthenticationError, without secrets in its text, when there are no usable credentials.
        """
        ...


def key_headers(auth: str, secret: str) -> tuple[Header, ...]:
    """The header that carries ``secret`` in the way ``auth`` names; a bearer token where it names no header."""
    if auth in _KEY_HEADERS:
        return ((auth, secret),)
    return (("authorization", f"Bearer {secret}"),)


def signs(auth: str) -> bool:
    """Whether ``auth`` means a signature (or a token that expires) instead of a key."""
    return auth == "google" or auth.startswith("aws:")


def signer(auth: str, options: Mapping[str, str], environ: Mapping[str, str]) -> Signer:
    """The signer for ``auth`` (``aws:SERVICE`` or ``google``); it looks for credentials when first used.

    ``options``: the deployment's (region, project, …). ``environ``: the process's environment, read by no one else.
    """
    kind, _, service = auth.partition(":")
    module = importlib.import_module(f"nearfar.gateway.credentials_{kind}")
    made: Signer = module.signer(service, options, environ)
    return made
