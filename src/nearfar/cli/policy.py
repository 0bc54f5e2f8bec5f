"""``nearfar policy``: the policy that holds, the presets to begin with, and an owner's cases run against it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.places import Class

if TYPE_CHECKING:  # these rooms are only needed when a command runs
    from nearfar.policy.cases import Look, Outcome, Scan
    from nearfar.policy.classify import Seen
    from nearfar.policy.presets import Effective
    from nearfar.privacy.scan import Scanner
    from nearfar.settings.load import Loaded

app = typer.Typer(no_args_is_help=True, help="How far each class may go: show, test with your own cases, presets.")


@app.command("show")
def show(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """Print the policy that holds, and who said each part of it."""
    from nearfar.policy import presets

    loaded = of(ctx).load(config, sets)
    made = presets.effective(loaded.settings, _told(loaded.origins))
    if json:
        output.json({**described(made), "mode": loaded.settings.policy.mode})
    elif quiet:
        output.line(made.rules.name)
    else:
        _print(made)
    _warn(loaded)


def _warn(loaded: Loaded) -> None:
    """Say it where a policy that is shown or tested is not the one that holds."""
    from nearfar import build

    if loaded.settings.policy.mode == "observe":
        output.note(f"{build.NOT_ENFORCED}. Meanwhile the preset default holds.")


def _told(origins: dict[str, str]) -> dict[str, str]:
    return {key: who for key, who in origins.items() if who != "default"}


def described(made: Effective) -> dict[str, object]:
    """The policy as one stable object."""
    rules = made.rules
    classes = {}
    for item in Class:
        limits = rules.limits(item)
        classes[item.label] = {
            "clear": limits.clear.label,
            "masked": limits.masked.label,
            "rewritten": limits.rewritten.label,
            "media": limits.media.label,
            "audit": rules.audited(item),
        }
    return {
        "name": rules.name,
        "title": made.title,
        "version": rules.version,
        "default_class": rules.default.label,
        "unknown": rules.unknown.label,
        "audit": "never" if rules.audit is None else rules.audit.label,
        "wait": rules.wait,
        "offline": rules.offline,
        "classes": classes,
        "purposes": {name: {item.label: table[item].label for item in Class} for name, table in rules.purposes.items()},
        "groups": _groups(made),
        "tools": {"trusted": rules.trusted_tools},
        "rewriting": {"route": rules.rewriter if rules.rewrites else ""},
        "elsewhere": {"allow": sorted(rules.elsewhere)},
        "harmless": {route: len(values) for route, values in rules.harmless.items()},
        "replies": {"action": rules.replies, "kinds": rules.reply_kinds},
        "origins": made.origins,
        "sources": made.sources,
        "notes": [file.note for file in made.files if file.note],
    }


def _groups(made: Effective) -> dict[str, dict[str, list[str]]]:
    """Class → group → kinds."""
    found: dict[str, dict[str, list[str]]] = {item.label: {} for item in reversed(Class)}
    for name, kind in made.rules.kinds.named.items():
        found[kind.class_.label].setdefault(kind.group, []).append(name)
    return found


def _print(made: Effective) -> None:
    rules = made.rules
    output.line(f"{rules.name}: {made.title} (version {rules.version})")
    rows = []
    for item in Class:
        limits = rules.limits(item)
        who = sorted({made.origins[f"classes.{item.label}.{form}"] for form in ("clear", "masked", "media")})
        rows.append(
            (
                item.label,
                limits.clear.label,
                limits.masked.label,
                limits.rewritten.label,
                limits.media.label,
                rules.audited(item),
                ", ".join(who),
            )
        )
    head = ("CLASS", "CLEAR", "MASKED", "REWRITTEN", "MEDIA", "AUDIT", "SAID BY")
    output.table(head, rows, drop=("REWRITTEN",), flow=("SAID BY",))
    output.line()
    for name, table in rules.purposes.items():
        places = ", ".join(f"{item.label} {table[item].label}" for item in Class)
        output.line(f"{name}: no further than {places} ({made.origins[f'purposes.{name}']})")
    values: tuple[tuple[str, str, str], ...] = (
        ("nobody said anything", "default_class", rules.default.label),
        ("nobody could read it", "unknown", rules.unknown.label),
        ("records before bytes leave, from", "audit", "never" if rules.audit is None else rules.audit.label),
        ("seconds to wait before refusing", "wait", f"{rules.wait:g}"),
        ("tools that may see what was masked", "tools.trusted", ", ".join(rules.trusted_tools) or "none"),
        ("content and tools elsewhere", "elsewhere.allow", ", ".join(sorted(rules.elsewhere)) or "none"),
        ("private values that replies bring up", "replies", rules.replies),
    )
    if rules.rewrites:
        values = (*values, ("route that rewrites and merges", "rewriting.route", rules.rewriter))
    for what, key, value in values:
        output.line(f"{what}: {value} ({made.origins[key]})")
    for route, listed in rules.harmless.items():
        where = "every route" if route == "*" else route
        output.line(f"harmless values on {where}: {len(listed)} ({made.origins[f'harmless.{route}']})")
    output.line()
    for class_, groups in _groups(made).items():
        for group, kinds in groups.items():
            output.line(f"{class_}: {group}: {', '.join(kinds)}")
    output.line(f"{rules.kinds.otherwise.label}: every kind that is not listed")
    for file in made.files:
        for source in file.source:
            output.line(f"source: {source.name}{f' <{source.url}>' if source.url else ''}")
        if file.note:
            output.line(f"note: {file.note}")


@app.command("presets")
def presets_(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Print this one as the file that it is.")] = "",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the policies that come with nearfar, or print one to begin your own with."""
    from nearfar.policy import presets

    if name:
        try:
            output.line(presets.text(name).rstrip())
        except KeyError as error:
            raise UsageError(f"There is no preset {name!r}.", hint=f"Use one of {', '.join(presets.NAMES)}.") from error
        return
    files = [presets.preset(item) for item in presets.NAMES]
    if json:
        output.json({"presets": files})
    elif quiet:
        for file in files:
            output.line(file.name)
    else:
        output.table(
            ("NAME", "DATE", "FOR"),
            [(file.name, file.date, file.title) for file in files],
            drop=("DATE",),
            flow=("FOR",),
        )


