"""What settings must hold beyond their types: ranges, references, addresses, names that point at each other.

Every check is pure: no file is opened, no name is looked up in a network. A message repeats a value only where
no secret can stand.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import urlsplit

import msgspec

from nearfar.core.places import Class, Place
from nearfar.settings.errors import Problem
from nearfar.settings.model import CascadeSetting, DeploymentSetting, RouterSetting, RouteSetting, Settings
from nearfar.settings.secrets import is_reference
from nearfar.settings.shape import Path, did_you_mean, dotted

Found = Iterator[tuple[Path, str, str]]
"""(path, what is wrong, next step)"""

_LONGEST_NAME = 128
_MOST_OPINIONS = 2
_MARKS = frozenset("._:/@+-")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding", "te"}
)
_SECRET_HEADER = re.compile(r"authori[sz]ation|api[-_]?key|token|secret|cookie|password|credential", re.IGNORECASE)
_REFERENCE = "Write where the key is, not the key: env:NAME or file:/absolute/path."

# Path → (lowest, highest) of what the setting may be; None is no limit.
_RANGES: tuple[tuple[Path, float, float | None], ...] = (
    (("server", "port"), 0, 65535),
    (("server", "workers"), 1, 256),
    (("server", "max_body_bytes"), 1024, None),
    (("shadow", "most"), 0, 1024),
    (("shadow", "daily_usd"), 0, None),
    (("server", "max_reply_bytes"), 1024, None),
    (("server", "max_header_bytes"), 1024, 1024 * 1024),
    (("server", "header_timeout"), 0.1, None),
    (("server", "body_timeout"), 0.1, None),
    (("server", "keep_alive_timeout"), 0, None),
    (("server", "max_connections"), 1, None),
    (("server", "shutdown_grace"), 0, None),
    (("deadlines", "connect"), 0.01, None),
    (("deadlines", "first_byte"), 0.01, None),
    (("deadlines", "between_bytes"), 0.01, None),
    (("deadlines", "total"), 0.01, None),
    (("engine", "memory_mb"), 16, None),
    (("engine", "threads"), 1, 1024),
    (("engine", "slots"), 1, 256),
    (("engine", "context"), 64, None),
    (("engine", "idle_unload"), 0, None),
    (("engine", "start_timeout"), 0.1, None),
    (("engine", "prompt_cache_mb"), 0, None),
    (("ledger", "flush_seconds"), 0.01, 60),
    (("audit", "wait"), 0.1, 600),
    (("responses", "keep_hours"), 0, 24 * 365),
    (("responses", "most_per_caller"), 0, None),
    (("responses", "most_mb_per_caller"), 0, None),
    (("queue", "longest"), 0, 100_000),
    (("queue", "seconds"), 0.1, 86_400),
    (("learning", "retention_days"), 0.01, 366),
    (("learning", "share_judged"), 0, 1),
    (("learning", "agreement"), 0, 1),
    (("discovery", "refresh_seconds"), 0.1, None),
)


def check(settings: Settings, origin: Callable[[Path], str], named: Iterable[str] = ()) -> list[Problem]:
    """Everything wrong with ``settings``; ``origin`` says who set a path.

    ``named``: deployments that somebody wrote down, but so that they cannot be read. Routes may point at them.
    """
    found: list[Problem] = []
    targets = frozenset(settings.deployments).union(named)
    routes = itertools.chain(_routes(settings, targets), _learning(settings, targets))
    parts = (_ranges, _folders, _server, _network, _policy, _ledger, _responses, _deployments)
    for path, message, hint in itertools.chain(*(part(settings) for part in parts), routes):
        found.append(Problem(key=dotted(path), origin=origin(path), message=message, hint=hint))
    return found


def usable_name(name: str) -> bool:
    """Whether a deployment or route may be called so: letters and digits of any script, and few marks."""
    # Scripts such as Thai and Devanagari write vowels as marks (M) on their letters.
    fine = all(letter in _MARKS or unicodedata.category(letter)[0] in "LMN" for letter in name)
    return fine and name[:1].isalnum() and len(name) <= _LONGEST_NAME


def _ranges(settings: Settings) -> Found:
    for path, lowest, highest in _RANGES:
        value: object = settings
        for part in path:
            value = getattr(value, part)
        yield from _range(path, value, lowest, highest)


def _folders(settings: Settings) -> Found:
    for path, text in (
        (("state_dir",), settings.state_dir),
        (("models_dir",), settings.models_dir),
        (("ledger", "journal"), settings.ledger.journal),
        (("audit", "folder"), settings.audit.folder),
    ):
        if "\0" in text:
            yield path, "not a path", ""


def _range(path: Path, value: object, lowest: float, highest: float | None = None) -> Found:
    if not isinstance(value, (int, float)):
        return
    if highest is not None and not lowest <= value <= highest:
        yield path, f"{value} is not between {lowest:g} and {highest:g}", ""
    elif value < lowest:
        yield path, f"{value} is less than {lowest:g}", ""


def _server(settings: Settings) -> Found:
    server = settings.server
    if not server.host or not re.fullmatch(r"[A-Za-z0-9._:%-]+", server.host):
        yield ("server", "host"), "not an address to listen on", "Use an address such as 127.0.0.1 or ::1."
    for name, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(server, name) and not getattr(server, other):
            yield ("server", name), f"is set without server.{other}", "HTTPS needs both files."
    for text in server.cors_origins:
        if text == "*":
            yield (
                ("server", "cors_origins"),
                "* would let any web page call this gateway",
                "List the origins, such as https://app.example.org.",
            )
        elif not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", text):
            yield ("server", "cors_origins"), f"{text!r} is not an origin", "Use scheme://host[:port], without a path."
    for text in server.allowed_hosts:
        if not re.fullmatch(r"[A-Za-z0-9.\[\]:-]+", text):
            yield ("server", "allowed_hosts"), f"{text!r} is not a host name", "Use host or host:port."


def _network(settings: Settings) -> Found:
    for name in ("https", "http"):
        url = getattr(settings.proxy, name)
        why = url and _bad_url(url, credentials=True)
        if why:
            yield (
                ("proxy", name),
                f"not an HTTP proxy's address: {why}",
                "Use http://host:port, or an empty text for none.",
            )


def _bad_url(url: str, *, credentials: bool = False) -> str:
    """Why ``url`` is no address to send to; empty when it is one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in {"http", "https"}:
        return "it must begin with http:// or https://"
    if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9._:%-]+", parts.hostname):
        return "it names no host"
    if port == 0:
        return "port 0 is none"
    if "@" in parts.netloc and not credentials:
        return "it holds credentials"
    if parts.query or parts.fragment:
        return "it has a query or a fragment"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "it holds characters that must be escaped"
    return ""


