"""The composition root: the only place that knows everyone. It joins parts and contains no logic of its own."""

from __future__ import annotations

import ipaddress
import os
import secrets as randomness
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nearfar import __version__
from nearfar.catalog.prices import price_for
from nearfar.core.engines import Engines
from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.engine.estimate import plan
from nearfar.engine.header import LLAMA_CPP, ONNX, TRANSFORMERS
from nearfar.engine.library import Library, LocalModel
from nearfar.engine.supervisor import Supervisor
from nearfar.gateway import credentials, declared
from nearfar.gateway.attempt import Attempts
from nearfar.gateway.burst import Burst
from nearfar.gateway.decider import Decider
from nearfar.gateway.exposition import Snapshot
from nearfar.gateway.fleet import Fleet, parse_base
from nearfar.gateway.health import CoolDown, Health
from nearfar.gateway.holding import Holding
from nearfar.gateway.life import Lives
from nearfar.gateway.limits import Limits
from nearfar.gateway.load import Loads
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.pipeline import Pipeline
from nearfar.gateway.retries import Patience
from nearfar.gateway.slots import Slots
from nearfar.gateway.survey import Survey
from nearfar.gateway.transport import Proxies, Transport
from nearfar.gateway.witness import Witness
from nearfar.ledger.ledger import Ledger
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.policy.seal import Origin, Sealer
from nearfar.providers import registry as providers
from nearfar.providers.base import Found, Provider
from nearfar.settings import secrets
from nearfar.settings.load import Loaded
from nearfar.settings.model import Engine, Proxy, Settings
from nearfar.settings.paths import private
from nearfar.store import capabilities, keys
from nearfar.store.capabilities import Finding
from nearfar.store.database import connect
from nearfar.store.ids import Ids
from nearfar.store.keyfile import key_in, read_key
from nearfar.store.keyring import KeyRing
from nearfar.store.responses import Responses
from nearfar.wire import registry as wires

_SYSTEMS = {LLAMA_CPP: "embedded", TRANSFORMERS: "transformers", ONNX: "onnx-runtime"}
"""Engine of a model of this machine → the provider record that describes it."""


_SQLITE = "sqlite:///"


if TYPE_CHECKING:
    from nearfar.gateway.guard import Guard
    from nearfar.gateway.hedge import Runs
    from nearfar.gateway.masking import Masking
    from nearfar.gateway.observing import Observer
    from nearfar.gateway.reply_guard import ReplyGuard
    from nearfar.gateway.rewriting import Rewriting
    from nearfar.gateway.shadow import Shadows
    from nearfar.ledger.audit import Audit
    from nearfar.privacy.engines import Later
    from nearfar.privacy.findings import Detector


NOT_ENFORCED = "NOT ENFORCED: policy.mode is observe, so the chosen policy is told of and holds nothing back"
"""What start, readiness, doctor and policy say while a policy is only tried out."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``/readyz``."""

    name: str
    ok: bool
    detail: str = ""
    partly: bool = False
    """Whether others than those it speaks of are answered although it is not ok."""


class Keys:
    """The callers' keys, and whether a key is needed at all."""

    def __init__(self, ring: KeyRing, *, force: bool | None) -> None:
        """``force``: what the settings demand; None: as soon as one key exists."""
        self._ring = ring
        self._force = force
        self.lookup = ring.lookup

    @property
    def required(self) -> bool:
        """Whether a request without a key is refused."""
        return self._ring.exists if self._force is None else self._force


