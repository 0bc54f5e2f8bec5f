"""``nearfar models``: the model files and folders of this machine, and which models a running gateway has loaded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from nearfar.cli import output
from nearfar.cli.origins import Origins
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of
from nearfar.core.errors import NearfarError, NotFoundError
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the engine's room is only needed when a command runs
    from nearfar.cli.client import Gateway
    from nearfar.engine.library import LocalModel
    from nearfar.settings.model import Engine

PATIENCE = 2.0
"""Seconds in which a gateway on this machine notices what came or went; it needs half of one."""

app = typer.Typer(
    no_args_is_help=True, help="Model files on this machine (add, ls, rm) and the catalogue (search, show, licence)."
)


@app.command("add")
def add(
    ctx: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            help="A GGUF file or any part of a split one, a folder with safetensors, or one made for ONNX Runtime "
            "GenAI. It is linked, not copied."
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="What clients call it [from the file's name].")] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a model file or folder and make it available as a model."""
    from nearfar.engine.library import Library

    loaded = of(ctx).load(config, sets)
    model = Library(loaded.folders.models).add(path, name)
    described = _describe(model, loaded.settings.engine)
    if json:
        output.json(described)
    elif quiet:
        output.line(model.name)
    else:
        output.line(
            f"{model.name}: {described['memory']} of memory when loaded, {described['context']} tokens of context"
        )
        _say_who_knows(loaded, model.name, there=True)
        if described["missing"]:
            output.note(str(described["missing"]))
        output.progress(f'Try it: nearfar run {model.name} "Who are you?"')


@app.command("ls")
def ls(
    ctx: typer.Context, config: ConfigFile = None, sets: Sets = None, json: Json = False, quiet: Quiet = False
) -> None:
    """List the models of this machine, files that cannot be used among them."""
    from nearfar.engine.library import Library

    loaded = of(ctx).load(config, sets)
    library = Library(loaded.folders.models)
    models = library.ls()
    if json:
        output.json(
            {"folder": str(library.folder), "models": [_describe(model, loaded.settings.engine) for model in models]}
        )
        return
    if quiet:
        for model in models:
            output.line(model.name)
        return
    rows = []
    for model in models:
        told = _describe(model, loaded.settings.engine)
        columns = (
            "name",
            "engine",
            "architecture",
            "parameters",
            "quantization",
            "file",
            "memory",
            "context",
            "operations",
            "note",
        )
        rows.append([told[column] for column in columns])
    output.table(
        ("NAME", "ENGINE", "ARCHITECTURE", "PARAMETERS", "TYPE", "FILE", "MEMORY", "CONTEXT", "FOR", "NOTE"),
        rows,
        right=(3, 5, 6, 7),
        drop=("ARCHITECTURE", "FILE", "PARAMETERS", "TYPE", "FOR", "ENGINE", "CONTEXT"),
        flow=("NOTE",),
    )
    trouble = library.trouble()
    if trouble is not None:
        output.note(trouble.text)
    elif not models:
        output.note("There is none. Add one: nearfar models add PATH")


@app.command("rm")
def rm(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A name from `nearfar models ls`.")],
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove a model from the models folder. A file that lies elsewhere too stays there."""
    from nearfar.engine.library import Library

    loaded = of(ctx).load(config, sets)
    gone = Library(loaded.folders.models).rm(name)
    Origins(loaded.folders.models).forget(name)
    if json:
        output.json({"removed": name, "data_deleted": gone})
    elif not quiet:
        output.line(
            f"{name} is removed{', and its data with it' if gone else '; its file is still where it came from'}"
        )
        _say_who_knows(loaded, name, there=False)


def _say_who_knows(loaded: Loaded, name: str, *, there: bool) -> None:
    """Whether the gateway that runs here, if one does, has noticed. It looks at its folder every half second."""
    from nearfar.cli.client import Gateway, served_at

    gateway = Gateway(served_at(loaded), loaded.environ.get("NEARFAR_API_KEY"))
    if not gateway.alive():
        return
    until = time.monotonic() + PATIENCE
    while True:
        try:
            known = _knows(gateway, name)
        except NearfarError as error:
            output.note(f"The gateway at {gateway.url} looks at its models every half second ({error.message})")
            return
        if known is there:
            output.note(f"The gateway at {gateway.url} {'knows it' if there else 'has forgotten it'} already.")
            return
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    what = "does not see it" if there else "still has a model of this name"
    output.note(f"The gateway at {gateway.url} {what}: does it use another models folder?")


def _knows(gateway: Gateway, name: str) -> bool:
    try:
        gateway.get(f"/v1/models/{quote(name, safe='')}")
    except NotFoundError:
        return False
    return True


LOADING_SECONDS = 900.0
"""How long a runtime may take to load a model."""


@app.command("load")
def load(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A deployment from `nearfar ps`.")],
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Have a running gateway put a local model into memory. Exits with 3 when no gateway answers."""
    from nearfar.cli.client import locate

    gateway = locate(of(ctx).load(config, sets), url)
    state = gateway.post("/nearfar/v1/load", {"model": name}, timeout=LOADING_SECONDS)
    if json:
        output.json(state)
    elif not quiet:
        context = f", {state['context']} tokens of context" if state.get("context") else ""
        output.line(f"{name} is {state['state']}{context}")


@app.command("unload")
def unload(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A deployment or model from `nearfar ps`.")],
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Have a running gateway take a local model out of memory. Exits with 3 when no gateway answers."""
    from nearfar.cli.client import locate

    gateway = locate(of(ctx).load(config, sets), url)
    told = gateway.post("/nearfar/v1/unload", {"model": name}, timeout=LOADING_SECONDS)
    if json:
        output.json(told)
    elif not quiet:
        output.line(f"{name} is unloaded")


def _describe(model: LocalModel, settings: Engine) -> dict[str, object]:
    """One stable object for one model; texts where a person reads them, numbers beside them."""
    from nearfar.engine.estimate import plan
    from nearfar.engine.runtimes import lacking

    header = model.header
    told: dict[str, object] = {
        "name": model.name,
        "path": str(model.path),
        "builtin": model.builtin,
        "usable": header is not None,
        "operations": " ".join(sorted(model.operations)),
        "engine": "",
        "missing": "",
        "architecture": "",
        "parameters": "",
        "quantization": "",
        "file": "",
        "memory": "",
        "context": None,
        "note": "demo model" if model.builtin else model.error,
        "error": model.error,
    }
    if header is None:
        return told
    planned, missing = plan(header, settings), lacking(header.engine)
    return told | {
        "engine": header.engine,
        "missing": missing,
        "note": "demo model" if model.builtin else missing,
        "architecture": header.architecture,
        "parameters": _count(header.parameters),
        "parameter_count": header.parameters,
        "quantization": header.quantization,
        "file": output.megabytes(header.file_bytes),
        "file_bytes": header.file_bytes,
        "memory": output.megabytes(planned.estimate.total),
        "memory_bytes": planned.estimate.total,
        "context": planned.context,
    }


def _count(number: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number) if number else ""
