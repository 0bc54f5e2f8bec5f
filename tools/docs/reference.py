"""Tables and lists made from the sources: providers, commands, settings, metrics, errors. It knows no page."""

from __future__ import annotations

import ast
import functools
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import typer
from tools.docs.blocks import ROOT
from tools.docs.words import COMMANDS, EVIDENCE, GROUPS, HEADS, PLACES, ROWS, STRUCTS

from nearfar import build
from nearfar.cli.app import app
from nearfar.core import errors, places
from nearfar.gateway.metrics import Metrics
from nearfar.providers import presets, registry
from nearfar.settings import model, shape
from nearfar.settings.schema import documentation
from nearfar.settings.sources import FLAGS
from nearfar.standin.faults import catalogue

PLAIN_WIDTH = 88


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def providers(language: str) -> str:
    """Every provider: its wires, its place, its key, and what stands behind the claim that it works.

    Those that are rows of data have one sentence together.
    """
    known = registry.load_all()
    data = set(presets.names())
    rows = []
    for name, item in known.items():
        if name in data:
            continue
        wires = ", ".join(wire for wire in (item.wire, item.embeddings_wire, *item.other_wires.values()) if wire)
        place = PLACES[language]["proven" if item.tells_weights else item.place.label]
        keys = ", ".join(f"`{key}`" for key in item.key_env) or "–"
        evidence = f"{EVIDENCE[language][item.evidence.label]}: {item.evidence.what}"
        rows.append((f"`{name}`", item.title, wires, place, keys, evidence))
    listed = ", ".join(f"{known[name].title} (`{name}`)" for name in sorted(data))
    return f"{table(HEADS[language]['providers'], rows)}\n\n{ROWS[language].format(listed=listed)}"


@functools.cache
def leaves() -> tuple[tuple[str, Any], ...]:
    """(name with its group, command) of every command."""
    tree: Any = typer.main.get_command(app)
    found: list[tuple[str, Any]] = []
    for name, command in tree.commands.items():
        inner = getattr(command, "commands", None)
        found += [(name, command)] if inner is None else [(f"{name} {below}", item) for below, item in inner.items()]
    return tuple(found)


def commands(language: str) -> str:
    """Every command with its first sentence."""
    rows = []
    for name, command in leaves():
        text = COMMANDS[name] if language == "zh" else re.split(r"(?<=\.)\s", " ".join(command.help.split()))[0]
        rows.append((f"`nearfar {name}`", text))
    return table(HEADS[language]["commands"], rows)


def cli(language: str) -> str:
    """The help of every command, as the terminal prints it."""
    parts = []
    for name, command in leaves():
        context = command.context_class(
            command,
            info_name=f"nearfar {name}",
            terminal_width=PLAIN_WIDTH,
            max_content_width=PLAIN_WIDTH,
            help_option_names=["-h", "--help"],
        )
        lead = f"{COMMANDS[name]}\n\n" if language == "zh" else ""
        parts.append(f"## nearfar {name}\n\n{lead}```text\n{command.get_help(context).strip()}\n```")
    return "\n\n".join(parts)