class Gateway:
    """The running parts of one process, as the endpoints and the terminal use them."""

    def __init__(
        self,
        *,
        settings: Settings,
        digest: str,
        decider: Decider,
        fleet: Fleet,
        survey: Survey,
        pipeline: Pipeline,
        transport: Transport,
        ledger: Ledger,
        keys: Keys,
        ring: KeyRing,
        metrics: Metrics,
        engines: Engines | None,
        lives: Lives,
        loads: Loads,
        health: Health,
        ids: Ids,
        responses: Responses | None,
        burst: Burst,
        audit: Audit | None,
        observer: Observer | None,
        shadows: Shadows | None,
        other_metrics: Callable[[], Awaitable[list[Snapshot]]] | None,
    ) -> None:
        self.settings = settings
        self.digest = digest
        """Stands for the configuration files it was started with."""
        self.decider = decider
        self.fleet = fleet
        self.survey = survey
        self.pipeline = pipeline
        self.keys = keys
        self.metrics = metrics
        self.engines = engines
        self.lives = lives
        self.loads = loads
        """What is under way at each deployment, and how fast it has been."""
        self.health = health
        self.ids = ids
        self.responses = responses
        """Where responses are kept; None when they are not."""
        self._audit = audit
        self.observer = observer
        """Tries out the policy that is only observed; None where the chosen one holds."""
        self.burst = burst
        """What leaves for upstreams and clients goes through it, after the records that speak of it."""
        self.started_at = int(time.time())
        self._shadows = shadows
        self._other_metrics = other_metrics
        self._transport = transport
        self._ledger = ledger
        self._ring = ring

    def start(self) -> None:
        """Begin to fill the ledger and to watch the keys. Opens no network connection but a configured database's."""
        # The keys first: they prepare the database in this thread, before the ledger's thread comes to it.
        self._ring.start()
        self._ledger.start()
        if self._audit is not None:
            self._audit.start()
        if self.responses is not None:
            self.responses.start()

    async def close(self) -> None:
        """Stop what runs; the ledger last, so that every attempt's end is in it."""
        if self._shadows is not None:
            await self._shadows.close()
        await self.lives.close()
        await self._transport.close()
        if self.engines is not None:
            await self.engines.close()
        if self.responses is not None:
            self.responses.close()
        self._ring.close()
        if self._audit is not None:
            self._audit.close()
        self._ledger.close()

    def readiness(self) -> list[Check]:
        """What has to be true for requests to be answered and accounted for."""
        ledger = self._ledger.health()
        deployments = len(self.fleet.snapshot.targets)
        # Anybody may ask whether the gateway is ready: how many is told, and which ones and why only to callers.
        unusable = len(self.fleet.snapshot.unusable)
        policy = [] if self.observer is None else [Check(name="policy", ok=True, detail=NOT_ENFORCED)]
        return [
            *policy,
            *self._audit_check(),
            Check(name="ledger", ok=ledger.accepting, detail=ledger.reason),
            Check(
                name="deployments",
                # Discovery waits for the first request that needs it, so "none yet" is not "none".
                ok=bool(deployments) or self.settings.discovery.loopback,
                detail=f"{deployments} usable" + (f", {unusable} not: see `nearfar route ls`" if unusable else ""),
            ),
        ]

    def _audit_check(self) -> list[Check]:
        """Whether records can be written, where the policy demands them before bytes leave."""
        audit = self._audit
        if audit is None or audit.demanded == "never":
            return []
        if not audit.trouble:
            return [Check(name="audit", ok=True)]
        audit.retry()  # nobody else might, if no request comes any more
        near = any(target.deployment.place.near for target in self.fleet.snapshot.targets.values())
        # Anybody may ask: which folder it is, the log and `nearfar doctor` say.
        told = f"no record can be written, so what is {audit.demanded} or higher "
        return [Check(name="audit", ok=False, detail=told + ("stays near" if near else "is refused"), partly=near)]

    async def metrics_text(self) -> bytes:
        """Prometheus exposition over all workers."""
        others = [] if self._other_metrics is None else await self._other_metrics()
        self._look_up()
        return self.metrics.text(*others)

    def counted(self) -> Snapshot:
        """What this process has counted, with its deployments' state as it is now."""
        self._look_up()
        return self.metrics.snapshot()

    def _look_up(self) -> None:
        for name in self.fleet.snapshot.targets:
            self.metrics.up(name, cooling=bool(self.health.cooling(name)[0]))
            load = self.loads.find(name)
            if load is not None and load.slots is not None:
                self.metrics.depth(name, len(load.line.waiting))

    def cooling(self) -> Iterable[tuple[CoolDown, float]]:
        """Deployments that rest, with the seconds left."""
        for rest in self.health.snapshot():
            yield rest, self.health.cooling(rest.deployment)[0]


