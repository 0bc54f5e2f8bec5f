"""The fleet: every deployment callable here and every route to them, as one snapshot that is swapped whole.

It knows how a deployment is addressed and authorised; it decides nothing and opens no socket.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Container, Iterable, Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from nearfar import __version__
from nearfar.core.chat import Request
from nearfar.core.errors import NoRoute
from nearfar.core.routing import Candidate, Deployment, Route
from nearfar.gateway.credentials import Signer
from nearfar.gateway.health import Health
from nearfar.gateway.limits import Quota
from nearfar.policy.seal import Origin
from nearfar.wire.base import Outgoing, ProviderWire

VIRTUAL = {
    "auto": ("local-first", "Near when it can, far when it must, over whatever is found."),
    "local": ("local-only", "The nearest local deployment found."),
    "cloud": ("cloud-only", "The first cloud deployment found."),
}
"""Routes that exist without configuration: name → strategy, description."""


ENGINE = "engine:"
"""The base URL of embedded deployments: their address exists only while their child process runs."""


class Target:
    """A deployment with what is needed to call it. One per deployment and snapshot."""

    __slots__ = (
        "_also",
        "_heads",
        "base_path",
        "deployment",
        "engine_model",
        "may_cut",
        "origin",
        "quota",
        "ready",
        "secret_headers",
        "signer",
        "wires",
    )

    def __init__(
        self,
        deployment: Deployment,
        wires: Mapping[str, ProviderWire],
        secret_headers: tuple[tuple[str, str], ...],
        *,
        also: Iterable[ProviderWire] = (),
        signer: Signer | None = None,
        may_cut: bool = True,
        quota: Quota | None = None,
    ) -> None:
        """``wires``: operation → wire. ``secret_headers`` authorise; they live here and in the sealed head alone.

        ``also``: further wires, for clients whose dialect travels on them as it came. ``signer`` authorises each
        attempt by its bytes. ``may_cut``: its runtime may be one that cuts prompts in silence.
        ``quota``: whose limits its replies tell of.
        """
        self.deployment = deployment
        self.wires = wires
        self.secret_headers = secret_headers
        self.signer = signer
        self.may_cut = may_cut
        self.quota = quota
        self._also = {client: wire for wire in also for client in wire.like}
        self.ready = Candidate(deployment=deployment)
        """The candidate of every moment in which nothing is held against the deployment."""
        self.engine_model = deployment.model if deployment.base_url == ENGINE else ""
        """The embedded engine's model behind it; empty for everything that has an address of its own."""
        self.origin, self.base_path = parse_base(deployment.base_url)
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}

    def wire(self, request: Request) -> ProviderWire:
        """The wire for ``request``: one on which its bytes can travel as they came, if there is one."""
        usual = self.wires[request.operation]
        if not self._also or request.wire in usual.like:
            return usual
        return self._also.get(request.wire, usual)

    def speaks(self, dialect: str) -> bool:
        """Whether requests in the client's ``dialect`` can travel as they came, whatever they ask for."""
        return any(dialect in wire.like for wire in (*self.wires.values(), *self._also.values()))

    def informed(self, deployment: Deployment, *, state: str, wait: float) -> Target:
        """The same target with what its runtime has said since: the deployment's facts, and the model's state."""
        made = copy.copy(self)
        made.deployment = deployment
        made.ready = Candidate(deployment=deployment, state=state, wait=wait)
        return made

    async def signed_head(self, outgoing: Outgoing, signer: Signer) -> bytes:
        """As ``head``, authorised for exactly these bytes. Raises AuthenticationError when there are no credentials."""
        path = self.base_path + outgoing.path
        headers = (*outgoing.headers, *self.deployment.headers.items(), *self.secret_headers)
        signed = await signer.headers(outgoing.method, self.origin, path, headers, outgoing.body)
        return build_head(outgoing.method, path, self.origin, (*headers, *signed))

    def head(self, outgoing: Outgoing) -> bytes:
        """Request line and headers for ``outgoing``, without length and request id."""
        key = (outgoing.path, outgoing.headers)
        head = self._heads.get(key)
        if head is None:
            head = build_head(
                outgoing.method,
                self.base_path + outgoing.path,
                self.origin,
                (*outgoing.headers, *self.deployment.headers.items(), *self.secret_headers),
            )
            if len(self._heads) >= 64:
                # Forms have another boundary each time: they must not keep the few heads of all others out.
                self._heads.clear()
            self._heads[key] = head
        return head


class Snapshot:
    """What was known at one moment: targets and routes by name."""

    __slots__ = ("routes", "targets", "unusable")

    def __init__(
        self,
        targets: Mapping[str, Target],
        routes: Mapping[str, Route],
        unusable: Mapping[str, Candidate] = MappingProxyType({}),
    ) -> None:
        """``unusable``: deployments that cannot be called, each as the candidate whose ``trouble`` says why."""
        self.targets = targets
        self.routes = routes
        self.unusable = unusable


class Renew(Protocol):
    """Looks again at what is there (loopback runtimes, model files) when it is time to."""

    async def __call__(self, *, known: bool) -> Snapshot | None:
        """A new snapshot, or None when there is no reason to look."""
        ...


