"""What the commands of ``nearfar router`` share: their options, and the files they read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError

if TYPE_CHECKING:  # numpy is an extra, and only loaded when a command runs
    from nearfar.tuning.labels import Label, Read
    from nearfar.tuning.saved import Kept

Labels = Annotated[Path, typer.Option("--labels", metavar="FILE", help="Labels, one JSON object for each line.")]
Fitted = Annotated[Path | None, typer.Option("--router", metavar="FILE", help="A router that `fit` wrote.")]
Opinions = Annotated[
    str, typer.Option("--opinions", metavar="A,B", help="Models whose opinions are asked; default the first two.")
]


def _needs_numpy() -> None:
    try:
        import numpy as np
    except ImportError as error:
        raise UsageError("This needs NumPy.", hint="pip install 'nearfar[tuning]'") from error
    del np


def read_labels(path: Path) -> Read:
    """The labels, and a note on what of them is not used."""
    _needs_numpy()
    from nearfar.tuning import labels

    found = labels.read(path)
    if found.unused:
        output.note(f"note: not used in {path.name}: {', '.join(found.unused)}")
    return found


def read_router(path: Path) -> Kept:
    """A router from its file."""
    _needs_numpy()
    from nearfar.tuning import saved

    return saved.load(path)


def unseen(kept: Kept, labels: list[Label]) -> list[Label]:
    """The labels that the router was not fitted on. On the others it would only look good."""
    import numpy as np

    from nearfar.tuning.saved import marks

    old = np.isin(marks([label.prompt for label in labels]), kept.known)
    if old.all():
        raise UsageError(
            "The router was fitted on all of these prompts.", hint="Give labels that it has not seen, or no --router."
        )
    if old.any():
        output.note(f"note: {int(old.sum())} of {len(labels)} prompts are left out: the router was fitted on them")
    return [label for label, seen in zip(labels, old, strict=True) if not seen]


def answered(labels: list[Label]) -> bool:
    """Whether the near answers are there to be judged: a few may be missing, and then count as unreadable."""
    missing = sum(label.local.answer is None for label in labels)
    return missing < len(labels) / 2


def names(text: str) -> list[str]:
    """The models of an option's list."""
    return [name.strip() for name in text.split(",") if name.strip()]
