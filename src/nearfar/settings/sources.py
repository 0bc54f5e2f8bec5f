"""Reads each source of settings (files, environment, flags) into a layer. It does not know which one wins."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from types import MappingProxyType

from nearfar.settings import shape
from nearfar.settings.environ import PREFIX, Environ
from nearfar.settings.errors import Problem, SettingsError
from nearfar.settings.model import Settings
from nearfar.settings.shape import Layer, Path

MAX_FILE_BYTES = 1024 * 1024

FLAGS: MappingProxyType[str, str] = MappingProxyType(
    {
        "server.host": "--host",
        "server.port": "--port",
        "server.workers": "--workers",
        "server.tls_cert": "--tls-cert",
        "server.tls_key": "--tls-key",
        "offline": "--offline",
        "state_dir": "--state-dir",
        "models_dir": "--models-dir",
        "log.level": "--log-level",
        "log.format": "--log-format",
    }
)
"""Settings with a flag of their own; every other one is reached by ``--set KEY=VALUE``."""


def from_file(path: FilePath) -> Layer:
    """What the file at ``path`` says. Raises SettingsError when it cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise _unreadable(path, f"it is larger than {MAX_FILE_BYTES} bytes")
        text = data.decode("utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        why = str(error).removesuffix(line[0]) if line else str(error)
        raise _unreadable(path, f"not valid TOML: {why}", line=line[1] if line else "") from error
    except RecursionError as error:
        raise _unreadable(path, "its tables are nested too deeply") from error
    lines = _lines(text)

    def origin(at: Path) -> str:
        for length in range(len(at), 0, -1):
            line = lines.get(at[:length])
            if line:
                return f"file {path}:{line}"
        return f"file {path}"

    return shape.read(tree, origin=origin)


def _unreadable(path: FilePath, why: str, line: str = "") -> SettingsError:
    problem = Problem(
        key="",
        origin=f"file {path}:{line}" if line else f"file {path}",
        message=f"the file cannot be used: {why}",
        hint="Mend it or name another one; what else it says is not known until then.",
    )
    return SettingsError(problem.text, problems=[problem], hint=problem.hint)


_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\s*({_KEYS})\s*\]")
_ASSIGN = re.compile(rf"\s*({_KEYS})\s*=")


def _lines(text: str) -> dict[Path, int]:
    """Path → the line it is set on, as well as that can be told without a second TOML parser.

    ``tomllib`` keeps no positions. Inside a multi-line string nothing is counted; a wrong line can at
    worst misname a place in the same file.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header, assign = _HEADER.match(line), _ASSIGN.match(line)
        try:
            if header:
                table = shape.parse_key(header[1])
                found.setdefault(table, number)
            elif assign:
                found.setdefault(table + shape.parse_key(assign[1]), number)
        except ValueError:
            continue
        for quote in ('"""', "'''"):
            if line.count(quote) % 2:
                inside = quote
    return found


def from_environ(environ: Environ, known: Iterable[Path]) -> Layer:
    """What the ``NEARFAR_*`` variables say.

    ``known`` are the tables that the files opened: a variable cannot spell ``-`` or capitals, so
    ``NEARFAR_DEPLOYMENTS__MY_MODEL__KEY`` means ``my-model`` if there is one.
    """
    layer = Layer()
    names = {_plain(path): path for path in known}
    for name, value in environ.ours().items():
        origin = f"env {name}"
        parts = tuple(part.lower() for part in name.removeprefix(PREFIX).split("__"))
        if not all(parts):
            layer.problems.append(
                Problem(key="", origin=origin, message="not a setting's name", hint="Nest with two underscores.")
            )
            continue
        for length in range(len(parts), 0, -1):
            if parts[:length] in names:
                parts = names[parts[:length]] + parts[length:]
                break
        shape.read(value, origin=_always(origin), text=True, at=parts, into=layer)
    return layer


def _plain(path: Path) -> Path:
    return tuple(re.sub(r"[^a-z0-9]", "_", part.lower()) for part in path)


def from_standard(environ: Environ) -> Layer:
    """What variables with a meaning of their own say about settings: the proxies."""
    layer = Layer()
    for key, names in (
        ("https", ("https_proxy", "HTTPS_PROXY")),
        ("http", ("http_proxy", "HTTP_PROXY")),
        ("no_proxy", ("no_proxy", "NO_PROXY")),
    ):
        name, value = environ.first(*names)
        if name:
            if key != "no_proxy" and "://" not in value:
                value = f"http://{value}"  # "proxy:3128" is what people write, and what curl accepts
            shape.read(value, origin=_always(f"env {name}"), text=True, at=("proxy", key), into=layer)
    return layer


def from_flags(overrides: Mapping[str, str]) -> Layer:
    """What the flags of the command line say: dotted key → text."""
    layer = Layer()
    for key, value in overrides.items():
        origin = f"flag {FLAGS.get(key, f'--set {key}')}"
        try:
            path = shape.parse_key(key)
        except ValueError:
            hint = shape.did_you_mean(key, shape.fields(Settings))
            layer.problems.append(Problem(key=key, origin=origin, message="not a setting's name", hint=hint))
            continue
        shape.read(value, origin=_always(origin), text=True, at=path, into=layer)
    return layer


def _always(origin: str) -> Callable[[Path], str]:
    """An origin that is the same for every path."""

    def say(at: Path) -> str:
        del at
        return origin

    return say
