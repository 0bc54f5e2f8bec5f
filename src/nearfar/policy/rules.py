"""Rules: class and purpose → how far a request may go, and in which form. Pure; no detection happens here."""

from __future__ import annotations

from typing import Final

import msgspec

from nearfar.core.places import Class, Place, Treatment
from nearfar.policy.classify_kinds import PREFIX, Kinds, shipped

_CLEAR: Final = Treatment.CLEAR  # a member looked up in its enum costs ten times as much
_MASKED: Final = Treatment.MASKED
_REWRITTEN: Final = Treatment.REWRITTEN

Table = tuple[Place, Place, Place, Place]
"""Indexed by Class: public, internal, confidential, restricted."""

MEDIA = frozenset({"images", "audio", "documents", "video"})
"""Capabilities of a request that carries what cannot be masked."""
EVERYTHING = "*"
REPLY_KINDS = ("special", "secret", "identifier", "financial", "contact")
"""What is looked for in replies where a policy names nothing else: what stands for a person or opens a door. Names,
dates of birth, addresses of networks and the web are what answers are about.
"""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How far one class may go: in clear, masked, rewritten; and its images and sounds, which cannot be masked."""

    clear: Place
    masked: Place
    rewritten: Place
    media: Place

    def treatment(self, place: Place, *, able: Treatment = Treatment.REWRITTEN) -> Treatment | None:
        """The least that must be done before the content goes to ``place``; None when nothing makes it allowed.

        ``able``: the most that whoever asks can do.
        """
        if place <= self.clear:
            return _CLEAR
        if place <= self.masked and able >= _MASKED:
            return _MASKED
        if place <= self.rewritten and able >= _REWRITTEN:
            return _REWRITTEN
        return None

    def furthest(self, able: Treatment = Treatment.REWRITTEN) -> Place:
        """The furthest place in any form that ``able`` covers."""
        reached = (self.clear, self.masked, self.rewritten)
        return max(reached[: able + 1])


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, ready to be asked. What is left out allows nothing more than ``furthest`` does."""

    name: str
    furthest: Table
    """In clear."""
    default: Class
    """The class of a request about which nobody said anything."""
    offline: bool = False
    masked: Table | None = None
    """Masked; None: no further than in clear."""
    rewritten: Table | None = None
    """Rewritten by a near model without private facts; None: no further than masked."""
    rewriter: str = "local"
    """The route whose near deployments rewrite and merge."""
    media: Table | None = None
    """Images, audio, documents; None: as far as in clear."""
    purposes: dict[str, Table] = {}
    """Purpose or operation → the furthest place in any form. It only narrows."""
    trusted_tools: tuple[str, ...] = ()
    """Tools into whose arguments masked values are restored; a name, or the beginning of names with ``*``."""
    elsewhere: frozenset[str] = frozenset()
    """References to content held elsewhere and provider-run tools that may be used, by name; ``*`` for all. A name with
    a provider, such as ``web_search@openai`` or ``*@openai``, may be used there alone."""
    unknown: Class = Class.CONFIDENTIAL
    """What content that nobody could read counts as."""
    audit: Class | None = None
    """From this class on, a durable record stands before bytes leave; None: never."""
    wait: float = 0.0
    """Seconds to wait for an allowed deployment before a request is refused."""
    kinds: Kinds = msgspec.field(default_factory=shipped)
    """What was found → class."""
    harmless: dict[str, tuple[str, ...]] = {}
    """Route → the owner's own values that count as nothing there; ``*`` for every route."""
    replies: str = "pass"
    """Private values in replies from beyond the local network that the caller did not send: ``pass``, ``tell`` (they
    stay and are counted) or ``redact``."""
    reply_kinds: tuple[str, ...] = REPLY_KINDS
    """Which: groups, kinds, beginnings of kinds with ``.*``; ``*`` for every kind."""
    version: str = ""
    """Stands for every value of the policy."""

    def reach(self, class_: Class) -> Place:
        """The furthest place that ``class_`` may reach in clear."""
        return self.furthest[class_]

    def limits(self, class_: Class, purpose: str = "serve", operation: str = "chat") -> Reach:
        """How far ``class_`` may go for this purpose. A purpose and an operation only narrow it.

        What holds for ``serve`` holds for all: callers may say another purpose, and get no further by that.
        """
        clear = self.furthest[class_]
        masked = clear if self.masked is None else max(clear, self.masked[class_])
        rewritten = masked if self.rewritten is None else max(masked, self.rewritten[class_])
        media = clear if self.media is None else self.media[class_]
        for name in ("serve", purpose, operation) if self.purposes else ():
            if name in self.purposes:
                bound = self.purposes[name][class_]
                clear, masked, rewritten, media = (min(item, bound) for item in (clear, masked, rewritten, media))
        return Reach(clear=clear, masked=masked, rewritten=rewritten, media=media)

    @property
    def rewrites(self) -> bool:
        """Whether anything goes further rewritten than masked."""
        return any(limits.rewritten > limits.masked for limits in map(self.limits, Class))

    def audited(self, class_: Class) -> bool:
        """Whether a record must be durable before bytes of this class leave."""
        return self.audit is not None and class_ >= self.audit

    def watches(self, kind: str) -> bool:
        """Whether ``kind`` is looked for in replies."""
        names = self.reply_kinds
        if EVERYTHING in names or kind in names or self.kinds.of(kind).group in names:
            return True
        return any(name.endswith(PREFIX) and kind.startswith(name[: -len(PREFIX)] + ".") for name in names)

    def trusts(self, tool: str) -> bool:
        """Whether masked values are restored in the arguments of ``tool``."""
        return _listed(tool, self.trusted_tools)

    def unnamed(self, elsewhere: frozenset[str], provider: str = "") -> list[str]:
        """Those references and provider-run tools that this policy does not name for ``provider``."""
        named = self.elsewhere
        if EVERYTHING in named or f"{EVERYTHING}@{provider}" in named:
            return []
        return sorted(item for item in elsewhere - named if f"{item}@{provider}" not in named)

    def harmless_on(self, route: str) -> tuple[str, ...]:
        """The owner's own values on ``route``."""
        return (*self.harmless.get(EVERYTHING, ()), *self.harmless.get(route, ()))


def _listed(name: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(item[:-1]) if item.endswith(EVERYTHING) else name == item for item in names)


def classify(
    rules: Rules, *, route: Class, caller: Class | None, header: Class | None, stored: Class | None = None
) -> tuple[Class, str]:
    """The highest of what is said about a request, and who said it.

    The default stands for a request about which neither its caller nor its header says anything; its route can only
    raise it. Once one of them speaks, the highest of caller, header and route counts. ``stored``, the class of a kept
    conversation that the request continues, only ever raises what the request would be by itself.
    """
    own = _own(rules, route=route, caller=caller, header=header)
    return own if stored is None or stored <= own[0] else (stored, "conversation")


def _own(rules: Rules, *, route: Class, caller: Class | None, header: Class | None) -> tuple[Class, str]:
    if caller is None and header is None:
        return (route, "route") if route > rules.default else (rules.default, "default")
    said = [(route, "route")]
    if caller is not None:
        said.append((caller, "caller"))
    if header is not None:
        said.append((header, "header"))
    highest, who = said[0]
    for class_, name in said[1:]:
        if class_ > highest:
            highest, who = class_, name
    return highest, who