@app.command("test")
def run_cases(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cases, as TOML or JSON.")],
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run your own cases against the policy: the same functions that decide requests. Nothing is sent.

    Exits with 1 when one comes out otherwise than it expects.
    """
    from nearfar import build
    from nearfar.policy import cases, presets

    loaded = of(ctx).load(config, sets)
    rules = presets.effective(loaded.settings, _told(loaded.origins)).rules
    routes = {name: Class.parse(item.class_) for name, item in loaded.settings.routes.items()}
    try:
        found = cases.parse(file.read_bytes(), json=file.suffix == ".json")
        looks = build.guard(loaded.settings, rules) is not None
        scan, look = (scanner(), reader()) if looks else (_blind, _nothing)
        outcomes = [cases.run(case, rules, scan, routes=routes, look=look) for case in found]
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(
            f"{file}: {error}.", hint="docs/en/how-to/choose-a-policy.md shows a file of cases."
        ) from error
    wrong = [item for item in outcomes if not item.passed]
    if json:
        told = {"policy": rules.name, "version": rules.version, "detectors": scanner_version() if looks else ""}
        output.json({**told, "cases": len(outcomes), "failed": len(wrong), "outcomes": outcomes})
    elif quiet:
        for item in wrong:
            output.line(item.name)
    else:
        for item in outcomes:
            _outcome(item)
        ran = f"{len(outcomes)} cases under policy {rules.name} ({rules.version})"
        output.line(f"{ran}: {len(wrong)} came out otherwise than expected")
    if not looks:
        output.note("This policy does not look at content (policy.detect): only what is said counts.")
    _warn(loaded)
    if wrong:
        raise typer.Exit(1)


def _outcome(item: Outcome) -> None:
    goes = f"refused ({item.refused})" if item.refused else f"runs at {item.place}"
    forms = ", ".join(f"{place} {form}" for place, form in item.treatment.items())
    output.line(f"{'ok  ' if item.passed else 'FAIL'}  {item.name}: {item.class_}, {goes}; {forms}")
    for text in item.wrong:
        output.line(f"        ✗ {text}")
    for text in item.reasons:
        output.line(f"        {text}")
    if item.harmless:
        output.line(f"        {item.harmless} listed as harmless")


def _blind(part: str, text: str, harmless: Sequence[str]) -> Seen:
    """The scan of a gateway that does not look at content."""
    from nearfar.policy.classify import Seen

    del text, harmless
    return Seen(part=part)


def _nothing(body: bytes, harmless: Sequence[str], media: list[str]) -> Sequence[Seen]:
    """The reader of a gateway that does not look at content; what is no text is known all the same."""
    from nearfar.privacy import walk

    del harmless
    walk.body(body, lambda spot: spot.text, media)
    return ()


def _made(harmless: tuple[str, ...]) -> Scanner:
    from nearfar.privacy.names import Names
    from nearfar.privacy.scan import Scanner

    return Scanner(detectors=(Names.shipped(),), harmless=harmless)


def reader() -> Look:
    """How the gateway reads a whole body, as the cases want it."""
    from nearfar.gateway.guard import read

    made = functools.cache(_made)
    return lambda body, harmless, media: read(body, made(tuple(harmless)), media).seen


def scanner() -> Scan:
    """The scan of the gateway's own rules and detectors, as the cases want it."""
    from nearfar.policy.classify import Seen, counted

    made = functools.cache(_made)

    def scan(part: str, text: str, harmless: Sequence[str]) -> Seen:
        found = made(tuple(harmless)).scan(text)
        return Seen(
            part=part,
            kinds=counted(finding.kind for finding in found.findings),
            unknown=len(found.unknowns),
            harmless=found.harmless,
        )

    return scan


def scanner_version() -> str:
    """Stands for the rules and detectors that ``scanner`` uses."""
    return _made(()).version
