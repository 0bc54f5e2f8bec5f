"""``nearfar serve``: starts the gateway and says where it listens. Everything else is the server's business."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.state import ConfigFile, Quiet, Sets, of
from nearfar.core.errors import NearfarError
from nearfar.settings.load import Loaded


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Port to listen on [8642]; 0 for any free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Gateway processes that share the port [1].")] = None,
    offline: Annotated[bool | None, typer.Option("--offline", help="Build no cloud client at all.")] = None,
    state_dir: Annotated[
        str | None, typer.Option("--state-dir", metavar="DIR", help="Database, journal, keys.")
    ] = None,
    models_dir: Annotated[str | None, typer.Option("--models-dir", metavar="DIR", help="GGUF files.")] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Annotated[bool, typer.Option("--json", help="Say where it listens as one line of JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Start the gateway. It makes no network call until somebody asks it something."""
    loaded = of(ctx).load(
        config,
        sets,
        {
            "server.host": host,
            "server.port": port,
            "server.workers": workers,
            "offline": offline,
            "state_dir": state_dir,
            "models_dir": models_dir,
        },
    )
    from nearfar.server import log, run

    log.configure(loaded.settings.log)
    run.serve(loaded, ready=lambda url: _ready(url, loaded, json=json, quiet=quiet))


def _ready(url: str, loaded: Loaded, *, json: bool, quiet: bool) -> None:
    from nearfar.server import traces

    traces.watch()  # whatever goes wrong from now on may quote a request
    if json:
        sys.stdout.write(msgspec.json.encode({"url": url, "pid": os.getpid()}).decode() + "\n")
    elif quiet:
        output.line(url)
    else:
        output.line(f"nearfar is ready at {url}")
        if output.is_terminal(sys.stdout):
            _snippets(url, needs_key=_needs_key(loaded))
    sys.stdout.flush()


def _needs_key(loaded: Loaded) -> bool:
    from nearfar import build

    try:
        return build.needs_key(loaded)
    except NearfarError:
        return True  # nobody can say that none is needed


def _snippets(url: str, *, needs_key: bool) -> None:
    key = "$NEARFAR_API_KEY" if needs_key else "unused"
    header = " -H 'authorization: Bearer $NEARFAR_API_KEY'" if needs_key else ""
    output.line()
    # Elsewhere, or with another configuration, the command would look at the usual address.
    there = "" if url == "http://127.0.0.1:8642" else f" --url {url}"
    output.line(f'  nearfar run auto "Who are you?"{there}')
    output.line(f"  export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}     # any OpenAI client")
    output.line(f"  curl {url}/v1/models{header}")
    output.line()
    output.line("Ctrl-C stops it; running streams finish first, unless Ctrl-C comes again.")
