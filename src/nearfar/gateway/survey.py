"""The survey: which deployments there are, from configuration, keys, model files and running loopback runtimes.

It turns what it finds into a snapshot for the fleet. Loopback is asked when a request needs to know, never at
start-up, and only through the transport with sealed probes. It chooses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from nearfar.catalog.limits import meters
from nearfar.core.errors import NearfarError, UpstreamError
from nearfar.core.money import FREE, NANO, Price
from nearfar.core.places import Class, Place
from nearfar.core.routing import Branch, Candidate, Capability, Cascade, Deployment, Route
from nearfar.gateway.credentials import Signer, key_headers, signs
from nearfar.gateway.discovery import Discovery, Runtimes
from nearfar.gateway.fleet import ENGINE, Snapshot, Target, parse_base, routes_over
from nearfar.gateway.limits import Quota
from nearfar.gateway.probed import believe
from nearfar.gateway.transport import Transport
from nearfar.policy.seal import Sealer
from nearfar.providers.base import Found, Provider, address, door
from nearfar.settings.model import CascadeSetting, DeploymentSetting, PriceSetting, RouteSetting, Settings
from nearfar.settings.secrets import is_reference
from nearfar.store.capabilities import Finding
from nearfar.wire.base import ProviderWire

DEMO = "demo-tiny"
REREAD_SECONDS = 5.0
"""How often, at most, requests have the findings of probes read again."""
UNKNOWN_SECONDS = 2.0
"""An unknown model makes the survey look again, at most this often."""
GLANCE_SECONDS = 0.5
"""How often the models folder is glanced at: a model that was added is known, and a removed one forgotten, so soon."""


class Survey:
    """Looks at what is there and remembers when it last did."""

    def __init__(
        self,
        *,
        settings: Settings,
        providers: Mapping[str, Provider],
        wires: Callable[[str], ProviderWire],
        secret: Callable[[str], str],
        keys: Mapping[str, str],
        library: Callable[[], Iterable[Found]],
        lacks: Callable[[str], UpstreamError | None] = lambda _model: None,
        price_for: Callable[[str, str], Price | None],
        addresses: Mapping[str, tuple[str, ...]],
        signer: Callable[[str, Mapping[str, str]], Signer],
        transport: Transport,
        sealer: Sealer,
        today: str,
        probed: Callable[[], Sequence[Finding]] | None = None,
        shelf: Callable[[], object] = tuple,
    ) -> None:
        """``secret``: reference → value. ``keys``: provider → reference of a key found in the environment.
        ``library``: the GGUF models of this machine. ``lacks``: model → why it cannot be run from there; None when it
        can. ``addresses``: provider → addresses to probe on loopback.
        ``probed``: what earlier probes found out; it may take a moment.
        ``shelf``: cheap, and another value whenever a model file came or went.
        ``signer``: (authorisation, options) → who signs.
        """
        self._settings = settings
        self._providers = providers
        self._wires = wires
        self._secret = secret
        self._keys = keys
        self._library = library
        self._lacks = lacks
        self._price_for = price_for
        self._discovery = Discovery(providers=providers, addresses=addresses, transport=transport, sealer=sealer)
        self._signer = signer
        self._signers: dict[tuple[str, frozenset[tuple[str, str]]], Signer] = {}
        self._today = today
        self._probed = probed
        self._findings: Sequence[Finding] | None = None if probed is not None else ()
        self._read_at = time.monotonic()
        self._reading: asyncio.Task[None] | None = None
        self._shelf = shelf
        self._shelf_seen: object = None
        self._glanced = 0.0
        self._asked = 0.0
        self._looked_once = False
        self._found: Runtimes = {}
        self._running: asyncio.Task[Snapshot] | None = None
        self._fresh: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """What is known now: no socket is opened, only the models folder is read."""
        self._shelf_seen = self._shelf()
        if self._findings is None:
            assert self._probed is not None
            self._findings = self._probed()
        findings: dict[str, list[Finding]] = {}
        for item in self._findings:
            findings.setdefault(item.deployment, []).append(item)
        deployments: dict[str, Deployment] = {}
        for deployment in (*self._configured(), *self._embedded(), *self._keyed(), *self._running_ones()):
            # The first one keeps its name: what is found must not take the place of what the owner declared.
            if deployment.name not in deployments:
                deployments[deployment.name] = believe(deployment, findings.get(deployment.name, ()))
        targets: dict[str, Target] = {}
        unusable: dict[str, Candidate] = {}
        for name, deployment in deployments.items():
            try:
                targets[name] = self._target(deployment)
            except NearfarError as error:
                # One key that is not there must not stop the others; whoever asks for this one is told.
                trouble = error.message[:1].lower() + error.message[1:].rstrip(".")
                code = error.code if isinstance(error, UpstreamError) else ""
                unusable[name] = Candidate(deployment=deployment, state="unusable", trouble=trouble, trouble_code=code)
        configured = {name: _route(name, setting) for name, setting in self._settings.routes.items()}
        return Snapshot(targets, routes_over(deployments.values(), configured), unusable)

    async def renew(self, *, known: bool) -> Snapshot | None:
        """Look again if it is time; None when nothing new is known. ``known``: the asked model has a route.

        The first requests that need it wait for the answers of loopback, and so does one for an unknown model; others
        are answered from what is known while a new look runs beside them.
        """
        fresh, self._fresh = self._fresh, None
        now = time.monotonic()
        if now - self._glanced >= GLANCE_SECONDS:
            self._glanced = now
            if self._shelf() != self._shelf_seen:
                fresh = self.snapshot()
        if self._running is None:
            age = now - self._asked if self._asked else float("inf")
            if age < (self._settings.discovery.refresh_seconds if known else UNKNOWN_SECONDS):
                return fresh
            self._asked = now
            self._running = asyncio.create_task(self._look())
            self._running.add_done_callback(self._looked)
        if known and self._looked_once:
            return fresh
        return await asyncio.shield(self._running)

    def _looked(self, task: asyncio.Task[Snapshot]) -> None:
        self._running = None
        self._looked_once = True
        if not task.cancelled() and task.exception() is None:
            self._fresh = task.result()

    async def _look(self) -> Snapshot:
        if self._settings.discovery.loopback:
            self._found = await self._discovery.look(self._found)
        return self.snapshot()

    def reread(self) -> Snapshot | None:
        """What probes have found out since, if anything: the database is read beside the requests, never by one."""
        fresh, self._fresh = self._fresh, None
        now = time.monotonic()
        if self._probed is not None and self._reading is None and now - self._read_at >= REREAD_SECONDS:
            self._read_at = now
            self._reading = asyncio.create_task(self._reread(self._probed))
        return fresh

    async def _reread(self, probed: Callable[[], Sequence[Finding]]) -> None:
        try:
            findings = await asyncio.to_thread(probed)
        finally:
            self._reading = None
        if list(findings) != list(self._findings or ()):
            self._findings = findings
            self._fresh = self.snapshot()

    def found(self) -> Runtimes:
        """Provider → (base URL, models) of the last look at loopback."""
        return self._found

    # From facts to deployments.

    def _configured(self) -> Iterable[Deployment]:
        for name, setting in self._settings.deployments.items():
            yield self._declared(name, setting, self._providers[setting.provider])

    def _declared(self, name: str, setting: DeploymentSetting, provider: Provider) -> Deployment:
        provider = door(provider, setting.options)
        embedded = provider.place is Place.DEVICE  # an engine in a child: nothing else is there by itself
        local = {found.model: found for found in self._library()} if embedded else {}
        known = local.get(setting.model)
        if known is not None:  # the engine that really runs it
            provider = self._providers.get(known.provider, provider)
        place, source = provider.place, "default"
        if embedded:
            place, source = Place.DEVICE, "embedded"
        elif setting.place is not None:
            place, source = Place.parse(setting.place), "declared"
        price = _declared_price(name, setting.price, self._today)
        if price is None:
            price = FREE if place is Place.DEVICE else self._price_for(provider.name, setting.model)
        capabilities = dict(provider.capabilities)
        for what, can in setting.capabilities.items():
            capabilities[what] = Capability(can=can, source="declared", date=self._today)
        return Deployment(
            name=name,
            provider=provider.name,
            model=setting.model,
            wire=provider.wire,
            base_url=ENGINE if embedded else (setting.base_url or address(provider, setting.options)),
            place=place,
            place_source=source,
            region=setting.region,
            key=setting.key or ("" if embedded else self._found_key(provider, setting.base_url)),
            operations=frozenset(setting.operations) or _operations(provider, known),
            capabilities=capabilities,
            context=setting.context or (known.context if known is not None else None),
            max_output=setting.max_output,
            price=price,
            drop=provider.drop,
            rename=provider.rename,
            headers={**provider.headers, **setting.headers},
            options={**provider.options, **setting.options},
            demo=embedded and setting.model == DEMO,
            declared=True,
            slots=setting.slots or (self._settings.engine.slots if embedded else None),
            quality=setting.quality,
        )

    def _found_key(self, provider: Provider, base_url: str) -> str:
        """The environment's key for ``provider``, but only at the provider's own address."""
        if base_url and parse_base(base_url)[0] != parse_base(provider.base_url)[0]:
            return ""
        return self._keys.get(provider.name, "")

    def _embedded(self) -> Iterable[Deployment]:
        if not self._settings.engine.enabled:
            return
        for found in self._library():
            provider = self._providers.get(found.provider)
            if provider is None:
                continue
            yield Deployment(
                name=found.model,
                provider=provider.name,
                model=found.model,
                wire=provider.wire,
                base_url=ENGINE,
                place=Place.DEVICE,
                place_source="embedded",
                operations=found.operations,
                capabilities={**provider.capabilities, **found.capabilities},
                context=found.context,
                price=FREE,
                drop=provider.drop,
                rename=provider.rename,
                demo=found.model == DEMO,
                slots=self._settings.engine.slots,
            )

    def _keyed(self) -> Iterable[Deployment]:
        if not self._settings.discovery.keys:
            return
        for name, reference in self._keys.items():
            provider = self._providers[name]
            if "{" in provider.base_url:
                # Only a deployment can say which region or resource is meant.
                continue
            for model in provider.default_models:
                yield Deployment(
                    name=f"{name}/{model}",
                    provider=name,
                    model=model,
                    wire=provider.wire,
                    base_url=provider.base_url,
                    place=provider.place,
                    key=reference,
                    operations=_operations(provider, None),
                    capabilities=provider.capabilities,
                    price=self._price_for(name, model),
                    drop=provider.drop,
                    rename=provider.rename,
                    headers=provider.headers,
                )

    def _running_ones(self) -> Iterable[Deployment]:
        for name, (where, models) in self._found.items():
            provider = self._providers[name]
            base = where + parse_base(provider.base_url)[1]
            for found in models:
                local = found.local_weights
                yield Deployment(
                    name=f"{name}/{found.model}",
                    provider=name,
                    model=found.model,
                    wire=provider.wire,
                    base_url=base,
                    # A loopback address proves only the first hop: without the runtime's own word that the
                    # weights are here, it counts as cloud until the owner declares a place.
                    place=Place.DEVICE if local else Place.CLOUD,
                    place_source="local-weights" if local else "default",
                    operations=found.operations,
                    capabilities={**provider.capabilities, **found.capabilities},
                    context=found.context,
                    price=FREE if local else None,
                    drop=provider.drop,
                    rename=provider.rename,
                    headers=provider.headers,
                )

    def _target(self, deployment: Deployment) -> Target:
        if deployment.declared and deployment.base_url == ENGINE:
            error = self._lacks(deployment.model)
            if error is not None:
                raise error
        provider = door(self._providers[deployment.provider], deployment.options)
        names = {"chat": deployment.wire, "embeddings": provider.embeddings_wire, **provider.other_wires}
        wires = {
            operation: self._wires(names[operation]) for operation in deployment.operations if names.get(operation)
        }
        also = [self._wires(name) for name in provider.also] if "chat" in wires else []
        secret: tuple[tuple[str, str], ...] = ()
        signer = None
        silent = self._settings.offline and not deployment.place.near
        if deployment.key and not silent:
            secret = key_headers(provider.auth, self._secret(deployment.key))
        elif signs(provider.auth) and not self._settings.offline:
            # Looking for credentials is a connection to a cloud, also for a deployment that is near.
            signer = self._signs(provider.auth, deployment.options)
        plain: dict[str, str] = {}
        for name, value in deployment.headers.items():
            if not is_reference(value):
                plain[name] = value
            elif not silent:
                # Like the key: read when needed, and held by the target alone.
                secret = (*secret, (name, self._secret(value)))
        if plain != deployment.headers:
            deployment = msgspec.structs.replace(deployment, headers=plain)
        # Clouds refuse what does not fit. Runtimes that people start themselves, wherever that is, may cut it.
        may_cut = deployment.place.near or bool(provider.ports)
        quota = _quota(deployment)
        return Target(deployment, wires, secret, also=also, signer=signer, may_cut=may_cut, quota=quota)

    def _signs(self, auth: str, options: Mapping[str, str]) -> Signer:
        """Who signs, the same one in every snapshot: it holds the token or keys that it has fetched."""
        wanted = (auth, frozenset(options.items()))
        if wanted not in self._signers:
            self._signers[wanted] = self._signer(auth, options)
        return self._signers[wanted]


def _quota(deployment: Deployment) -> Quota | None:
    """Whose limits its replies tell of: an account is an address and a key, and its limits are each model's own."""
    meter = meters().get(deployment.provider)
    if meter is None or deployment.place is Place.DEVICE:
        return None
    headers = sorted(deployment.headers.items())
    return Quota(account=repr((deployment.base_url, deployment.key, headers, deployment.model)), meter=meter)