class Fleet:
    """Finds routes and candidates in the present snapshot, and has it renewed when it is old."""

    def __init__(
        self,
        snapshot: Snapshot,
        health: Health,
        *,
        fixed: Container[str] = (),
        renew: Renew | None = None,
        reread: Callable[[], Snapshot | None] | None = None,
    ) -> None:
        """``fixed``: routes that the configuration spells out, so that nothing has to be looked for.

        ``reread``: what has become known of deployments that are there anyway; it never waits.
        """
        self._snapshot = snapshot
        self._health = health
        self._fixed = fixed
        self._renew = renew
        self._reread = reread

    @property
    def snapshot(self) -> Snapshot:
        """The present snapshot."""
        return self._snapshot

    def adopt(self, snapshot: Snapshot) -> None:
        """Something has become known besides what a look finds: requests from now on are decided over ``snapshot``."""
        self._snapshot = snapshot

    def at_once(self, model: str) -> Route | None:
        """The route of the asked model where nothing has to be looked at first; None: ``find`` it."""
        fresh = None if self._reread is None else self._reread()
        if fresh is not None:
            self._snapshot = fresh
        if self._renew is not None and model not in self._fixed:
            return None
        route = self._snapshot.routes.get(model)
        return None if self._snapshot.unusable and self._may_have_healed(route) else route

    async def find(self, model: str) -> Route:
        """The route of the asked model. Raises NoRoute with the nearest names."""
        fresh = None if self._reread is None else self._reread()
        if fresh is not None:
            self._snapshot = fresh
        route = self._snapshot.routes.get(model)
        if self._renew is not None and (model not in self._fixed or self._may_have_healed(route)):
            await self.refresh(known=route is not None)
            route = self._snapshot.routes.get(model)
        if route is not None:
            return route
        raise NoRoute(
            f"No model is named {model!r} here.",
            param="model",
            hint=_nearest(model, self._snapshot.routes),
        )

    def _may_have_healed(self, route: Route | None) -> bool:
        """Whether looking again can help a configured route: a key's file may have come since."""
        unusable = self._snapshot.unusable
        return bool(unusable) and route is not None and any(name in unusable for name in route.deployments)

    async def refresh(self, *, known: bool = True) -> None:
        """Look again at what is there, if it is time to."""
        if self._renew is not None:
            fresh = await self._renew(known=known)
            if fresh is not None:
                self._snapshot = fresh

    def candidates(self, route: Route, snapshot: Snapshot) -> list[Candidate]:
        """The deployments of ``route`` as they stand now."""
        targets = snapshot.targets
        found: list[Candidate] = []
        for name in route.deployments:
            target = targets.get(name)
            if target is None:
                if name in snapshot.unusable:
                    found.append(snapshot.unusable[name])
                continue
            left, reason = self._health.cooling(name)
            if left:
                found.append(
                    Candidate(deployment=target.deployment, state="cooling", cooling=left, cooling_reason=reason)
                )
            else:
                found.append(target.ready)
        return found


def routes_over(deployments: Iterable[Deployment], configured: Mapping[str, Route]) -> dict[str, Route]:
    """All routes: the configured ones, one per deployment, and the virtual models over what is there.

    The demo model takes part in virtual routes only while nothing else can, or when its owner declared it.
    """
    known = list(deployments)
    routes: dict[str, Route] = {}
    for name, (strategy, description) in VIRTUAL.items():
        if name not in configured:
            routes[name] = Route(
                name=name,
                strategy=strategy,
                deployments=tuple(d.name for d in _members(known)),
                description=description,
            )
    for deployment in known:
        if deployment.name not in configured:
            routes[deployment.name] = Route(
                name=deployment.name,
                strategy="local-first",
                deployments=(deployment.name,),
                description=f"{deployment.model} at {deployment.provider}",
            )
    routes.update(configured)
    return routes


def _members(known: list[Deployment]) -> list[Deployment]:
    real = [d for d in known if not d.demo or d.declared]
    return real if any("chat" in d.operations for d in real) else known


def _nearest(model: str, routes: Mapping[str, Route]) -> str:
    if not routes:
        return "Nothing is configured or found yet: `nearfar models add PATH` adds a GGUF file."
    near = difflib.get_close_matches(model, routes, n=3, cutoff=0.4)
    found = f"Nearest names: {', '.join(near)}." if near else "No name is near it."
    return f"{found} `nearfar route ls` (or GET /v1/models) lists all."


def parse_base(base_url: str) -> tuple[Origin, str]:
    """``https://host:port/v1`` → origin and path prefix; ``unix:PATH`` carries none."""
    if base_url == ENGINE:
        # Without the prefix the engine answers embeddings in a shape of its own.
        return Origin(scheme="unix", host=""), "/v1"
    if base_url.startswith("unix:"):
        return Origin(scheme="unix", host=base_url.removeprefix("unix:")), ""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(scheme=parts.scheme, host=parts.hostname or "", port=port), parts.path.rstrip("/")


def build_head(method: str, path: str, origin: Origin, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request head in bytes. Raises ValueError for a header that would break out of its line."""
    default = {"http": 80, "https": 443}.get(origin.scheme)
    host = "localhost" if origin.scheme == "unix" else origin.host
    if ":" in host:
        host = f"[{host}]"
    if origin.port and origin.port != default:
        host = f"{host}:{origin.port}"
    lines = [
        f"{method} {path} HTTP/1.1",
        f"host: {host}",
        f"user-agent: nearfar/{__version__}",
        "accept-encoding: identity",
    ]
    for name, value in headers:
        if any(mark in name + value for mark in "\r\n\0"):
            raise ValueError(f"header {name!r} holds a line break")
        lines.append(f"{name}: {value}")
    return "\r\n".join(lines).encode("latin-1")
