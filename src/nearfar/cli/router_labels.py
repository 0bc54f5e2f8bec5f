"""``nearfar router labels``: what gateways have kept to learn from and scored, written to a file of labels.

It reads the database; a gateway need not run. What it writes is content in the clear.
"""

from __future__ import annotations

import os
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the store's room is only needed when a command runs
    from nearfar.store.labels import Kept, Labels

OnRoute = Annotated[str | None, typer.Option("--route", metavar="R", help="Pairs of this route alone.")]
_SQLITE = "sqlite:///"


def written(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the labels are written, in the clear.")],
    route: OnRoute = None,
    every: Annotated[
        bool, typer.Option("--every", help="Also those that were more likely kept than others: not for certify.")
    ] = False,
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the scored pairs as labels that fit, eval and certify read. The file holds prompts in the clear."""
    from nearfar.store.labels_schema import Selection

    loaded = of(ctx).load(config, sets)
    untrusted = waiting = 0
    found: list[Kept] = []
    if exists(loaded):
        with closing(labels_of(loaded)) as labels:
            for kept in labels.selected(Selection(route=route)):
                if kept.scores is None:
                    waiting += 1
                elif not kept.scores.trusted:
                    untrusted += 1
                else:
                    found.append(kept)
            chosen = found if every else evened(found)
            if chosen:
                _write(out, chosen)
                labels.exported(str(out.resolve()), len(chosen))
    else:
        chosen = []
    uneven = len(found) - len(chosen)
    if json:
        output.json(
            {
                "file": str(out) if chosen else None,
                "labels": len(chosen),
                "left_out": {"waiting": waiting, "untrusted": untrusted, "uneven": uneven},
            }
        )
    elif quiet:
        output.line(str(len(chosen)))
    else:
        output.line(f"{out}: {len(chosen)} labels" if chosen else "There are no labels to write.")
        for count, why in (
            (waiting, "wait for a judge"),
            (untrusted, "are by a judge that is not trusted"),
            (uneven, "left out, so that all had the same chance (--every writes them too)"),
        ):
            if count:
                output.note(f"{count} {why}")
    if chosen:
        output.note(f"{out} holds prompts and answers IN THE CLEAR; only you can read it (mode 0600). Remove it after.")


def evened(found: list[Kept]) -> list[Kept]:
    """As many of each route as had the same chance: what was likelier to be kept is thinned, always in the same way."""
    least: dict[str, float] = {}
    for kept in found:
        least[kept.route] = min(kept.propensity, least.get(kept.route, 1.0))
    return [kept for kept in found if _dice(kept.id) * kept.propensity < least[kept.route]]


def _dice(text: str) -> float:
    """From 0 up to 1, always the same for the same text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def labels_of(loaded: Loaded) -> Labels:
    """The pairs in the configured database. Raises StoreUnavailable."""
    from nearfar.parts.learning import labels

    return labels(loaded, loaded.ledger_url)


def exists(loaded: Loaded) -> bool:
    """Whether there is a database: looking makes none."""
    url = loaded.ledger_url
    return not url.startswith(_SQLITE) or Path(url.removeprefix(_SQLITE)).exists()


def _write(out: Path, found: list[Kept]) -> None:
    """Whole, or not at all, and for its owner alone."""
    beside = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        # A file or link that lies there already was laid by somebody else, who could read it.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for kept in found:
                file.write(msgspec.json.encode(_line(kept)) + b"\n")
        beside.replace(out)
    except FileExistsError as error:
        raise UsageError(f"{beside} is in the way.", hint="Remove it, or write to a folder of your own.") from error
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from error


def _line(kept: Kept) -> dict[str, object]:
    """One label, as ``tuning.labels`` reads it."""
    content, scores = kept.content, kept.scores
    assert scores is not None  # others are not written
    return {
        "id": kept.id,
        "prompt": content.prompt,
        "answer_type": content.kind,
        "task": kept.route,
        "local": {"score": scores.near, "answer": content.near.text},
        "cloud": {"score": scores.far, "answer": content.far.text},
    }