def _operations(provider: Provider, found: Found | None) -> frozenset[str]:
    if found is not None:
        return found.operations
    return frozenset({"chat", *(["embeddings"] if provider.embeddings_wire else []), *provider.other_wires})


def _declared_price(name: str, setting: PriceSetting | None, today: str) -> Price | None:
    if setting is None:
        return None

    def nano(usd: float | None) -> int | None:
        return None if usd is None else round(usd * NANO)

    return Price(
        id=f"declared:{name}@{today}",
        input=round(setting.input * NANO),
        output=round(setting.output * NANO),
        cached_input=nano(setting.cached_input),
        cache_write=nano(setting.cache_write),
    )


def _route(name: str, setting: RouteSetting) -> Route:
    branch = setting.canary or setting.shadow
    return Route(
        name=name,
        strategy=setting.strategy,
        deployments=setting.deployments,
        floor=Class.parse(setting.class_),
        description=setting.description,
        cold=setting.cold,
        spill_after=setting.spill_after,
        balance=setting.balance,
        affinity=setting.affinity,
        weights=setting.weights,
        branch=None if branch is None else Branch(deployment=branch.deployment, share=branch.share),
        priority=setting.priority,
        hedge_after=setting.hedge_after,
        continues=setting.continues,
        cascade=None if setting.cascade is None else _cascade(setting.cascade),
    )


def _cascade(setting: CascadeSetting) -> Cascade:
    return Cascade(
        opinions=setting.opinions,
        threshold=setting.threshold,
        answers=setting.answers,
        buffers=setting.stream == "buffer",
        max_cost=None if setting.max_cost is None else round(setting.max_cost * NANO),
    )
