"""``nearfar models pull`` and ``verify``: a model from the Hugging Face Hub or a mirror, looked at before it comes.

These are the only commands that fetch anything from a network beyond the configured upstreams, and only when asked to.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.origins import Origin, Origins
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.errors import ConflictError, EngineError, NotFoundError
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the rooms are only needed when a command runs
    from nearfar.cli.pull_choice import Chosen, Room
    from nearfar.engine.hub import Hub, Looked, Remote
    from nearfar.engine.hub_web import Told
    from nearfar.engine.library import Library, LocalModel

_SPARE = 512 * 1024 * 1024
"""Bytes of the disk that are left free."""


def pull(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="REPO[:TYPE]",
            help="Qwen/Qwen3-8B-GGUF, or …:Q4_K_M for one type, …:safetensors, …:FILE for one of several.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="What clients call it [from the file's name].")] = None,
    revision: Annotated[str, typer.Option("--revision", help="A branch, tag or commit.")] = "main",
    mirror: Annotated[
        str,
        typer.Option("--mirror", metavar="URL", help="Another endpoint [env HF_ENDPOINT]. HF_TOKEN is not sent there."),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="I have read the licence and keep to it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model: GGUF in one file or in parts, safetensors, or ONNX; the best type that fits this machine.

    Its headers are read and its licence is shown first; what breaks off is gone on with; checksums are compared.
    """
    from nearfar.cli.pull_choice import choose
    from nearfar.engine.library import Library

    state = of(ctx)
    loaded = state.load(config, sets)
    repo, _, wanted = what.partition(":")
    configured = state.environ.get("HF_ENDPOINT") or ""
    # A token is for the endpoint that it was configured with, not for one that a command line names.
    token = state.environ.get("HF_TOKEN", "") if not mirror or mirror == configured else ""
    hub = _hub(loaded, mirror or configured, token)
    remote = hub.look(repo, revision)
    chosen = choose(remote, wanted, lambda choice: hub.inspect(remote, choice), _room(loaded))
    library, origins = Library(loaded.folders.models), Origins(loaded.folders.models)
    there = _fetched(library, origins, chosen.looked)
    if there and not dry_run:
        output.json({"name": there, "there": True}) if json else output.line(there)
        return
    told = _told(remote, chosen)
    if dry_run:
        output.json(told) if json else _plan(told)
        return
    if not (json or quiet):
        _plan(told)
    called = _called(library, chosen, name)
    _licence(remote, yes=yes)
    _disk(loaded, hub.missing(remote, chosen.looked), chosen)
    with _bar(chosen.looked.bytes, shown=not (json or quiet)) as heard:
        path = hub.fetch(remote, chosen.looked, heard)
    model = _take(library, path, called, chosen.looked)
    origins.keep(model.name, _origin(remote, chosen, hub, model))
    hub.forget(remote)
    if json:
        output.json({**told, "name": model.name, "path": str(model.path)})
    else:
        output.line(model.name)
        if not quiet:
            output.progress(f'Try it: nearfar run {model.name} "Who are you?"')


