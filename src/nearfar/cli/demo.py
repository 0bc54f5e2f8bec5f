"""``nearfar demo``: real requests through a real gateway, near and far, while things go wrong on purpose."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import Json, of
from nearfar.settings.environ import Environ

if TYPE_CHECKING:  # stage and scenes are only needed when the command runs
    from nearfar.cli.demo_scenes import Row
    from nearfar.cli.demo_stage import Cloud

NEAR_MODEL = "demo-tiny"
OWN_MODEL = "demo-own"


def demo(
    ctx: typer.Context,
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="Use the stand-in even if a cloud key is in the environment.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="GGUF", help="A model file for the near side [demo-tiny].")
    ] = None,
    json: Json = False,
) -> None:
    """Watch a gateway answer near and far, and what it does when either side fails. Exits with 1 if anything differs.

    Everything runs in a temporary folder and is gone afterwards.
    """
    from nearfar.cli.demo_scenes import SCENES
    from nearfar.cli.demo_stage import Stage

    environ = of(ctx).environ
    near = near_model(model)
    cloud = choose_cloud(environ, stand_in=stand_in)
    if not json:
        announce(cloud, near)
    rows: list[Row] = []
    with Stage(environ, cloud, model, near) as stage:
        for number, scene in enumerate(SCENES, 1):
            output.progress(f"{number}/{len(SCENES)}  {scene.title}")
            rows.append(scene.play(stage, scene.title))
        log = stage.log()
    held = all(row.held for row in rows)
    if json:
        output.json({"ok": held, "near": near, "cloud": cloud.title, "real_cloud": cloud.real, "scenes": rows})
    else:
        tell(rows)
    if not held:
        sys.stderr.write(output.clean(log))
        raise typer.Exit(1)


def near_model(path: Path | None) -> str:
    """The name of the model that plays the near side. Raises NearfarError when there is none."""
    from nearfar.engine.gguf import read_header
    from nearfar.engine.library import DEMO_PATH

    if path is not None:
        header = read_header(path)
        if header.embedding:
            raise UsageError(f"{path} computes embeddings and cannot chat.", hint="Name a chat model.")
        return OWN_MODEL
    if not DEMO_PATH.is_file():
        raise UsageError(
            f"This installation has no {NEAR_MODEL} model.", hint="nearfar demo --model PATH-TO-A-CHAT-MODEL.gguf"
        )
    return NEAR_MODEL


def choose_cloud(environ: Mapping[str, str], *, stand_in: bool) -> Cloud:
    """A real cloud if its key is in the environment, else the stand-in."""
    from nearfar.cli.demo_stage import Cloud
    from nearfar.providers import registry

    present = Environ(environ)
    for name in () if stand_in else ("openai", "anthropic"):
        provider = registry.find(name)
        variable, _ = present.first(*provider.key_env)
        if variable and provider.default_models:
            wanted = provider.default_models[-1]
            settings = f'provider = "{name}"\nmodel = "{wanted}"\nkey = "env:{variable}"'
            return Cloud(real=True, title=f"{provider.title}, {wanted}", variable=variable, settings=settings)
    return Cloud(real=False, title="a stand-in on this machine (not a real cloud)")


def announce(cloud: Cloud, near: str) -> None:
    """Say who plays, before anything is sent anywhere."""
    told = "a tiny model that comes with nearfar" if near == NEAR_MODEL else "your own model"
    output.line(f"near: {near}, {told}, in the embedded engine on this machine")
    if cloud.real:
        output.line(f"far:  {cloud.title.upper()}: A REAL CLOUD, for {cloud.variable} is set.")
        output.line(
            "      Two questions of about 2,000 tokens in all go there. Failures are played by a stand-in on this"
        )
        output.line("      machine; `nearfar demo --stand-in` uses it for everything.")
    else:
        output.line(f"far:  {cloud.title}; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a real one")
    output.line()


def tell(rows: list[Row]) -> None:
    """One row for each scene, and whether all held. On a terminal the reason has a line of its own, for it is long."""
    from nearfar.cli.table import aligned

    people = output.is_terminal(sys.stdout)
    columns = ("", "SCENE", "ASKED", "RAN", "TOKENS", "COST", "MS", "WHY")
    cells = [
        (
            "ok" if row.held else "FAILED",
            row.scene,
            row.asked,
            row.ran,
            row.tokens,
            row.money,
            f"{row.milliseconds:,.0f}",
            row.why if row.held else f"{row.broken} ({row.why})",
        )
        for row in rows
    ]
    lines = aligned([item[:7] if people else item for item in (columns, *cells)], right=(4, 5, 6))
    output.line(lines[0])
    for text, told, row in zip(lines[1:], cells, rows, strict=True):
        output.line(text)
        if people:
            output.line(f"      {told[7]}")
            output.line(f"      “{row.answer}”" if row.answer else "      (no answer)")
    failed = sum(not row.held for row in rows)
    output.line()
    output.line(f"{len(rows) - failed} of {len(rows)} went as promised." if failed else "All went as promised.")
