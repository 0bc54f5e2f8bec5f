"""Deployments, routes, and the values a decision is made from and of. They decide nothing themselves."""

from __future__ import annotations

import msgspec

from nearfar.core.money import Price
from nearfar.core.places import Class, Place, Treatment


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a deployment can do something: yes, no, or unknown; with where that is known from, and since when."""

    can: bool | None = None
    source: str = "unknown"
    """``declared`` (configuration), ``probed``, ``catalogue`` or ``unknown``."""
    date: str = ""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A model at a provider, callable here. It holds a reference to its key, never the key."""

    name: str
    provider: str
    model: str
    """The name the provider knows the model by."""
    wire: str
    base_url: str
    place: Place
    place_source: str = "default"
    """Why the place is believed: ``embedded``, ``declared``, ``local-weights`` or ``default``."""
    region: str = ""
    key: str = ""
    """Where the key is: ``env:NAME`` or ``file:PATH``; empty for none."""
    operations: frozenset[str] = frozenset({"chat"})
    capabilities: dict[str, Capability] = {}
    context: int | None = None
    """Tokens that fit, prompt and answer together; None when unknown."""
    loaded_context: int | None = None
    """Tokens of context the runtime has it loaded with now; None when it is not loaded, or does not say."""
    max_output: int | None = None
    price: Price | None = None
    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    headers: dict[str, str] = {}
    options: dict[str, str] = {}
    """What its provider needs to know besides: ``region``, ``project``, ``api_version``, …"""
    demo: bool = False
    """The built-in demo model: never chosen beside a real one, unless its owner declared it."""
    declared: bool = False
    """Whether the configuration spells it out, rather than that it was found."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An asked model → a strategy over deployments, with the class that its use implies."""

    name: str
    strategy: str
    deployments: tuple[str, ...]
    floor: Class = Class.PUBLIC
    """Requests on this route are at least this sensitive."""
    description: str = ""
    cold: str = "warm"
    """What to do with a local model that is not in memory and takes long to load: ``warm`` loads it in the background
    while another allowed deployment answers, ``wait`` waits for it."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that were said about the class of a request."""

    class_: Class
    source: str
    """``default``, ``route``, ``caller``, ``header``, ``conversation``, ``found``, ``passage``, ``tool``, ``history``,
    ``unknown`` (something that nobody could read) or ``guard`` (a detector that failed)."""
    detail: str = ""
    """Kinds, counts and why; never a value."""

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.source}: {self.detail}" if self.detail else self.source


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision may know about a request. Pure values: the same facts give the same decision."""

    operation: str
    class_: Class
    class_reason: str
    purpose: str
    input_tokens: int
    max_output: int | None
    needs: frozenset[str]
    stream: bool
    reasons: tuple[Reason, ...] = ()
    """All that was said about the class, the highest first."""
    elsewhere: frozenset[str] = frozenset()
    """References to content held elsewhere, and tools that the provider runs, by name: ``file_id``, ``web_search``."""
    guard: str = ""
    """Why the content could not be looked at; empty when it was. Then nothing goes beyond the local network."""
    able: Treatment = Treatment.CLEAR
    """The most that can be done to the content of this request before it leaves."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment and its state at this moment."""

    deployment: Deployment
    state: str = "ready"
    """``ready``, ``cold``, ``loading``, ``cooling``, ``unusable``."""
    trouble: str = ""
    """Why it cannot be called at all, such as a key that is not there; empty when it can."""
    cooling: float = 0.0
    """Seconds until the cool-down ends."""
    cooling_reason: str = ""
    wait: float = 0.0
    """Seconds until it could begin to answer, as far as is known: what a model that is not in memory takes to load."""
    in_flight: int = 0


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that may be tried, and why it stands where it stands."""

    candidate: Candidate
    reason: str
    treatment: Treatment = Treatment.CLEAR
    """What must be done to the content before it goes there."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that may not be tried for this request, and why."""

    deployment: str
    code: str
    """Stable: ``place``, ``context``, ``capability``, ``operation``, ``strategy``, ``offline``, ``unusable``,
    ``media``, ``elsewhere``, ``guard``."""
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The ordered candidates for one request, the rejected ones, and the rule that allowed them."""

    id: str
    route: str
    strategy: str
    policy: str
    class_: Class
    class_reason: str
    furthest: Place
    """The furthest place this class may reach: what the socket enforces."""
    ranked: tuple[Ranked, ...]
    rejected: tuple[Rejected, ...]
    policy_version: str = ""
    """Stands for every value of the policy: another one means another policy."""
    reasons: tuple[Reason, ...] = ()
    """All that was said about the class, the highest first."""
    audit: bool = False
    """Whether a durable record must stand before bytes leave for a deployment beyond the local network."""
    wait: float = 0.0
    """Seconds to wait for an allowed deployment that cannot answer now, before the request is refused."""
    guard: str = ""
    """Why the content could not be looked at; empty when it was."""
