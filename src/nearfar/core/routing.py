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
    quality: float | None = None
    """Its owner's word of how good its answers are; more is better. None: not known."""
    slots: int | None = None
    """Requests it answers at once; more wait in the gateway's queue. None when nobody knows: then none waits there."""


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that gets a share of a route's traffic."""

    deployment: str
    share: float
    """From 0 to 1."""


class Cascade(msgspec.Struct, frozen=True, kw_only=True):
    """How a near answer is judged before it is given, and who is asked besides."""

    opinions: tuple[str, ...] = ()
    """Deployments that give a second opinion while it is uncertain, in this order."""
    threshold: float = 0.5
    """The confidence from 0 to 1 that an answer needs to be kept."""
    answers: str = "text"
    """How answers are compared: ``text``, ``number``, ``choice``, ``literal``, ``json``, ``code``."""
    buffers: bool = True
    """Whether a streamed answer is held until it has been judged; else it goes straight through, unjudged."""
    max_cost: int | None = None
    """Nano-USD that all attempts for one request may cost together; None: no bound of its own."""


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
    spill_after: float | None = None
    """Seconds in which the side that goes first is to send its first content, or the other one answers if it is
    expected sooner; None: no bound. Where both are compared (``fastest``): by how much near may be expected later."""
    balance: str = "listed"
    """Within one side: ``listed`` in the order of ``deployments``, ``wait`` the one expected to answer first."""
    affinity: bool = False
    """Whether a conversation prefers one deployment, which may still have its prompt in a cache."""
    weights: dict[str, float] = {}
    """Deployment → its weight, for the strategy ``weighted``; 1 where none is given."""
    branch: Branch | None = None
    """The share of traffic for another deployment, for the strategies ``canary`` and ``shadow``."""
    priority: str = "normal"
    """Where its requests stand in a queue: ``high``, ``normal`` or ``low``."""
    continues: bool = False
    """Whether a stream that broke off is continued by another deployment that can."""
    hedge_after: float | None = None
    """Seconds without content after which a second deployment is asked besides the first; None: never."""
    cascade: Cascade | None = None
    """For the strategy ``cascade``; None: as its defaults say."""


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


class Lean(msgspec.Struct, frozen=True, kw_only=True):
    """What a learned router said about one request, and whether the order follows it."""

    side: str
    """``near`` or ``far``: which it would have go first; empty where it cannot tell."""
    follows: bool
    """Whether the order follows it."""
    mode: str
    """``observe``, ``canary`` or ``on``."""
    share: float = 1.0
    """How likely it was that the order would follow, 0 to 1."""
    gap: float | None = None
    """Expected quality far less quality near, -1 to 1; None where that cannot be trusted."""
    threshold: float | None = None
    """The gap up to which near goes first; None: nothing may stay near."""
    why: str = ""
    """Why it is not followed."""


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
    draw: float = 0.0
    """A number from 0 up to 1 that stands for the request, or where they stay together for its conversation."""
    conversation: int = 0
    """A keyed hash of how the conversation begins; 0 where nobody needs it."""
    lean: Lean | None = None
    """What a learned router says; None where none was asked."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment and its state at this moment."""

    deployment: Deployment
    state: str = "ready"
    """``ready``, ``cold``, ``loading``, ``cooling``, ``unusable``."""
    trouble: str = ""
    """Why it cannot be called at all, such as a key that is not there; empty when it can."""
    trouble_code: str = ""
    """The error's code for a request that has nothing else; empty for the usual ``deployment_unusable``."""
    cooling: float = 0.0
    """Seconds until the cool-down ends."""
    cooling_reason: str = ""
    wait: float = 0.0
    """Seconds until it could begin to answer, as far as is known: what a model that is not in memory takes to load."""
    in_flight: int = 0
    foreign: bool = False
    """Whether it speaks another dialect than the request, so that references in it would mean nothing there. Only said
    of requests that hold some."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of one candidate for one request, and how sure that is. Times are seconds."""

    wait: float
    """Until it begins: loading, a queue, a limit that has to refill."""
    first: float
    """Until the first content, the wait included."""
    total: float
    """Until the end."""
    price: int | None = None
    """Nano-USD for this request with an answer of the usual length; None when no price is known."""
    samples: int = 0
    """Attempts that it rests on; 0 means that speeds are assumed from the place alone."""
    error: float | None = None
    """How far such predictions of the first content were off lately, as a share; None when there were none."""
    in_flight: int = 0
    queued: int = 0


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that may be tried, and why it stands where it stands."""

    candidate: Candidate
    reason: str
    treatment: Treatment = Treatment.CLEAR
    """What must be done to the content before it goes there."""
    expected: Expected | None = None
    """What was expected of it, where somebody asked for all of it."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that may not be tried for this request, and why."""

    deployment: str
    code: str
    """Stable: ``place``, ``context``, ``capability``, ``operation``, ``strategy``, ``offline``, ``unusable``,
    ``media``, ``elsewhere``, ``guard``."""
    reason: str
    error: str = ""
    """Of what is unusable: the error's code for a request that has nothing else, where it has one of its own."""


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
    patience: float | None = None
    """Seconds that the request may wait for a slot before the next candidate answers; None: for as long as it takes."""
    shared: bool = False
    """Whether whichever of the first candidates of one side has a free slot may answer."""
    shadow: Ranked | None = None
    """Who is asked besides, without the client seeing it; None: nobody."""
    learned: float | None = None
    """The gap that a learned router expected, far less near; None where it was not asked, or not to be trusted."""
    lean: Lean | None = None
    """What the router said, and whether the order follows it."""
