"""The checks of ``nearfar doctor``: each looks at one thing and says ok, warn or fail, with the next step.

They change nothing, and the only network they use is loopback.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from nearfar import __version__
from nearfar.cli.client import Gateway, served_at
from nearfar.core import install
from nearfar.core.errors import NearfarError
from nearfar.settings.load import Draft, Loaded
from nearfar.settings.secrets import hide_credentials

State = Literal["ok", "warn", "fail"]
LITTLE_DISK = 500_000_000


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report."""

    name: str
    state: State
    detail: str
    next: str = ""
    """What to do; empty when nothing is wrong."""


def versions() -> Iterator[Check]:
    """nearfar, Python, and the packages that the gateway stands on."""
    parts = []
    for package in ("uvloop", "httptools", "msgspec", "xllamacpp"):
        try:
            parts.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    detail = f"nearfar {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Check(name="versions", state="ok", detail=f"{detail}; {', '.join(parts)}")


def configuration(draft: Draft) -> Iterator[Check]:
    """The files that were read, everything that is wrong with what they say, and what single deployments lack."""
    from nearfar.cli import findings

    loaded = draft.loaded
    given = sum(origin != "default" for origin in loaded.origins.values())
    files = ", ".join(loaded.files) or f"no file ({loaded.folders.user_config} would be read)"
    found = findings.look(draft)
    for problem in found.problems:
        yield Check(
            name="configuration", state="fail", detail=problem.text, next=problem.hint or "nearfar config check"
        )
    if not found.problems:
        yield Check(name="configuration", state="ok", detail=f"{files}; settings given: {given}")
    for problem in found.warnings:
        told = f"{problem.text}; the gateway starts without it"
        yield Check(name="deployment", state="warn", detail=told, next=problem.hint)


def policy(loaded: Loaded) -> Iterator[Check]:
    """Which policy holds, and whether it is only tried out."""
    from nearfar import build
    from nearfar.policy import presets

    name = presets.rules(loaded.settings).name
    if loaded.settings.policy.mode == "observe":
        yield Check(
            name="policy",
            state="warn",
            detail=f"{name}: {build.NOT_ENFORCED}",
            next="When its effects are known: set policy.mode to enforce.",
        )
    else:
        yield Check(name="policy", state="ok", detail=name)


def folders(loaded: Loaded) -> Iterator[Check]:
    """State and models: writable, private, with room."""
    for name, path in (("state folder", loaded.folders.state), ("models folder", loaded.folders.models)):
        there = next(item for item in (path, *path.parents) if item.exists())
        if not path.is_dir() and path.exists():
            yield Check(name=name, state="fail", detail=f"{path} is not a folder", next="Move it away.")
        elif not os.access(there, os.W_OK | os.X_OK):
            yield Check(
                name=name,
                state="fail",
                detail=f"{path}: no permission to write in {there}",
                next="Mend its permissions, or set state_dir and models_dir.",
            )
        elif path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077 and name == "state folder":
            yield Check(name=name, state="warn", detail=f"{path} can be read by other users", next=f"chmod 700 {path}")
        else:
            yield _room(name, path, there)


def _room(name: str, path: Path, there: Path) -> Check:
    free = shutil.disk_usage(there).free
    detail = f"{path}{'' if path.exists() else ' (made when needed)'}, {free / 1e9:.1f} GB free"
    if free < LITTLE_DISK:
        return Check(name=name, state="warn", detail=detail, next="Make room: the ledger needs to grow.")
    return Check(name=name, state="ok", detail=detail)


def edge(loaded: Loaded) -> Iterator[Check]:
    """The listening address: free, or already a gateway's."""
    server = loaded.settings.server
    gateway = Gateway(served_at(loaded))
    where = f"{server.host}:{server.port}"
    error = _bind(server.host, server.port)
    if error is None:
        yield Check(name="port", state="ok", detail=f"{where} is free")
    elif gateway.alive():
        yield Check(name="port", state="ok", detail=f"a nearfar gateway answers at {gateway.url}")
        yield _same_configuration(loaded)
    else:
        yield Check(
            name="port", state="fail", detail=f"{where} cannot be used: {error}", next="nearfar serve --port 8643"
        )


def _same_configuration(loaded: Loaded) -> Check:
    """Whether the gateway that runs was started with the files as they are now: it reads them only then."""
    gateway = Gateway(served_at(loaded), loaded.environ.get("NEARFAR_API_KEY"))
    name = "running gateway"
    try:
        told = gateway.get("/nearfar/v1/ps")
    except NearfarError as error:
        return Check(
            name=name, state="ok", detail=f"its configuration was not compared: {error.message}", next=error.hint
        )
    if not isinstance(told, dict) or told.get("configuration") != loaded.digest:
        return Check(
            name=name,
            state="warn",
            detail="it was started with other configuration files than there are now, or they have changed since",
            next="Restart it, so that they count.",
        )
    return Check(name=name, state="ok", detail="it was started with these configuration files")