def gateway(
    loaded: Loaded,
    *,
    engines: Engines | None = None,
    publish: Callable[[CoolDown], None] | None = None,
    other_metrics: Callable[[], Awaitable[list[Snapshot]]] | None = None,
    probed: Callable[[], Sequence[Finding]] | None = None,
) -> Gateway:
    """Everything one process needs to answer requests.

    ``engines``: the parent's engines in a worker; unset, this process runs its own. ``publish`` tells other workers
    of cool-downs; ``other_metrics`` asks what they have counted. ``probed``: what earlier probes found out; unset, what
    the state database knows of it.
    """
    settings = loaded.settings
    ids = Ids()
    sealer = Sealer(randomness.token_bytes(32))
    url, journal = ledger_places(loaded)
    ledger = Ledger(url, journal, flush_seconds=settings.ledger.flush_seconds)
    # Records are written in groups: no byte leaves but through the burst, which writes them first.
    burst = Burst(before=ledger.write)
    ledger.hold(burst.soon)
    transport = _transport(loaded, sealer, burst)
    health = Health(publish=publish)
    limits = Limits(health)
    rules = rules_from(settings)
    observed = presets.observed(settings)
    if engines is None and settings.engine.enabled:
        engines = supervisor(loaded)
    known = providers.load_all()
    survey = _survey(loaded, known, transport, sealer, probed or findings(loaded))
    fleet = Fleet(survey.snapshot(), health, fixed=frozenset(settings.routes), renew=survey.renew, reread=survey.reread)
    ring = KeyRing(url)
    metrics = Metrics()
    lives = Lives(
        fleet=fleet,
        providers=known,
        engines=engines,
        transport=transport,
        sealer=sealer,
        reach=rules.reach(Class.PUBLIC),
    )
    # A policy that is only observed looks at content for itself, and nothing here is held to what it sees.
    looking = guard(settings, rules) if observed is None else None
    audit = None if rules.audit is None else _audit(loaded, rules, ids, looking.version if looking else "")
    masking = None if looking is None else _masking(loaded, looking, rules)
    witness = Witness(audit, looking.version if looking else "")
    loads = Loads(share=settings.server.workers)
    conversations = b""
    if any(route.affinity for route in settings.routes.values()):
        conversations = key_in(private(loaded.folders.state) / "conversations.key")
    decider = Decider(fleet, health, rules, masks=masking is not None, loads=loads, limits=limits, key=conversations)
    slots = Slots(loads, metrics, longest=settings.queue.longest, seconds=settings.queue.seconds)
    rewriting = None
    if masking is not None and rules.rewrites:
        rewriting = _rewriting(decider, fleet, masking, metrics, rules, slots)
    attempts = Attempts(
        sealer=sealer,
        transport=transport,
        ledger=ledger,
        health=health,
        metrics=metrics,
        engines=engines,
        lives=lives,
        loads=loads,
        witness=witness,
        masking=masking,
        replies=None if rules.replies == "pass" else _replies(rules),
        rewriting=rewriting,
        limits=limits,
        holding=Holding(settings.server.max_reply_bytes),
    )
    observer = None
    if observed is not None:
        watching = guard(settings, observed)
        if observed.audit is not None:
            audit = _audit(loaded, observed, ids, watching.version if watching else "", demanded="never")
        deciding = Decider(fleet, health, observed, masks=watching is not None)
        observer = _observer(deciding, metrics, watching, audit)
    running: Runs = attempts
    if any(route.hedge_after is not None for route in settings.routes.values()):
        running = _hedge(attempts, fleet, health, metrics)
    if any(route.continues for route in settings.routes.values()):
        running = _continuing(running, fleet, health, metrics)
    running = _cascades(settings, attempts, running, decider, fleet, metrics, slots)
    shadows = _shadows(settings, attempts, metrics)
    pipeline = Pipeline(
        fleet=fleet,
        decider=decider,
        attempts=running,
        metrics=metrics,
        lives=lives,
        guard=looking,
        witness=witness,
        observer=observer,
        patience=Patience(health, limits, settings.retries),
        slots=slots,
        shadows=shadows,
    )
    return Gateway(
        settings=settings,
        digest=loaded.digest,
        decider=decider,
        fleet=fleet,
        survey=survey,
        pipeline=pipeline,
        transport=transport,
        ledger=ledger,
        keys=Keys(ring, force=_force(settings)),
        ring=ring,
        metrics=metrics,
        engines=engines,
        lives=lives,
        loads=loads,
        health=health,
        ids=ids,
        responses=_responses(loaded, url),
        burst=burst,
        audit=audit,
        observer=observer,
        shadows=shadows,
        other_metrics=other_metrics,
    )


def supervisor(loaded: Loaded) -> Supervisor:
    """The embedded engine over this machine's model files."""
    runtime = private(loaded.folders.runtime)
    return Supervisor(library(loaded), loaded.settings.engine, runtime, environ=loaded.environ.values())


def library(loaded: Loaded) -> Library:
    """The model files and folders of this machine."""
    return Library(loaded.folders.models)


def ledger_places(loaded: Loaded) -> tuple[str, Path]:
    """The ledger's database and the folder of its journal."""
    if not loaded.settings.ledger.url:
        private(loaded.folders.state)
    return loaded.ledger_url, private(loaded.journal)


def rules_from(settings: Settings) -> Rules:
    """The policy that requests are held to, as rules."""
    return presets.enforced(settings)


