"""Policies as data: strict loader of TOML, the presets that come with nearfar, and what settings make of them.

It opens the owner's policy file and its own data, nothing else; where that file is, the settings say.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.core.places import Class, Place
from nearfar.policy.classify_kinds import Kinds, changed, shipped
from nearfar.policy.rules import EVERYTHING, REPLY_KINDS, Rules, Table
from nearfar.settings.errors import Problem, SettingsError
from nearfar.settings.model import Settings

NAMES = ("default", "developer", "team", "tw-medical", "tw-finance", "government", "offline")
MAX_BYTES = 1024 * 1024
REWRITER = "local"
"""The route that rewrites where no policy names one: the nearest local deployment found."""
REPLIES = ("pass", "tell", "redact")
FORMS = ("clear", "masked", "rewritten", "media")
_DATA = Path(__file__).parent / "data"


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy rests on."""

    name: str
    url: str = ""
    date: str = ""
    """When it was read."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class: the furthest place in each form. What is left out goes no further than the form before it."""

    clear: str
    masked: str | None = None
    rewritten: str | None = None
    media: str | None = None
    """Images, audio and documents; left out: as ``clear``, but not beyond ``lan``."""


class Bound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One purpose or operation: the furthest place of each class in any form; left out: no narrower."""

    public: str | None = None
    internal: str | None = None
    confidential: str | None = None
    restricted: str | None = None


class Lines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The classes that a file speaks of."""

    public: Line | None = None
    internal: Line | None = None
    confidential: Line | None = None
    restricted: Line | None = None