def _bind(host: str, port: int) -> str | None:
    """Why nobody can listen there; None when one can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def network(loaded: Loaded) -> Iterator[Check]:
    """Proxies and trusted authorities. Nothing is connected to."""
    proxy = loaded.settings.proxy
    told = [
        f"{name} through {hide_credentials(url)}" for name, url in (("https", proxy.https), ("http", proxy.http)) if url
    ]
    detail = "; ".join(told) if told else "no proxy"
    if told and proxy.no_proxy:
        detail += f"; not for {', '.join(proxy.no_proxy)}"
    if loaded.settings.offline:
        detail = "offline: no cloud client is built"
    yield Check(name="network", state="ok", detail=detail)
    authorities = loaded.environ.ssl_cert_file
    if authorities and not os.access(authorities, os.R_OK):
        yield Check(
            name="SSL_CERT_FILE",
            state="fail",
            detail=f"{authorities} cannot be read",
            next="Mend or unset SSL_CERT_FILE: no cloud can be trusted without it.",
        )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine's loopback by name or number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def provider_keys(loaded: Loaded) -> Iterator[Check]:
    """Which providers have a key in the environment or configuration: names of variables, never values."""
    from nearfar.gateway import declared
    from nearfar.providers import registry

    providers = registry.load_all()
    known = {name for provider in providers.values() for name in provider.key_env}
    present = loaded.environ.present(sorted(known))
    state: State = "ok"
    detail = f"found in the environment: {', '.join(present)}" if present else "no provider key in the environment"
    hint = (
        ""
        if present or loaded.settings.offline
        else "For cloud models: export OPENAI_API_KEY=… (or ANTHROPIC_API_KEY)."
    )
    yield Check(name="provider keys", state=state, detail=detail, next=hint)
    for problem in declared.exposed(loaded.settings, loaded.origins, providers):
        yield Check(name="provider keys", state="warn", detail=problem.text, next=problem.hint)


def engine(loaded: Loaded) -> Iterator[Check]:
    """The embedded engine: installed, loadable on this processor, with memory for a model."""
    from nearfar.engine import machine

    if not loaded.settings.engine.enabled:
        yield Check(name="engine", state="ok", detail="switched off (engine.enabled = false)")
        return
    missing = machine.missing_features_here()
    if missing:
        yield Check(
            name="engine",
            state="fail",
            detail=f"this processor lacks {', '.join(missing)}, which the engine's wheel is compiled for",
            next="Run models elsewhere and set engine.enabled = false.",
        )
    else:
        yield _engine_loads()
    memory = machine.memory()
    detail = f"{memory.limit / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB available"
    yield Check(name="memory", state="ok", detail=f"{detail}; threads per model: {machine.default_threads()}")


def _engine_loads() -> Check:
    """Whether the engine's library can be loaded: asked of a child process, for it may die of it."""
    code = "import xllamacpp, importlib.metadata as m; print(m.version('xllamacpp'))"
    try:
        # -P: nothing is imported from the current folder, which may be anybody's.
        command = [sys.executable, "-P", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return Check(name="engine", state="fail", detail="loading it did not end within 60 s")
    if done.returncode == 0:
        return Check(name="engine", state="ok", detail=f"xllamacpp {done.stdout.strip()} loads")
    why = (done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"])[-1]
    if "No module named 'xllamacpp'" in why:
        return Check(
            name="engine",
            state="warn",
            detail="not installed: only other runtimes and clouds are used",
            next=install.command("local"),
        )
    hint = (
        "On Debian: apt-get install libgomp1"
        if "libgomp" in why
        else "Reinstall it: pip install --force-reinstall xllamacpp"
    )
    return Check(name="engine", state="fail", detail=f"it cannot be loaded: {why}", next=hint)


def models(loaded: Loaded) -> Iterator[Check]:
    """The model files of this machine: whether their headers are sound, whether they fit into memory."""
    from nearfar.engine.estimate import plan, size
    from nearfar.engine.library import Library
    from nearfar.engine.machine import memory

    if not loaded.settings.engine.enabled:
        return
    library = Library(loaded.folders.models)
    trouble = library.trouble()
    if trouble is not None:
        yield Check(name="models folder", state="warn", detail=trouble.message, next=trouble.hint)
    found = library.ls()
    sound = [model for model in found if model.header is not None]
    names = ", ".join(model.name for model in sound) or "none"
    yield Check(
        name="models",
        state="ok" if sound else "warn",
        detail=names,
        next="" if sound else "nearfar models add PATH-TO-A-GGUF",
    )
    yield from _missing(loaded, {model.name for model in sound})
    limit = loaded.settings.engine.memory_mb
    budget = limit * 1024 * 1024 if limit is not None else memory().limit * 7 // 10
    for model in found:
        name = f"model {model.name}"
        if model.header is None:
            mend = "Install nearfar again." if model.builtin else f"nearfar models rm {model.name}"
            yield Check(name=name, state="fail", detail=model.error, next=mend)
            continue
        needed = plan(model.header, loaded.settings.engine).estimate.total
        if needed > budget:
            yield Check(
                name=name,
                state="warn",
                detail=f"needs {size(needed)} of memory, models may take {size(budget)}",
                next="Lower engine.slots or engine.context, raise engine.memory_mb, or use a smaller model.",
            )


def _missing(loaded: Loaded, sound: set[str]) -> Iterator[Check]:
    """Deployments of this machine's engines that name no model of this machine."""
    from nearfar.core.places import Place
    from nearfar.providers import registry

    known = registry.load_all()
    for name, setting in loaded.settings.deployments.items():
        if known[setting.provider].place is Place.DEVICE and setting.model not in sound:
            yield Check(
                name=f"deployment {name}",
                state="warn",
                detail=f"no local model {setting.model!r} can be used",
                next=f"nearfar models add PATH --name {setting.model}",
            )


def responses(loaded: Loaded) -> Iterator[Check]:
    """How much is kept of callers' responses, where any are; nothing where none ever were."""
    from nearfar.store.database import connect
    from nearfar.store.responses import sizes

    setting, url = loaded.settings.responses, loaded.ledger_url
    local = url.startswith("sqlite:///")
    if local and not Path(url.removeprefix("sqlite:///")).exists():
        return
    if not local and not is_loopback(urlsplit(url).hostname or "localhost"):
        return  # it is on another machine, and not asked
    with contextlib.closing(connect(url)) as connection:
        found = sizes(connection)
    if not found.count and not setting.keep_hours:
        return
    detail = f"{found.count} kept of {found.callers} callers, {found.bytes / 1e6:.1f} MB"
    if found.callers:
        detail += f", the largest share {found.largest / 1e6:.1f} MB"
    hint = "" if setting.keep_hours else "responses.keep_hours = 0: they go at the next start that keeps responses."
    yield Check(name="kept responses", state="ok" if setting.keep_hours else "warn", detail=detail, next=hint)


def ledger(loaded: Loaded) -> Iterator[Check]:
    """The ledger's database and journal: readable, sound, and nothing left behind."""
    url = loaded.ledger_url
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.exists():
            yield Check(name="ledger", state="ok", detail=f"{path} is made when the first request comes")
            return
        yield from _count_entries(url, f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    elif is_loopback(urlsplit(url).hostname or "localhost"):
        yield from _count_entries(url, hide_credentials(url))
    else:
        yield Check(
            name="ledger",
            state="ok",
            detail=f"{hide_credentials(url)}: not asked, for it is on another machine",
            next="nearfar usage asks it.",
        )
    journal = loaded.journal
    if journal.is_dir() and not os.access(journal, os.W_OK | os.X_OK):
        yield Check(name="journal", state="fail", detail=f"{journal} cannot be written", next="Mend its permissions.")


def _count_entries(url: str, name: str) -> Iterator[Check]:
    from nearfar.store.database import connect

    connection = connect(url, wait=1.0)
    try:
        if not connection.table_exists("nearfar_entries"):
            yield Check(name="ledger", state="ok", detail=f"{name}: no entry yet")
            return
        ((total, unknown),) = connection.rows(
            "SELECT COUNT(*), SUM(CASE WHEN outcome = 'unknown' THEN 1 ELSE 0 END) FROM nearfar_entries"
        )
    finally:
        connection.close()
    yield Check(
        name="ledger",
        state="warn" if unknown else "ok",
        detail=f"{name}: attempts: {total}, of them never ended: {unknown or 0}",
        next="A gateway died while they ran: nearfar usage --outcome unknown -n 20" if unknown else "",
    )


def runtimes(loaded: Loaded) -> Iterator[Check]:
    """Local runtimes that answer on loopback: the only connections the doctor opens."""
    import asyncio

    from nearfar.cli.providers import ask_loopback

    if not loaded.settings.discovery.loopback:
        yield Check(name="local runtimes", state="ok", detail="not looked for (discovery.loopback = false)")
        return
    found = asyncio.run(ask_loopback(loaded))
    told = [f"{name} at {base} ({len(models)} models)" for name, (base, models) in found.items()]
    yield Check(name="local runtimes", state="ok", detail="; ".join(told) or "none answers on loopback")
