"""Who can be asked, and the way there: the survey and the transport. It knows no policy and no request."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence

from nearfar.catalog.prices import price_for
from nearfar.gateway import credentials, declared
from nearfar.gateway.burst import Burst
from nearfar.gateway.fleet import parse_base
from nearfar.gateway.survey import Survey
from nearfar.gateway.transport import Proxies, Transport
from nearfar.parts import models
from nearfar.parts.keys import is_loopback
from nearfar.policy.seal import Origin, Sealer
from nearfar.providers.base import Provider
from nearfar.settings import secrets
from nearfar.settings.load import Loaded
from nearfar.settings.model import Proxy
from nearfar.store.capabilities import Finding
from nearfar.wire import registry as wires


def transport(loaded: Loaded, sealer: Sealer, burst: Burst) -> Transport:
    """The opener of sockets to models, with the settings' deadlines, proxies and authorities."""
    settings = loaded.settings
    cafile = loaded.environ.ssl_cert_file
    return Transport(
        verify=sealer.verify,
        deadlines=settings.deadlines,
        proxies=_proxies(settings.proxy),
        burst=burst,
        offline=settings.offline,
        tls=lambda: ssl.create_default_context(cafile=cafile or None),
    )


def _proxies(proxy: Proxy) -> Proxies:
    def origin(url: str) -> Origin | None:
        return parse_base(url)[0] if url else None

    return Proxies(https=origin(proxy.https), http=origin(proxy.http), no_proxy=proxy.no_proxy)


def survey(
    loaded: Loaded,
    known: Mapping[str, Provider],
    transport: Transport,
    sealer: Sealer,
    probed: Callable[[], Sequence[Finding]],
) -> Survey:
    """Who looks at what there is. Raises SettingsError for deployments that cannot be what they are declared."""
    settings = loaded.settings
    declared.check(settings, loaded.origins, known)
    found_keys = {}
    for name, provider in known.items():
        variable, _ = loaded.environ.first(*provider.key_env)
        if variable:
            found_keys[name] = f"env:{variable}"
    return Survey(
        settings=settings,
        providers=known,
        wires=wires.provider_wire,
        secret=lambda reference: secrets.resolve(reference, loaded.environ).reveal(),
        keys=found_keys if not settings.offline else {},
        library=models.offered(loaded),
        lacks=models.lacking(loaded),
        shelf=models.changed(loaded),
        price_for=price_for,
        addresses=addresses(known, loaded),
        signer=lambda auth, options: credentials.signer(auth, options, loaded.environ.values()),
        transport=transport,
        sealer=sealer,
        today=time.strftime("%Y-%m-%d"),
        probed=probed,
    )


def addresses(known: Mapping[str, Provider], loaded: Loaded) -> dict[str, tuple[str, ...]]:
    """Loopback addresses to ask for running runtimes; never our own."""
    own = loaded.settings.server.port
    usual = {
        name: tuple(f"http://127.0.0.1:{port}" for port in provider.ports if port != own)
        for name, provider in known.items()
        if provider.probes
    }
    ollama = loaded.environ.ollama_url
    if ollama:
        # An Ollama on another machine has its weights there: only its owner can say, in a deployment, where that is.
        usual["ollama"] = (ollama,) if is_loopback(parse_base(ollama)[0].host) else ()
    return usual