def guard(settings: Settings, rules: Rules) -> Guard | None:
    """Who looks at what requests say; None where the policy does not want that. Loads its rules at once."""
    policy = settings.policy
    wanted = policy.detect
    if wanted is None:
        wanted = bool(policy.file) or policy.preset != "default" or bool(settings.detectors)
    if not wanted:
        return None
    from nearfar.gateway.guard import Guard
    from nearfar.privacy.scan import Memo, Scanner

    memo = Memo()
    detectors = _detectors(settings)
    made = Guard(
        rules,
        lambda harmless: Scanner(detectors=detectors, harmless=harmless, memo=memo),
        deadline=policy.detect_deadline if settings.detectors else 0.0,
    )
    made.version  # noqa: B018 - loads the rules now and not while the first client waits
    return made


def _detectors(settings: Settings) -> tuple[Detector, ...]:
    """The embedded names, and what the owner has installed besides."""
    from nearfar.privacy.names import Names

    if not settings.detectors:
        return (Names.shipped(),)
    from nearfar.privacy.engines import Together

    return (Names.shipped(), Together(further_detectors(settings), settings.policy.detect_deadline))


def further_detectors(settings: Settings) -> list[Later]:
    """The detectors of the owner's choice. Each is made when it is first asked."""
    if not settings.detectors:
        return []
    from nearfar.privacy import engines

    return [
        engines.later(
            name,
            each.engine,
            model=each.model,
            labels=each.labels,
            threshold=each.threshold,
            language=each.language,
        )
        for name, each in settings.detectors.items()
    ]


def _replies(rules: Rules) -> ReplyGuard:
    """Who looks at what replies bring up, with the same rules as for requests; for names only where they matter."""
    from nearfar.gateway.reply_guard import ReplyGuard
    from nearfar.privacy.names import KIND, Names
    from nearfar.privacy.scan import Scanner

    detectors = (Names.shipped(),) if rules.watches(KIND) else ()
    return ReplyGuard(rules, lambda harmless: Scanner(detectors=detectors, harmless=harmless))


def _masking(loaded: Loaded, guard: Guard, rules: Rules) -> Masking:
    """Masks with a key that every process of this gateway shares, so that each can answer the next turn."""
    from nearfar.gateway.masking import Masking

    return Masking(guard, rules, key_in(private(loaded.folders.state) / "masks.key"))


def _rewriting(
    decider: Decider, fleet: Fleet, masking: Masking, metrics: Metrics, rules: Rules, slots: Slots
) -> Rewriting:
    """Questions without private facts, where the policy lets a class go further in that form."""
    from nearfar.gateway.rewriting import Rewriting
    from nearfar.gateway.rewriting_prompts import shipped

    return Rewriting(
        decider=decider, fleet=fleet, masking=masking, metrics=metrics, rules=rules, prompts=shipped(), slots=slots
    )


def _observer(decider: Decider, metrics: Metrics, guard: Guard | None, audit: Audit | None) -> Observer:
    """Tries a policy out; loaded only where one is."""
    from nearfar.gateway.observing import Observer

    return Observer(decider, metrics, guard=guard, audit=audit)


def _continuing(attempts: Runs, fleet: Fleet, health: Health, metrics: Metrics) -> Runs:
    """Another deployment for the rest of a stream that broke off, on routes that want it."""
    from nearfar.gateway.continuing import Continuing

    return Continuing(attempts, fleet=fleet, health=health, metrics=metrics)


def _hedge(attempts: Attempts, fleet: Fleet, health: Health, metrics: Metrics) -> Runs:
    """Second attempts beside slow ones, for routes that want them."""
    from nearfar.gateway.hedge import Hedge

    return Hedge(attempts, fleet=fleet, health=health, metrics=metrics)


def _cascades(
    settings: Settings,
    attempts: Attempts,
    straight: Runs,
    decider: Decider,
    fleet: Fleet,
    metrics: Metrics,
    slots: Slots,
) -> Runs:
    """Near answers that are judged, where a route wants that."""
    if all(route.strategy != "cascade" for route in settings.routes.values()):
        return straight
    from nearfar.gateway.cascade import Cascades

    return Cascades(attempts, straight=straight, decider=decider, fleet=fleet, metrics=metrics, slots=slots)


def _shadows(settings: Settings, attempts: Attempts, metrics: Metrics) -> Shadows | None:
    """Who is asked after the reply, where a route wants that."""
    if all(route.shadow is None for route in settings.routes.values()):
        return None
    from nearfar.core.money import NANO
    from nearfar.gateway.shadow import Shadows

    daily = round(settings.shadow.daily_usd * NANO / max(1, settings.server.workers))
    return Shadows(attempts, metrics, most=settings.shadow.most, daily=daily)