_BEFORE_PRESETS: tuple[tuple[str, str], ...] = (
    ("public", "cloud"),
    ("internal", "cloud"),
    ("confidential", "device"),
    ("restricted", "device"),
)
"""Class → its place in the preset ``default``; of other policies, the policy itself knows."""


def _policy(settings: Settings) -> Found:
    policy = settings.policy
    if policy.file and not policy.file.startswith("/"):
        yield (
            ("policy", "file"),
            "is no absolute path",
            "Write the whole path: the current folder may not decide.",
        )
    plain = policy.preset == "default" and not policy.file
    reach = [(name, getattr(policy, name) or (default if plain else "")) for name, default in _BEFORE_PRESETS]
    known = [(name, Place.parse(text)) for name, text in reach if text]
    for (lower, near), (higher, far) in itertools.pairwise(known):
        if far > near:
            yield (
                ("policy", higher),
                f"reaches further ({far.label}) than policy.{lower} ({near.label})",
                "A more sensitive class may not travel further.",
            )


def _ledger(settings: Settings) -> Found:
    url = settings.ledger.url
    if url and not url.startswith(("sqlite:///", "postgresql://", "postgres://")) and not is_reference(url):
        yield ("ledger", "url"), "not a database this ledger knows", "Use sqlite:///PATH or postgresql://…"


