"""Words of our own to local runtimes, sealed like all that leaves: a model's name, never a word of a request.

It knows how they are sent and not what follows from the answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from nearfar.core.errors import NearfarError
from nearfar.core.places import Place
from nearfar.gateway.connection import StaleConnectionError
from nearfar.gateway.credentials import hush
from nearfar.gateway.fleet import Target, build_head, parse_base
from nearfar.gateway.transport import Transport
from nearfar.policy.seal import Sealed, Sealer
from nearfar.providers.base import Call, Life, Provider, Running
from nearfar.settings.model import Deadlines
from nearfar.wire.failures import upstream_error

ANSWER = Deadlines(connect=0.5, first_byte=1.0, between_bytes=1.0, total=2.0)
ANSWER_BYTES = 8 * 1024 * 1024

_JSON = ("content-type", "application/json")


class Runtimes:
    """Asks runtimes of providers that say how."""

    def __init__(
        self, providers: Mapping[str, Provider], transport: Transport, sealer: Sealer, *, reach: Place
    ) -> None:
        """``reach``: the furthest place that words without content may go to."""
        self._providers = providers
        self._transport = transport
        self._sealer = sealer
        self._reach = reach

    async def running(self, target: Target, life: Life) -> list[Running] | None:
        """What ``target``'s runtime has in memory; None where it does not say."""
        try:
            return life.read(await self.send(target, life.running, ANSWER))
        except NearfarError:
            # Nobody there, too busy to say, or too old to have the endpoint: then it is not known.
            return None

    async def send(self, target: Target, call: Call, deadlines: Deadlines) -> bytes:
        """What the runtime answers to ``call``. Raises the NearfarError of a status other than 200."""
        deployment = target.deployment
        path = _root(target, self._providers[deployment.provider]) + call.path
        headers = (*((_JSON,) if call.body else ()), *deployment.headers.items(), *target.secret_headers)
        sealed = self._sealer.probe(
            attempt="life",
            place=deployment.place,
            reach=self._reach,
            origin=target.origin,
            target=path,
            head=build_head(call.method, path, target.origin, headers),
            body=call.body,
        )
        try:
            return await self._exchange(target, sealed, deadlines, fresh=False)
        except StaleConnectionError:  # the runtime had closed it, perhaps because it was started anew: it is well
            return await self._exchange(target, sealed, deadlines, fresh=True)

    async def _exchange(self, target: Target, sealed: Sealed, deadlines: Deadlines, *, fresh: bool) -> bytes:
        async with await self._transport.send(sealed, deadlines=deadlines, fresh=fresh) as reply:
            status = await reply.head()
            body = await reply.body(ANSWER_BYTES)
            if status != 200:
                error = upstream_error(status, reply.headers, body)
                hush(error, sealed.head, target.secret_headers)
                raise error
            return body


def _root(target: Target, provider: Provider) -> str:
    """The path below which the runtime's own endpoints lie: the base URL's without that of its chat."""
    return target.base_path.removesuffix(parse_base(provider.base_url)[1])
