"""How an attempt is authorised: a header with a key, or a signature over its bytes. It knows no cloud's rules.

Where a signature is needed, ``credentials_KIND`` makes it and is imported only then: such modules may need an extra.
"""

from __future__ import annotations

import importlib
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Protocol

from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.routing import Deployment
from nearfar.policy.seal import Origin

Header = tuple[str, str]

_KEY_HEADERS = frozenset({"x-api-key", "api-key", "x-goog-api-key"})
_SECRET_HEADERS = _KEY_HEADERS | {"authorization", "x-amz-security-token"}
_SHORTEST = 12
"""Characters of a secret that is worth taking out of a text: shorter ones are words, such as ``none``."""

_LOCAL_NAMES = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
"""How names end that no public network resolves."""

_OURS = "The upstream "
"""How a wire begins what it says itself of a reply."""


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


def on_this_machine(host: str) -> bool:
    """Whether ``host`` is loopback by name or number, so that nobody else reads what is sent there."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def on_this_network(host: str) -> bool:
    """Whether ``host`` is loopback, a private address, or a name that only a local network knows."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_NAMES)
    return address.is_loopback or address.is_private or address.is_link_local


def refuse_in_clear(origin: Origin) -> None:
    """Raise UpstreamError where a token or a signed request would be read on its way: plain HTTP beyond this machine.

    A token is good for everything its account may do, and a signed request may be sent again by whoever reads it.
    """
    if origin.scheme != "http" or on_this_machine(origin.host):
        return
    message = f"A cloud's credentials are not sent to {origin.host} over plain HTTP."
    raise UpstreamError(message, code="upstream_credentials", hint="Give the deployment an https:// base_url.")


def hush(error: NearfarError, head: bytes, own: Iterable[Header]) -> None:
    """Take what authorised the request with ``head`` out of the words of ``error``: some upstreams quote it.

    ``own``: headers that hold secrets of the deployment's owner, whatever they are called.
    """
    secret = _SECRET_HEADERS.union(name.lower() for name, _ in own)
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        value = value.removeprefix("Bearer ")
        if name.lower() in secret and len(value) >= _SHORTEST:
            error.message = error.message.replace(value, "[key]")
            if error.param is not None:
                error.param = error.param.replace(value, "[key]")
            error.args = (error.message,)


def attribute(error: NearfarError, deployment: Deployment) -> None:
    """Say before an upstream's words whose they are: "slow down" alone could be the gateway's own."""
    if error.upstream_status is None:
        return
    said = "" if error.message.startswith(_OURS) else " says"
    error.message = f"{deployment.name} ({deployment.provider}){said}: {error.message}"
    error.args = (error.message,)
