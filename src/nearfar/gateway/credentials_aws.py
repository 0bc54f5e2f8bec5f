"""AWS credentials for signing: plain keys from the environment, or botocore's whole chain. It knows no service's wire.

Keys in the environment need nothing but this file. All else (profiles, SSO, containers, instance metadata, roles) is
found by botocore, the extra ``aws``, in a thread: imported when first needed, asked again before the keys expire, once
for all requests that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from nearfar.core import install
from nearfar.core.errors import UpstreamError
from nearfar.gateway.credentials import refuse_in_clear
from nearfar.gateway.sigv4 import Credentials, Header, SigV4
from nearfar.policy.seal import Origin

if TYPE_CHECKING:
    import botocore.credentials

RECHECK = 30.0
"""Seconds after which botocore is asked again whether its keys are still good; it refreshes them before they expire."""

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_HINT = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in (`aws sso login`)."


class Source(Protocol):
    """Where keys come from. It may block: it is asked in a thread."""

    def __call__(self) -> Credentials:
        """Keys that are good now. Raises UpstreamError, without secrets in its text, when there are none."""
        ...


def signer(service: str, options: Mapping[str, str], environ: Mapping[str, str]) -> AwsSigner:
    """The signer for ``service``; ``options``: region, profile. Nothing is read or asked before the first request."""
    region = options.get("region") or next((environ[name] for name in _REGIONS if environ.get(name)), "")
    profile = options.get("profile", "")
    access, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if access and secret and not profile:
        keys = Credentials(access_key=access, secret_key=secret, token=environ.get("AWS_SESSION_TOKEN", ""))
        return AwsSigner(service, region, keys)
    return AwsSigner(service, region, chain(profile, region))


def chain(profile: str, region: str) -> Source:
    """Botocore's chain as a source; the session is made when first asked."""
    found: list[botocore.credentials.Credentials] = []

    def ask() -> Credentials:
        if not found:
            found.append(_resolve(profile, region))
        return _freeze(found[0])

    return ask


def _resolve(profile: str, region: str) -> botocore.credentials.Credentials:
    try:
        import botocore.exceptions
        import botocore.session
    except ModuleNotFoundError as exc:
        message = "There are no AWS keys in the environment, and the AWS credential chain is not installed."
        hint = f"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install it: {install.command('aws')}"
        raise UpstreamError(message, code="upstream_credentials", hint=hint) from exc
    try:
        session = botocore.session.Session(profile=profile or None)
        if region:
            session.set_config_variable("region", region)
        credentials = session.get_credentials()
    except botocore.exceptions.BotoCoreError as exc:
        raise _failed(exc) from exc
    if credentials is None:
        message = "No AWS credentials were found: not in the environment, a profile, a container or an instance."
        raise UpstreamError(message, code="upstream_credentials", hint=_HINT)
    return credentials


def _freeze(credentials: botocore.credentials.Credentials) -> Credentials:
    """The keys of this moment; botocore refreshes them here when they are about to expire."""
    import botocore.exceptions

    try:
        frozen = credentials.get_frozen_credentials()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as exc:
        raise _failed(exc) from exc
    return Credentials(access_key=frozen.access_key or "", secret_key=frozen.secret_key or "", token=frozen.token or "")


def _failed(exc: Exception) -> UpstreamError:
    # The kind of the failure only: its text may hold account numbers, commands or parts of tokens.
    message = f"AWS credentials could not be had ({type(exc).__name__})."
    return UpstreamError(message, code="upstream_credentials", hint=f"`aws sts get-caller-identity` shows why. {_HINT}")


class AwsSigner:
    """Signs each attempt with keys that are good now."""

    def __init__(
        self,
        service: str,
        region: str,
        keys: Credentials | Source,
        *,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], time.struct_time] = time.gmtime,
    ) -> None:
        """``keys``: fixed ones, or where to ask. ``clock`` in seconds; ``today`` is the time in UTC."""
        self._region = region
        self._sigv4 = SigV4(service, region)
        self._keys = keys if isinstance(keys, Credentials) else None
        self._source = None if isinstance(keys, Credentials) else keys
        self._clock = clock
        self._today = today
        self._asked = 0.0
        self._asking: asyncio.Task[Credentials] | None = None

    async def headers(
        self, method: str, origin: Origin, path: str, headers: tuple[Header, ...], body: bytes
    ) -> tuple[Header, ...]:
        """The headers that authorise exactly this request. Raises UpstreamError when there are no keys or no region."""
        refuse_in_clear(origin)
        if not self._region:
            message = "The deployment has no AWS region to sign for."
            raise UpstreamError(message, code="upstream_credentials", hint='Set options = { region = "us-east-1" }.')
        keys = self._keys
        if keys is None or (self._source is not None and self._clock() - self._asked > RECHECK):
            keys = await self._ask()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", self._today())
        return self._sigv4.sign(keys, method, _host(origin), path, headers, body, stamp)

    async def _ask(self) -> Credentials:
        """Ask once for all who wait; who leaves does not stop the asking."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._renew())
        return await asyncio.shield(self._asking)

    async def _renew(self) -> Credentials:
        assert self._source is not None
        self._keys = await asyncio.to_thread(self._source)
        self._asked = self._clock()
        return self._keys


def _host(origin: Origin) -> str:
    """The host header as the transport writes it: without the scheme's own port."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    plain = {"http": 80, "https": 443}.get(origin.scheme)
    return f"{host}:{origin.port}" if origin.port and origin.port != plain else host