def _responses(settings: Settings) -> Found:
    key = settings.responses.key
    if key and not is_reference(key):
        yield ("responses", "key"), "is no reference (its value is not repeated here)", _REFERENCE


def _learning(settings: Settings, targets: Collection[str]) -> Found:
    learning = settings.learning
    for name in learning.keep:
        if Class.parse(name) > Class.INTERNAL:
            yield (
                ("learning", "keep"),
                f"{name} content is never kept to be learned from",
                "Name public, internal, or both.",
            )
    if learning.judge and learning.judge not in targets and learning.judge not in settings.routes:
        hint = did_you_mean(learning.judge, [*targets, *settings.routes]) or "Add a [deployments.NAME] table."
        yield ("learning", "judge"), f"there is no deployment or route {learning.judge!r}", hint
    if learning.anchors and (not learning.anchors.startswith("/") or "\0" in learning.anchors):
        yield (
            ("learning", "anchors"),
            "is no absolute path",
            "Write the whole path: the current folder may not decide.",
        )
    if learning.key and not is_reference(learning.key):
        yield ("learning", "key"), "is no reference (its value is not repeated here)", _REFERENCE


def _deployments(settings: Settings) -> Found:
    for name, item in settings.deployments.items():
        path: Path = ("deployments", name)
        if not usable_name(name):
            yield path, "not a usable name", "Use letters, digits and . _ : / @ + - (at most 128)."
        for field in ("provider", "model"):
            if not getattr(item, field).strip() or not getattr(item, field).isprintable():
                yield (*path, field), "is empty or unprintable", ""
        why = item.base_url and _bad_url(item.base_url)
        if why:
            hint = _REFERENCE if "credentials" in why else "Use http(s)://host[:port][/path]."
            yield (*path, "base_url"), f"not an address to send to: {why}", hint
        if item.key and not is_reference(item.key):
            yield (*path, "key"), "holds something that is no reference (its value is not repeated here)", _REFERENCE
        if item.place == "device" and item.base_url and not why and not _may_be_here(item.base_url):
            yield (
                (*path, "place"),
                "device means this machine, and base_url names another one",
                "Use lan, private-cloud or cloud.",
            )
        for field, lowest in (("context", 1), ("max_output", 1), ("slots", 1)):
            yield from _range((*path, field), getattr(item, field), lowest)
        if item.price is not None:
            for part in msgspec.structs.fields(item.price):
                yield from _range((*path, "price", part.encode_name), getattr(item.price, part.name), 0)
        yield from _headers(path, item)


