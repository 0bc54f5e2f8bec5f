"""The tree of commands. Every module named here is light: what a command needs it imports when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from nearfar import __version__
from nearfar.cli import (
    advise,
    audit,
    chat,
    config,
    demo,
    doctor,
    drill,
    fit,
    hardware,
    keys,
    models,
    models_catalog,
    policy,
    privacy,
    providers,
    ps,
    pull,
    route,
    router,
    run,
    serve,
    usage,
    verify_egress,
)
from nearfar.cli import eval as evaluation

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One endpoint in front of local and cloud language models.",
)
app.command()(serve.serve)
app.command()(run.run)
app.command()(chat.chat)
app.command()(ps.ps)
app.add_typer(route.app, name="route")
app.add_typer(router.app, name="router")
app.command("eval")(evaluation.evaluate)
models.app.command("pull")(pull.pull)
models.app.command("verify")(pull.verify)
models.app.command("search")(models_catalog.search)
models.app.command("show")(models_catalog.show)
models.app.command("licence")(models_catalog.licence)
app.add_typer(models.app, name="models")
app.command()(fit.fit)
app.command()(hardware.hardware)
app.add_typer(providers.app, name="providers")
app.command()(usage.usage)
app.command()(advise.advise)
app.command()(demo.demo)
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="privacy")
app.command("verify-egress")(verify_egress.verify_egress)
app.command()(drill.drill)
app.command()(doctor.doctor)
app.add_typer(config.app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"nearfar {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Near when it can, far when it must: local and cloud language models behind one endpoint."""
    del version
