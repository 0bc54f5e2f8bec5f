"""``nearfar router``: learn from labels what is worth sending far, measure it, and say what can be promised.

It reads and writes files alone: no gateway is asked and nothing is sent. ``status``, ``labels`` and ``forget`` also
use the state database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import output, router_forget, router_labels, router_measure, router_status
from nearfar.cli.errors import UsageError
from nearfar.cli.router_files import Labels, Opinions, answered, names, read_labels, read_router
from nearfar.cli.state import Json, Quiet

app = typer.Typer(no_args_is_help=True, help="Route by quality: learn from labels, measure, and certify.")


@app.command("fit")
def fit(
    labels: Labels,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the router is written.")],
    opinions: Opinions = "",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn the expected gap between far and near from labels, and write the router as a plain file."""
    if out.exists():
        # Before the work, not after it: a gateway may be using that file, and what it was learned from may be gone.
        raise UsageError(f"{out} exists already.", hint="Name another file, or remove it first.")
    found = read_labels(labels).labels
    from nearfar.policy.cascade import Rules
    from nearfar.tuning import evaluate, router, saved
    from nearfar.tuning.answers import chosen

    models = chosen(found, names(opinions))
    judged = evaluate.judged(found, models, Rules()) if answered(found) else None
    try:
        fitted = evaluate.learned(found, judged, models)
        saved.save(out, fitted, [label.prompt for label in found])
    except ValueError as error:
        raise UsageError(f"{labels}: {error}.") from error
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from error
    size = out.stat().st_size
    more = {"tasks": fitted.tasks, "embeddings": fitted.embedded, "near answers": judged}
    parts = ["prompts", *(name for name, learned in more.items() if learned)]
    trusted = fitted.labels >= router.TRUSTED
    if json:
        output.json(
            {
                "router": str(out),
                "bytes": size,
                "labels": len(found),
                "from": parts,
                "opinions": models if judged else [],
                "trusted": trusted,
            }
        )
    elif quiet:
        output.line(str(out))
    else:
        output.line(f"{out}: learned from {len(found)} labels ({', '.join(parts)}), {output.megabytes(size)}")
    if not trusted:
        output.note(f"note: it takes {router.TRUSTED} labels until a router's word counts")


@app.command("score")
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help='Prompts: {"id": …, "prompt": …} for each line.')],
    router: Annotated[Path, typer.Option("--router", metavar="FILE", help="A router that `fit` wrote.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say for each prompt what going far is expected to gain, and whether that can be trusted."""
    fitted = read_router(router).router
    from nearfar.tuning import labels
    from nearfar.tuning import router as learned

    rows = []
    for item in labels.prompts(file):
        try:
            scored = learned.score(fitted, item.prompt, embedding=item.embedding or None)
        except ValueError as error:
            raise UsageError(f"{file}: {item.id}: {error}.") from error
        rows.append({"id": item.id, "gap": scored.gap, "novel": scored.novel, "trusted": scored.trusted})
    if json:
        output.json({"prompts": rows})
    elif quiet:
        for row in rows:
            output.line(str(row["id"]))
    else:
        output.table(
            ("ID", "GAIN", "NOVEL", "TRUSTED"),
            [(row["id"], f"{row['gap']:+.3f}", row["novel"], row["trusted"]) for row in rows],
            right=(1,),
        )


app.command("eval")(router_measure.evaluated)
app.command("cascade")(router_measure.cascade)
app.command("certify")(router_measure.certified)
app.command("status")(router_status.status)
app.command("labels")(router_labels.written)
app.command("forget")(router_forget.forget)
