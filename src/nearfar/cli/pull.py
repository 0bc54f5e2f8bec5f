"""``nearfar models pull`` and ``verify``: a model from the Hugging Face Hub or a mirror, looked at before it comes.

These are the only commands that fetch anything from a network beyond the configured upstreams, and only when asked to.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.errors import BadRequestError, EngineError, NotFoundError
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the rooms are only needed when a command runs
    from nearfar.engine.hub import Hub, Remote, RemoteFile

_SPARE = 512 * 1024 * 1024
"""Bytes of the disk that are left free."""
_ROOM = 1.1
"""Bytes of memory for a byte of weights: a cache for a few thousand tokens, intermediate values. See `nearfar fit`."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model came from; kept beside it."""

    repo: str
    commit: str
    file: str
    sha256: str
    licence: str
    endpoint: str
    fetched: dt.date


def pull(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="REPO[:TYPE]", help="Qwen/Qwen3-8B-GGUF, or …:Q4_K_M for one type.")],
    name: Annotated[str | None, typer.Option("--name", help="What clients call it [from the file's name].")] = None,
    revision: Annotated[str, typer.Option("--revision", help="A branch, tag or commit.")] = "main",
    mirror: Annotated[str, typer.Option("--mirror", metavar="URL", help="Another endpoint [env HF_ENDPOINT].")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="I have read the licence and keep to it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model: the best type that fits this machine, its licence first, resumed where it broke off."""
    from nearfar.engine.library import Library, derived_name

    state = of(ctx)
    loaded = state.load(config, sets)
    repo, _, wanted = what.partition(":")
    endpoint = mirror or state.environ.get("HF_ENDPOINT") or ""
    hub = _hub(loaded, endpoint, state.environ.get("HF_TOKEN", ""))
    remote = hub.look(repo, revision)
    file = _choose(loaded, remote, wanted)
    there = _fetched(loaded, file)
    if there and not dry_run:
        output.json({"name": there, "there": True}) if json else output.line(there)
        return
    told = _told(remote, file, hub)
    if dry_run:
        output.json(told) if json else _plan(told)
        return
    if not (json or quiet):
        _plan(told)
    _licence(remote, yes=yes)
    _disk(loaded, file)
    path = hub.fetch(remote, file)
    # The cache calls files by their checksums.
    model = Library(loaded.folders.models).add(path, name or derived_name(Path(file.name)))
    origin = Origin(
        repo=remote.repo,
        commit=remote.commit,
        file=file.name,
        sha256=file.sha256,
        licence=remote.licence,
        endpoint=hub.endpoint,
        fetched=dt.datetime.now(dt.UTC).date(),
    )
    _keep(loaded, model.name, origin)
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
    """Compare a fetched model with the checksum that its repository stated."""
    from nearfar.engine.hub import checksum
    from nearfar.engine.library import Library

    loaded = of(ctx).load(config, sets)
    model = Library(loaded.folders.models).get(name)
    origin = _origin(loaded, name)
    found = checksum(model.path)
    same = found == origin.sha256
    if json:
        output.json({"name": name, "same": same, "sha256": found, "origin": origin})
    else:
        output.line(f"{name}: {'as it was stated' if same else 'NOT what was stated'} ({origin.repo}, {origin.file})")
    if not same:
        raise EngineError(
            f"{name} has the checksum {found}, and {origin.endpoint} stated {origin.sha256}.",
            code="checksum_mismatch",
            hint=f"Remove it and fetch it again: nearfar models rm {name}",
        )


def _hub(loaded: Loaded, endpoint: str, token: str) -> Hub:
    from nearfar.engine.hub import PUBLIC, Hub

    cache = loaded.folders.models / ".hub"
    return Hub(endpoint or PUBLIC, cache=cache, token=token, offline=loaded.settings.offline)


def _choose(loaded: Loaded, remote: Remote, wanted: str) -> RemoteFile:
    """The file of the wanted type; without one the largest that fits this machine's memory."""
    from nearfar.catalog.names import split_quant

    weights = remote.weights()
    if not weights:
        raise BadRequestError(
            f"{remote.repo} holds no GGUF file.",
            code="no_gguf",
            hint="Look for a repository whose name ends in -GGUF; for safetensors see the page on Transformers.",
        )
    whole = {name: parts[0] for name, parts in weights.items() if len(parts) == 1}
    types = {(split_quant(name)[1] or name.upper()): file for name, file in whole.items()}
    if wanted:
        found = types.get(wanted.upper()) or whole.get(wanted)
        if found is None:
            split = any(wanted.upper() in name.upper() for name in weights if name not in whole)
            raise NotFoundError(
                f"{remote.repo} has {wanted} only in parts." if split else f"{remote.repo} has no {wanted}.",
                code="type_not_found",
                hint="Join parts with llama-gguf-split --merge, then: nearfar models add PATH"
                if split
                else f"It has {', '.join(sorted(types))}.",
            )
        return found
    room = _memory(loaded)
    fitting = [file for file in types.values() if file.size * _ROOM <= room]
    if not fitting:
        smallest = min((file.size for file in types.values()), default=0)
        raise EngineError(
            f"Nothing of {remote.repo} fits {room / 1e9:.1f} GB of memory: its smallest has {smallest / 1e9:.1f} GB.",
            code="does_not_fit",
            hint=f"`nearfar fit` says what would make it fit; {remote.repo}:TYPE fetches it all the same.",
        )
    return max(fitting, key=lambda file: file.size)


def _memory(loaded: Loaded) -> float:
    from nearfar.cli.machine_here import rig

    return rig(loaded, "").usable


def _told(remote: Remote, file: RemoteFile, hub: Hub) -> dict[str, object]:
    header = hub.header(remote, file)
    return {
        "repo": remote.repo,
        "commit": remote.commit,
        "file": file.name,
        "bytes": file.size,
        "sha256": file.sha256,
        "licence": remote.licence or "not stated",
        "base": remote.base,
        "gated": remote.gated,
        "architecture": header.architecture,
        "context": header.context_length,
        "parameters": header.parameters,
    }


def _plan(told: dict[str, object]) -> None:
    size = told["bytes"]
    assert isinstance(size, int)
    output.line(f"{told['repo']} at {str(told['commit'])[:12]}: {told['file']}, {size / 1e9:.2f} GB")
    output.line(f"architecture {told['architecture']}, {told['context']} tokens of context, licence {told['licence']}")


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


def _disk(loaded: Loaded, file: RemoteFile) -> None:
    folder = loaded.folders.models
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < file.size + _SPARE:
        raise EngineError(
            f"{file.name} has {file.size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free at {folder}.",
            code="disk_full",
            hint="Make room, or choose another models_dir.",
        )


def _fetched(loaded: Loaded, file: RemoteFile) -> str:
    """The name under which these very bytes are here already; empty if they are not."""
    from nearfar.engine.library import Library

    here = {model.name for model in Library(loaded.folders.models).ls()}
    for path in sorted(_beside(loaded, "x").parent.glob("*.json")):
        if path.stem in here and file.sha256 and _origin(loaded, path.stem).sha256 == file.sha256:
            return path.stem
    return ""


def _keep(loaded: Loaded, name: str, origin: Origin) -> None:
    path = _beside(loaded, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(origin))


def _origin(loaded: Loaded, name: str) -> Origin:
    try:
        return msgspec.json.decode(_beside(loaded, name).read_bytes(), type=Origin)
    except (OSError, msgspec.DecodeError) as error:
        raise NotFoundError(
            f"Nobody stated a checksum for {name}: it was not fetched with `nearfar models pull`.", code="no_origin"
        ) from error


def _beside(loaded: Loaded, name: str) -> Path:
    return loaded.folders.models / ".hub" / "origins" / f"{name}.json"