class Tools(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tools that may see what was masked."""

    trusted: tuple[str, ...] = ()


class Rewriting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who rewrites and merges where a class goes further rewritten."""

    route: str
    """A route; its near deployments are asked."""


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """References and provider-run tools that may be used."""

    allow: tuple[str, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy as it is written. Only a shipped one must say everything."""

    name: str
    date: dt.date
    title: str = ""
    title_zh: str = msgspec.field(name="title-zh", default="")
    note: str = ""
    extends: str = ""
    """A preset that holds wherever this file is silent."""
    source: tuple[Source, ...] = ()
    default_class: str | None = None
    unknown: str | None = None
    """What content that nobody could read counts as."""
    audit: str | None = None
    """From this class on a durable record stands before bytes leave; ``never``."""
    wait: float | None = None
    """Seconds to wait for an allowed deployment before a request is refused."""
    offline: bool | None = None
    classes: Lines = Lines()
    purposes: dict[str, Bound] = {}
    groups: dict[str, str] = {}
    kinds: dict[str, str] = {}
    tools: Tools | None = None
    rewriting: Rewriting | None = None
    elsewhere: Elsewhere | None = None
    harmless: dict[str, tuple[str, ...]] = {}
    replies: str | None = None
    """Private values in replies that the caller did not send: ``pass``, ``tell`` or ``redact``."""
    reply_kinds: tuple[str, ...] | None = None
    """Which: groups of kinds, kinds, ``secret.*``; ``*`` for all. Left out: what identifies, pays or opens."""


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that holds, and who said each part of it."""

    rules: Rules
    origins: dict[str, str]
    """``classes.internal.masked`` → ``preset team``, ``file /etc/…`` or ``settings policy.internal``."""
    title: str
    sources: tuple[Source, ...]
    files: tuple[File, ...]
    """What it was made from, the weakest first."""


@functools.cache
def preset(name: str) -> File:
    """The preset ``name`` as written; KeyError when there is none."""
    if name not in NAMES:
        raise KeyError(name)
    return parse((_DATA / f"{name}.toml").read_bytes(), where=f"preset {name}")


def text(name: str) -> str:
    """The preset ``name`` as its file says it, to begin an own policy with; KeyError when there is none."""
    if name not in NAMES:
        raise KeyError(name)
    return (_DATA / f"{name}.toml").read_text("utf-8")


def parse(text: bytes, *, where: str) -> File:
    """A policy file, read strictly; ValueError says what is wrong in it."""
    return decode(text, File, f"{where} is not a policy")


def effective(settings: Settings, origins: Mapping[str, str] | None = None) -> Effective:
    """What the settings make of their preset and their file. Raises SettingsError with the next step.

    ``origins``: who said each setting, as ``settings.load`` tells it.
    """
    policy = settings.policy
    try:
        layers = _layers(policy.preset, policy.file, observe=policy.mode == "observe")
        return _joined(layers, settings, origins or {})
    except (ValueError, OSError) as error:
        key = "policy.file" if policy.file else "policy"
        origin = (origins or {}).get(key, "")
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problem = Problem(key=key, origin=origin, message=f"cannot be used: {why}")
        hint = "`nearfar policy show` prints the policy that holds; `nearfar policy presets` lists those to begin with."
        raise SettingsError(problem.text, problems=[problem], hint=hint) from error


def rules(settings: Settings) -> Rules:
    """The policy of the settings, ready to be asked; whether requests are held to it, ``policy.mode`` says."""
    return effective(settings).rules


def enforced(settings: Settings) -> Rules:
    """The policy that requests are held to.

    While the chosen one is only observed, it is the one that holds where nobody chose any, with the single places of
    the settings: what callers themselves call confidential stays near all the same.
    """
    if settings.policy.mode == "enforce":
        return rules(settings)
    effective(settings)  # what is wrong with the observed one is told too
    replace = msgspec.structs.replace
    return rules(replace(settings, policy=replace(settings.policy, mode="enforce", preset=NAMES[0], file="")))


def observed(settings: Settings) -> Rules | None:
    """The policy that is only tried out; None where the chosen one holds."""
    return None if settings.policy.mode == "enforce" else rules(settings)


def _layers(name: str, file: str, *, observe: bool) -> list[tuple[str, File]]:
    """(who, what it says), the weakest first."""
    if observe and not file and name == NAMES[0]:
        raise ValueError("mode is observe, and there is nothing to observe: choose a preset or a file")
    if not file:
        return [(f"preset {name}", preset(name))]
    path = Path(file)
    with path.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES} bytes")
    own = parse(data, where=str(path))
    base = own.extends or name
    if base not in NAMES:
        raise ValueError(f"{path} extends {base!r}, which is no preset: use one of {', '.join(NAMES)}")
    return [(f"preset {base}", preset(base)), (f"file {path}", own)]


class _Draft:
    """A policy being put together."""

    def __init__(self) -> None:
        self.places: dict[str, dict[str, Place]] = {item.label: {} for item in Class}
        # A policy that says nothing of replies lets them pass: the only part that a preset may leave out.
        self.values: dict[str, object] = {"replies": REPLIES[0], "reply_kinds": REPLY_KINDS}
        self.origins: dict[str, str] = dict.fromkeys(self.values, "default")
        self.purposes: dict[str, Table] = {}
        self.harmless: dict[str, tuple[str, ...]] = {}
        self.kinds: Kinds = shipped()

    def set(self, key: str, value: object, who: str) -> None:
        self.values[key] = value
        self.origins[key] = who

    def line(self, class_: str, line: Line, who: str) -> None:
        clear = Place.parse(line.clear)
        masked = clear if line.masked is None else Place.parse(line.masked)
        rewritten = masked if line.rewritten is None else Place.parse(line.rewritten)
        media = min(clear, Place.LAN) if line.media is None else Place.parse(line.media)
        if not clear <= masked <= rewritten:
            raise ValueError(f"{class_}: masked may not be nearer than clear, nor rewritten nearer than masked")
        self.places[class_] = dict(zip(FORMS, (clear, masked, rewritten, media), strict=True))
        self.origins |= {f"classes.{class_}.{form}": who for form in FORMS}

    def table(self, form: str) -> Table:
        public, internal, confidential, restricted = (self.places[item.label][form] for item in Class)
        return public, internal, confidential, restricted


def _joined(layers: list[tuple[str, File]], settings: Settings, origins: Mapping[str, str]) -> Effective:
    draft = _Draft()
    draft.set("rewriting.route", REWRITER, "nearfar")
    for who, file in layers:
        _add(draft, file, who)
    touched = _settings(draft, settings, origins)
    name = layers[-1][1].name
    if touched:
        name = "configured" if name == NAMES[0] else f"{name} (changed)"
    built = Rules(
        name=name,
        furthest=draft.table("clear"),
        masked=draft.table("masked"),
        rewritten=draft.table("rewritten"),
        rewriter=str(draft.values["rewriting.route"]),
        media=draft.table("media"),
        default=_class(draft, "default_class"),
        unknown=_class(draft, "unknown"),
        audit=None if draft.values["audit"] == "never" else _class(draft, "audit"),
        wait=_number(draft.values["wait"]),
        offline=bool(draft.values["offline"]),
        purposes=draft.purposes,
        trusted_tools=_names(draft.values["tools.trusted"]),
        elsewhere=frozenset(_names(draft.values["elsewhere.allow"])),
        kinds=draft.kinds,
        harmless=draft.harmless,
        replies=str(draft.values["replies"]),
        reply_kinds=_names(draft.values["reply_kinds"]),
    )
    _check(built)
    return Effective(
        rules=msgspec.structs.replace(built, version=version(built)),
        origins=draft.origins,
        title=next((file.title for _, file in reversed(layers) if file.title), ""),
        sources=tuple(source for _, file in layers for source in file.source),
        files=tuple(file for _, file in layers),
    )


def _add(draft: _Draft, file: File, who: str) -> None:
    for item in Class:
        line: Line | None = getattr(file.classes, item.label)
        if line is not None:
            draft.line(item.label, line, who)
    simple = {
        "default_class": file.default_class,
        "unknown": file.unknown,
        "audit": file.audit,
        "wait": file.wait,
        "offline": file.offline,
        "tools.trusted": None if file.tools is None else file.tools.trusted,
        "rewriting.route": None if file.rewriting is None else file.rewriting.route,
        "elsewhere.allow": None if file.elsewhere is None else file.elsewhere.allow,
        "replies": file.replies,
        "reply_kinds": file.reply_kinds,
    }
    for key, value in simple.items():
        if value is not None:
            draft.set(key, value, who)
    for purpose, bound in file.purposes.items():
        places = [getattr(bound, item.label) for item in Class]
        public, internal, confidential, restricted = (
            Place.CLOUD if place is None else Place.parse(place) for place in places
        )
        draft.purposes[purpose] = (public, internal, confidential, restricted)
        draft.origins[f"purposes.{purpose}"] = who
    groups = {group: Class.parse(text) for group, text in file.groups.items()}
    own = {kind: Class.parse(text) for kind, text in file.kinds.items()}
    draft.kinds = changed(draft.kinds, groups, own, file.name)
    draft.origins |= {f"groups.{group}": who for group in groups} | {f"kinds.{kind}": who for kind in own}
    for route, values in file.harmless.items():
        draft.harmless[route] = (*draft.harmless.get(route, ()), *values)
        draft.origins[f"harmless.{route}"] = who


def _settings(draft: _Draft, settings: Settings, origins: Mapping[str, str]) -> bool:
    """What single settings change; returns whether they change a rule."""
    policy, touched = settings.policy, False

    def who(key: str) -> str:
        return origins.get(key) or f"settings {key}"

    for item in Class:
        place: str | None = getattr(policy, item.label)
        if place is not None:
            # A place in the settings is the furthest one altogether: so it was before there were masks.
            media = min(Place.parse(place), draft.places[item.label]["media"]).label
            line = Line(clear=place, media=media)
            draft.line(item.label, line, who(f"policy.{item.label}"))
            touched = True
    if policy.default_class is not None:
        draft.set("default_class", policy.default_class, who("policy.default_class"))
        touched = True
    if policy.replies is not None:
        draft.set("replies", policy.replies, who("policy.replies"))
        touched = True
    if settings.offline:
        draft.set("offline", True, who("offline"))
    for route, values, key in (
        (EVERYTHING, policy.harmless, "policy.harmless"),
        *((name, item.harmless, f"routes.{name}.harmless") for name, item in settings.routes.items()),
    ):
        if values:
            draft.harmless[route] = (*draft.harmless.get(route, ()), *values)
            draft.origins[f"harmless.{route}"] = who(key)
    return touched


def _check(built: Rules) -> None:
    """A more sensitive class may not go further than a less sensitive one, in any form and for any purpose."""
    assert built.masked is not None
    assert built.rewritten is not None
    assert built.media is not None
    tables = {"clear": built.furthest, "masked": built.masked, "rewritten": built.rewritten, "media": built.media}
    tables |= {f"purpose {name}": table for name, table in built.purposes.items()}
    for form, table in tables.items():
        for lower, higher in zip(Class, list(Class)[1:], strict=False):
            if table[higher] > table[lower]:
                raise ValueError(
                    f"{higher.label} reaches further ({table[higher].label}, {form}) "
                    f"than {lower.label} ({table[lower].label}): a more sensitive class may not travel further"
                )
    if built.replies not in REPLIES:
        raise ValueError(f"replies is {built.replies!r}: use {', '.join(REPLIES)}")
    groups = {kind.group for kind in built.kinds.named.values()}
    for name in built.reply_kinds:
        known = name == EVERYTHING or name in groups or name in built.kinds.named or "." in name
        if not known:
            raise ValueError(f"reply_kinds names {name!r}, which is no kind and no group ({', '.join(sorted(groups))})")
    if built.wait < 0:
        raise ValueError("wait is less than 0 seconds")


def version(built: Rules) -> str:
    """Sixteen hexadecimal digits that stand for every value of the policy, the table of kinds included."""
    plain = msgspec.structs.replace(built, version="")
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()[:16]


def _class(draft: _Draft, key: str) -> Class:
    return Class.parse(str(draft.values[key]))


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _names(value: object) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return tuple(str(item) for item in value)