def _may_be_here(url: str) -> bool:
    """False when the address says by itself that it is another machine's; a name proves nothing either way."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _headers(path: Path, item: DeploymentSetting) -> Found:
    for header, value in item.headers.items():
        at = (*path, "headers", header)
        if not _HEADER_NAME.fullmatch(header):
            yield at, "not a header's name", ""
        elif header.lower() in _OURS:
            yield at, "this header is set by the transport", "Leave it out."
        elif _SECRET_HEADER.search(header) and not is_reference(value):
            yield at, "holds something that is no reference (its value is not repeated here)", _REFERENCE
        elif not value.isascii() or not value.isprintable():
            yield at, "holds characters that no header may carry", ""


def _routes(settings: Settings, targets: Collection[str]) -> Found:
    for name, item in settings.routes.items():
        path: Path = ("routes", name)
        if not usable_name(name):
            yield path, "not a usable name", "Use letters, digits and . _ : / @ + - (at most 128)."
        yield from _targets(path, item, targets)
        yield from _shares(path, item)
        if item.cascade is not None:
            yield from _cascade((*path, "cascade"), item, item.cascade, targets)
        if item.router is not None:
            yield from _router((*path, "router"), item, item.router, targets)


def _shares(path: Path, item: RouteSetting) -> Found:
    if item.spill_after is not None:
        yield from _range((*path, "spill_after"), item.spill_after, 0)
    for name, weight in item.weights.items():
        at = (*path, "weights", name)
        if name not in item.deployments:
            yield at, "is not one of the route's deployments", did_you_mean(name, item.deployments)
        yield from _range(at, weight, 0)
    if item.weights and item.strategy != "weighted":
        yield (*path, "weights"), f"means nothing to the strategy {item.strategy}", 'Set strategy = "weighted".'
    elif item.weights and not any(item.weights.get(name, 1.0) > 0 for name in item.deployments):
        yield (*path, "weights"), "leaves nobody: every weight is 0", ""
    for kind, branch in (("canary", item.canary), ("shadow", item.shadow)):
        if branch is None:
            if item.strategy == kind:
                yield (*path, kind), "is missing", f'Add {kind} = {{ deployment = "NAME", share = 0.05 }}.'
            continue
        if item.strategy not in {kind, "cascade" if kind == "shadow" else kind}:
            yield (*path, kind), f"means nothing to the strategy {item.strategy}", f'Set strategy = "{kind}".'
        if branch.deployment not in item.deployments:
            hint = did_you_mean(branch.deployment, item.deployments)
            yield (*path, kind, "deployment"), "is not one of the route's deployments", hint
        elif len(item.deployments) < 2:
            yield (*path, kind), "has no other deployment beside it", "List at least two."
        yield from _range((*path, kind, "share"), branch.share, 0, 1)


def _cascade(path: Path, item: RouteSetting, cascade: CascadeSetting, targets: Collection[str]) -> Found:
    if item.strategy != "cascade":
        yield path, f"means nothing to the strategy {item.strategy}", 'Set strategy = "cascade".'
    if len(cascade.opinions) > _MOST_OPINIONS:
        yield (*path, "opinions"), f"names {len(cascade.opinions)}", f"At most {_MOST_OPINIONS} are asked."
    for target in cascade.opinions:
        if target not in targets:
            hint = did_you_mean(target, targets) or "Add a [deployments.NAME] table."
            yield (*path, "opinions"), f"there is no deployment {target!r}", hint
    if len(set(cascade.opinions)) < len(cascade.opinions):
        yield (*path, "opinions"), "names one twice", ""
    yield from _range((*path, "threshold"), cascade.threshold, 0, 1)
    if cascade.max_cost is not None:
        yield from _range((*path, "max_cost"), cascade.max_cost, 0)


_DECIDED = frozenset({"local-only", "cloud-only", "weighted", "canary"})
"""Strategies that leave a router nothing to say: one side is excluded, or who goes first is drawn."""


def _router(path: Path, item: RouteSetting, router: RouterSetting, targets: Collection[str]) -> Found:
    if item.strategy in _DECIDED:
        yield path, f"means nothing to the strategy {item.strategy}", 'Set strategy = "local-first", or another one.'
    elif len(item.deployments) < 2:
        yield path, "has nothing to choose from: the route has one deployment", "List a near and a far one."
    for field in ("file", "certificate"):
        text = getattr(router, field)
        if (field == "file" and not text) or "\0" in text:
            yield (*path, field), "is not a path", "nearfar router fit writes a router."
    if router.certificate and router.threshold is not None:
        yield (*path, "threshold"), "stands beside a certificate, which has its own", "Leave one of them out."
    elif not router.certificate and router.threshold is None:
        hint = "Name a certificate (nearfar router certify --out), or set a threshold, which promises nothing."
        yield path, "has neither a certificate nor a threshold", hint
    if router.threshold is not None:
        yield from _range((*path, "threshold"), router.threshold, -1, 1)
    yield from _range((*path, "share"), router.share, 0, 1)
    if router.embedder and router.embedder not in targets:
        hint = did_you_mean(router.embedder, targets) or "Add a [deployments.NAME] table."
        yield (*path, "embedder"), f"there is no deployment {router.embedder!r}", hint


def _targets(path: Path, item: RouteSetting, targets: Collection[str]) -> Found:
    at = (*path, "deployments")
    if not item.deployments:
        yield at, "names no deployment", "List at least one."
    seen: set[str] = set()
    for target in item.deployments:
        if target in seen:
            yield at, f"names {target!r} twice", ""
        elif target not in targets:
            known = did_you_mean(target, targets)
            yield at, f"there is no deployment {target!r}", known or "Add a [deployments.NAME] table."
        seen.add(target)