def _audit(loaded: Loaded, rules: Rules, ids: Ids, detectors: str, *, demanded: str = "") -> Audit:
    """The chain of this process. ``demanded``: the class from which records are, if not by the policy's word."""
    from nearfar.ledger.audit import Audit
    from nearfar.ledger.audit_records import Opened

    assert rules.audit is not None
    opened = Opened(
        process=os.getpid(),
        version=__version__,
        policy=rules.name,
        policy_version=rules.version,
        demanded=demanded or rules.audit.label,
        detectors=detectors,
    )
    return Audit(private(loaded.audit), ids, opened, wait=loaded.settings.audit.wait)


def has_keys(loaded: Loaded) -> bool:
    """Whether any caller's key exists and is not revoked."""
    with closing(connect(ledger_places(loaded)[0])) as connection:
        keys.prepare(connection)
        return bool(keys.ls(connection))


def is_loopback(host: str) -> bool:
    """Whether listening on ``host`` reaches nobody but this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name, which may lead anywhere, 127.example.org among them


def _force(settings: Settings) -> bool | None:
    if settings.server.require_key is None and not is_loopback(settings.server.host):
        return True
    return settings.server.require_key


def _responses(loaded: Loaded, url: str) -> Responses | None:
    setting = loaded.settings.responses
    if not setting.keep_hours:
        return None
    from nearfar.store.cipher import Cipher  # it needs an extra

    if setting.key:
        key = read_key(secrets.resolve(setting.key, loaded.environ).reveal(), "responses.key")
    else:
        key = key_in(private(loaded.folders.state) / "responses.key")
    highest = Class.parse(setting.highest_class)
    return Responses(
        url,
        Cipher(key),
        keep_seconds=round(setting.keep_hours * 3600),
        highest=highest,
        most=setting.most_per_caller,
        most_bytes=setting.most_mb_per_caller * 1_000_000,
    )


def _transport(loaded: Loaded, sealer: Sealer, burst: Burst) -> Transport:
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


def findings(loaded: Loaded) -> Callable[[], Sequence[Finding]]:
    """Reads what probes found out. A database that is not there, or not now, knows nothing: it is not made for this."""
    url = loaded.ledger_url

    def read() -> Sequence[Finding]:
        if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
            return ()
        try:
            with closing(connect(url, wait=1.0)) as connection:
                return capabilities.load(connection)
        except StoreUnavailable:
            return ()

    return read


def _survey(
    loaded: Loaded,
    known: Mapping[str, Provider],
    transport: Transport,
    sealer: Sealer,
    probed: Callable[[], Sequence[Finding]],
) -> Survey:
    settings = loaded.settings
    declared.check(settings, loaded.origins, known)
    found_keys = {}
    for name, provider in known.items():
        variable, _ = loaded.environ.first(*provider.key_env)
        if variable:
            found_keys[name] = f"env:{variable}"
    models = library(loaded)
    return Survey(
        settings=settings,
        providers=known,
        wires=wires.provider_wire,
        secret=lambda reference: secrets.resolve(reference, loaded.environ).reveal(),
        keys=found_keys if not settings.offline else {},
        library=lambda: [_found(model, settings.engine) for model in models.ls() if model.header is not None],
        shelf=lambda: _changed(models.folder),
        price_for=price_for,
        addresses=_addresses(known, loaded),
        signer=lambda auth, options: credentials.signer(auth, options, loaded.environ.values()),
        transport=transport,
        sealer=sealer,
        today=time.strftime("%Y-%m-%d"),
        probed=probed,
    )


def _changed(folder: Path) -> int:
    """When something last came into the folder or left it, in nanoseconds; 0 when there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _found(model: LocalModel, engine: Engine) -> Found:
    assert model.header is not None
    return Found(
        model=model.name,
        local_weights=True,
        # What a request really gets, which may be less than the model was trained for.
        context=plan(model.header, engine).context or None,
        operations=model.operations,
        provider=_SYSTEMS[model.header.engine],
    )


def _addresses(known: Mapping[str, Provider], loaded: Loaded) -> dict[str, tuple[str, ...]]:
    """Loopback addresses to ask for running runtimes; never our own."""
    own = loaded.settings.server.port
    addresses = {
        name: tuple(f"http://127.0.0.1:{port}" for port in provider.ports if port != own)
        for name, provider in known.items()
        if provider.probes
    }
    ollama = loaded.environ.ollama_url
    if ollama:
        # An Ollama on another machine has its weights there: only its owner can say, in a deployment, where that is.
        addresses["ollama"] = (ollama,) if is_loopback(parse_base(ollama)[0].host) else ()
    return addresses
