"""What ``nearfar router certify --out`` writes: a certificate that a gateway reads. It certifies nothing itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.cli import output
from nearfar.cli.errors import UsageError

if TYPE_CHECKING:  # numpy is an extra, and only loaded when a command runs
    from nearfar.tuning.certificate import Certificate
    from nearfar.tuning.labels import Label
    from nearfar.tuning.metrics import Array
    from nearfar.tuning.saved import Kept


def trusted(kept: Kept, labels: list[Label]) -> tuple[list[Label], Array]:
    """The prompts that the router trusts itself with, and their gaps: a gateway leaves the others to the strategy."""
    import numpy as np

    from nearfar.tuning import router

    if kept.router.labels < router.TRUSTED:
        raise UsageError(
            f"The router has {kept.router.labels} labels; a gateway follows one from {router.TRUSTED} on.",
            hint="Fit it on more, and certify it on others.",
        )
    scored = [router.score(kept.router, item.prompt, embedding=item.embedding or None) for item in labels]
    found = [item for item, said in zip(labels, scored, strict=True) if said.trusted]
    if not found:
        raise UsageError("All of these prompts are unlike those that the router was fitted on.")
    if len(found) < len(labels):
        left = len(labels) - len(found)
        output.note(f"note: {left} of {len(labels)} prompts are left out: unlike the router's, so not decided by it")
    return found, np.array([said.gap for said in scored if said.trusted])


def write(out: Path, router: Path, results: list[Certificate]) -> None:
    """Write the only result for ``router``, if it promises something."""
    from nearfar.tuning import certified

    if len(results) > 1:
        raise UsageError(
            f"The labels hold {len(results)} groups, and a route takes one certificate.",
            hint="Give the labels of one group.",
        )
    found = results[0]
    if not found.certified or found.threshold is None or found.bound is None or found.observed is None:
        output.note(f"note: {out} is not written: nothing can be promised")
        return
    try:
        certified.write(
            out,
            certified.Certified(
                router=certified.digest(router),
                date=time.strftime("%Y-%m-%d", time.gmtime()),
                threshold=found.threshold,
                loss=found.loss,
                confidence=found.confidence,
                pairs=found.pairs,
                bound=found.bound,
                observed=found.observed,
                local_share=found.local_share,
                group=found.group,
            ),
        )
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from error