def configuration(language: str) -> str:
    """Every setting, table by table: type, default, variable, meaning."""
    documented = documentation()
    head = HEADS[language]["settings"]
    parts = []
    for title, prefix, struct in _tables():
        rows = []
        for field in msgspec.structs.fields(struct):
            if shape.struct_of(field.type) is not None and struct is model.Settings:
                continue
            if struct is model.Settings and field.name in {"deployments", "detectors", "routes"}:
                continue
            text = _prose(documented[struct.__name__].get(field.encode_name))
            rows.append((f"`{field.encode_name}`", _type(field.type), _default(field, language), text))
        said = (
            STRUCTS[struct.__name__]
            if language == "zh"
            else " ".join((struct.__doc__ or "").split()).replace("``", "`")
        )
        parts.append(f"## {title}\n\n{said}{_spelled(prefix, struct, language)}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def _tables() -> Iterator[tuple[str, str, type[msgspec.Struct]]]:
    yield "`config.toml`", "", model.Settings
    for field in msgspec.structs.fields(model.Settings):
        struct = shape.struct_of(field.type)
        if struct is not None:
            yield f"`[{field.encode_name}]`", field.encode_name, struct
    yield "`[deployments.NAME]`", "", model.DeploymentSetting
    yield "`[deployments.NAME.price]`", "", model.PriceSetting
    yield "`[routes.NAME]`", "", model.RouteSetting
    yield "`[detectors.NAME]`", "", model.DetectorSetting


def _spelled(prefix: str, struct: type[msgspec.Struct], language: str) -> str:
    """Flags and the variable's spelling for one table."""
    serve: Any = dict(leaves())["serve"]
    offered = {option for parameter in serve.params for option in parameter.opts}
    flags = [f"`{flag}`" for key, flag in FLAGS.items() if key.startswith(f"{prefix}.") and flag in offered]
    first = msgspec.structs.fields(struct)[0].encode_name
    if not prefix:
        return ""
    variable = f"NEARFAR_{prefix.upper()}__{first.upper()}"
    comma = "、" if language == "zh" else ", "
    if language == "zh":
        return f" 環境變數的寫法例如 `{variable}`。" + (f" 對應的旗標：{comma.join(flags)}。" if flags else "")
    return f" As a variable: `{variable}`." + (f" Flags: {comma.join(flags)}." if flags else "")


def _type(kind: Any) -> str:
    inner, _ = shape.optional(kind)
    origin = typing.get_origin(inner)
    if origin is typing.Literal:
        text = ", ".join(f"`{item}`" for item in typing.get_args(inner))
    elif origin is tuple:
        text = f"list of {_type(typing.get_args(inner)[0])}"
    elif origin is dict:
        text = f"table of {_type(typing.get_args(inner)[1])}"
    elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        text = "table"
    else:
        names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
        text = names[inner] if isinstance(inner, type) else str(inner)
    return text


def _default(field: msgspec.structs.FieldInfo, language: str) -> str:
    if field.required:
        return "**必填**" if language == "zh" else "**required**"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    empty: tuple[object, ...] = (None, "", (), {})
    if value in empty:
        return "–"
    return f"`{msgspec.json.encode(value).decode()}`"


def metrics(language: str) -> str:
    """Every metric with its kind and its labels."""
    registered: dict[str, Any] = Metrics()._registry._metrics  # noqa: SLF001 - the one list of all metrics
    rows = []
    for metric in registered.values():
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        rows.append((f"`{name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help))
    return table(HEADS[language]["metrics"], rows)


def tree(root: type[errors.NearfarError] = errors.NearfarError) -> Iterator[type[errors.NearfarError]]:
    """The error tree of core, parents first."""
    yield root
    for below in root.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


def error_codes(language: str) -> str:
    """Every error: status, type, code, whether another deployment is tried; and the finer codes by error."""
    used, finer = _used_errors()
    rows = []
    yes, no = ("是", "否") if language == "zh" else ("yes", "no")
    for kind in tree():
        if kind.__name__ not in used:
            continue
        more = sorted(finer.get(kind.__name__, set()) - {kind.default_code})
        rows.append(
            (
                f"`{kind.__name__}`",
                str(kind.status),
                f"`{kind.type}`",
                f"`{kind.default_code}`" + "".join(f", `{code}`" for code in more),
                yes if kind.moves_on else no,
                _prose(kind.__doc__),
            )
        )
    return table(HEADS[language]["errors"], rows)


def _prose(text: str | None) -> str:
    """A docstring as one line of Markdown."""
    return " ".join((text or "").split()).replace("``", "`")


@functools.cache
def _used_errors() -> tuple[set[str], dict[str, set[str]]]:
    """(errors that some line of the sources names, error → codes that some line gives it)."""
    used: set[str] = set()
    codes: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src" / "nearfar").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        bases = {id(base) for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases}
        used |= {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in bases}
        for node in nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
                    codes.setdefault(node.func.id, set()).add(str(keyword.value.value))
    return used, codes


def policy(language: str) -> str:
    """The default policy: class → the furthest place."""
    default = build.rules_from(model.Settings())
    rows = [(f"`{item.label}`", f"`{default.reach(item).label}`") for item in places.Class]
    return table(HEADS[language]["policy"], rows)


def faults(language: str) -> str:
    """Every fault that the suite plays, by group, with what must come of it."""
    parts = []
    for group, heading in GROUPS[language].items():
        rows = [
            (f"`{name}`", fault.title, fault.plain or "–", fault.stream or "–", f"`{fault.test}`")
            for name, fault in catalogue().items()
            if fault.group == group
        ]
        parts.append(f"## {heading}\n\n{table(HEADS[language]['faults'], rows)}")
    return "\n\n".join(parts)


BLOCKS: MappingProxyType[str, Callable[[str], str]] = MappingProxyType(
    {
        "providers": providers,
        "commands": commands,
        "cli": cli,
        "configuration": configuration,
        "metrics": metrics,
        "errors": error_codes,
        "policy": policy,
        "faults": faults,
    }
)