def verify(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A name from `nearfar models ls`.")],
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Compare every file of a fetched model with the checksum that its repository stated."""
    from nearfar.engine.library import DEMO_NAME, Library

    loaded = of(ctx).load(config, sets)
    folder = Library(loaded.folders.models).where(name)
    if name == DEMO_NAME:
        raise NotFoundError(
            f"Nobody stated a checksum for {name}: it came with nearfar itself.",
            code="no_origin",
            hint="Install nearfar again if you doubt it.",
        )
    origin = Origins(loaded.folders.models).of(name)
    found = {file: _checksum(folder / file if folder.is_dir() else folder) for file in origin.files}
    wrong = [file for file, stated in origin.files.items() if found[file] != stated]
    if json:
        output.json({"name": name, "same": not wrong, "sha256": found, "differing": wrong, "origin": origin})
    else:
        many = f", {len(found)} files" if len(found) > 1 else ""
        said = "NOT what was stated" if wrong else "as it was stated"
        output.line(f"{name}: {said} ({origin.repo}, {origin.file}{many})")
    if wrong:
        first = wrong[0]
        raise EngineError(
            f"{first} of {name} has the checksum {found[first] or '(it is missing)'}, and {origin.endpoint} stated "
            f"{origin.files[first]}." + (f" So it is with {len(wrong) - 1} more." if len(wrong) > 1 else ""),
            code="checksum_mismatch",
            hint=f"Remove it and fetch it again: nearfar models rm {name}",
        )


def _checksum(path: Path) -> str:
    """Empty where there is no such file."""
    from nearfar.engine.hub_web import checksum

    return checksum(path) if path.is_file() else ""


def _hub(loaded: Loaded, endpoint: str, token: str) -> Hub:
    from nearfar.engine.hub import PUBLIC, Hub

    cache = loaded.folders.models / ".hub"
    return Hub(endpoint or PUBLIC, cache=cache, token=token, offline=loaded.settings.offline)


def _room(loaded: Loaded) -> Room:
    from nearfar.cli.pull_choice import Room
    from nearfar.engine import machine

    return Room(engine=loaded.settings.engine, memory=machine.memory())


def _called(library: Library, chosen: Chosen, name: str | None) -> str:
    """What the model will be called. That a name is taken must not be found out after forty gigabytes."""
    from nearfar.engine.hub_choices import GGUF
    from nearfar.engine.library import check_name, derived_name

    choice = chosen.choice
    called = name or derived_name(Path(choice.files[0].base if choice.kind == GGUF else choice.stem))
    check_name(called)
    if called.casefold() in {model.name.casefold() for model in library.ls()}:
        raise ConflictError(
            f"There is a model {called} already.",
            hint=f"Choose another name with --name, or remove it first: nearfar models rm {called}",
        )
    return called


def _take(library: Library, path: Path, name: str, looked: Looked) -> LocalModel:
    """The model in the library, if it is what was shown before it came."""
    model = library.add(path, name)
    if looked.header is not None and model.header != looked.header:
        library.rm(model.name)
        raise EngineError(
            f"What came of {name} has another header than was shown before: it was not taken in.",
            code="model_changed",
            hint="Say it again; if it happens twice, the mirror is not to be trusted.",
        )
    return model


def _told(remote: Remote, chosen: Chosen) -> dict[str, object]:
    from nearfar.engine.runtimes import lacking

    looked, header = chosen.looked, chosen.looked.header
    told: dict[str, object] = {
        "repo": remote.repo,
        "commit": remote.commit,
        "format": chosen.choice.kind,
        "type": chosen.choice.label,
        "file": chosen.choice.name if header is None or header.engine != "llama.cpp" else looked.files[0].name,
        "files": [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in looked.files],
        "bytes": looked.bytes,
        "sha256": looked.files[0].sha256,
        "licence": remote.licence or "not stated",
        "base": remote.base,
        "gated": remote.gated,
        "why": chosen.why,
        "fits": chosen.fits,
        "memory_bytes": chosen.need or None,
    }
    if header is not None:
        told |= {
            "engine": header.engine,
            "missing": lacking(header.engine),
            "architecture": header.architecture,
            "context": header.context_length,
            "parameters": header.parameters,
            "quantization": header.quantization,
        }
    return told


def _plan(told: dict[str, object]) -> None:
    size, files = told["bytes"], told["files"]
    assert isinstance(size, int)
    assert isinstance(files, list)
    many = f" in {len(files)} files" if len(files) > 1 else ""
    output.line(f"{told['repo']} at {str(told['commit'])[:12]}: {told['file']}, {size / 1e9:.2f} GB{many}")
    if "engine" in told:
        output.line(
            f"architecture {told['architecture']}, weights {told['quantization']}, "
            f"{told['context']} tokens of context, licence {told['licence']}"
        )
    else:
        output.line(f"licence {told['licence']}")
    output.line(str(told["why"]))
    if told.get("missing"):
        output.note(f"It runs in {told['engine']}. {told['missing']}")


_FREE = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "unlicense"})
"""Licences that ask nothing of whoever only runs a model."""


def _licence(remote: Remote, *, yes: bool) -> None:
    """Terms that bind are accepted by a person, not by a program."""
    if yes or remote.licence.lower() in _FREE:
        return
    said = f"{remote.repo} has the licence {remote.licence or 'not stated'}; its terms bind whoever uses it."
    hint = f"Read it at its page. `nearfar models licence {remote.repo.rpartition('/')[2]}` tells what is known of it."
    if not output.is_terminal(sys.stdin):
        raise UsageError(said, hint=f"{hint} Then say --yes.")
    output.note(said)
    output.note(hint)
    if not typer.confirm("Have you read it, and do you keep to it?", err=True):
        raise UsageError("Nothing was fetched.", hint="Choose another model: nearfar models search --commercial --osi")


def _disk(loaded: Loaded, missing: int, chosen: Chosen) -> None:
    folder = loaded.folders.models
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < missing + _SPARE:
        raise EngineError(
            f"{missing / 1e9:.2f} GB of {chosen.choice.name} have to come, and {free / 1e9:.2f} GB "
            f"are free at {folder}.",
            code="disk_full",
            hint="Make room, or choose another models_dir.",
        )


@contextlib.contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Told]:
    """A bar for people; and what to say when they end it."""
    from nearfar.engine.hub_web import nobody

    try:
        if not (shown and output.is_terminal(sys.stderr)):
            yield nobody
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=total)
            yield lambda count: progress.advance(task, count)
    except KeyboardInterrupt:
        output.note("What was fetched is kept: the same command goes on with it.")
        raise


def _fetched(library: Library, origins: Origins, looked: Looked) -> str:
    """The name under which these very bytes are here already; empty if they are not."""
    stated = {file.place: file.sha256 for file in looked.files if file.sha256}
    for model in library.ls():
        origin = origins.known(model.name)
        if stated and origin is not None and stated.items() <= origin.files.items():
            return model.name
    return ""


def _origin(remote: Remote, chosen: Chosen, hub: Hub, model: LocalModel) -> Origin:
    """Small files have no checksum of their own at the Hub: what came was compared otherwise, and is kept as it is."""
    there = {file: model.path / file.place if model.path.is_dir() else model.path for file in chosen.looked.files}
    files = {file.place: file.sha256 or _checksum(path) for file, path in there.items()}
    return Origin(
        repo=remote.repo,
        commit=remote.commit,
        file=chosen.choice.name,
        files=files,
        licence=remote.licence,
        endpoint=hub.endpoint,
        fetched=dt.datetime.now(dt.UTC).date(),
    )
