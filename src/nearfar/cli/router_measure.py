"""``nearfar router eval``, ``cascade`` and ``certify``: figures from labels. They fit nothing that is kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output, router_certificate
from nearfar.cli.errors import UsageError
from nearfar.cli.router_files import Fitted, Labels, Opinions, answered, names, read_labels, read_router, unseen
from nearfar.cli.state import Json, Quiet

if TYPE_CHECKING:  # numpy is an extra, and only loaded when a command runs
    from nearfar.tuning.answers import Seen
    from nearfar.tuning.certificate import Certificate
    from nearfar.tuning.evaluate import Report
    from nearfar.tuning.labels import Label
    from nearfar.tuning.metrics import Array, Interval

_FEWEST = 100
"""Prompts that five folds need."""
_NOTES = {
    "apgr": "random 0.5; the whole gap at once would be 1",
    "cpt50": "share of far calls for half the gap",
    "cpt80": "for four fifths of it",
    "calls95": "for 95 % of far's quality",
    "calls98": "for 98 %",
}


def evaluated(labels: Labels, router: Fitted = None, json: Json = False, quiet: Quiet = False) -> None:
    """How good is it to choose from the prompt alone? Without --router: five folds, each judged by the others."""
    found = read_labels(labels).labels
    from nearfar.tuning import evaluate

    if router is not None:
        kept = read_router(router)
        found = unseen(kept, found)
        score, how = evaluate.scores(kept.router, found), f"router {router.name}"
    else:
        _enough(found)
        score, how = evaluate.crossed(found), f"{evaluate.FOLDS} folds"
    _told({"prompt alone": evaluate.report(score, found)}, how, json=json, quiet=quiet)


def cascade(
    labels: Labels,
    router: Fitted = None,
    opinions: Opinions = "",
    trained: Annotated[
        bool, typer.Option("--trained", help="Also learn from the answers: five folds, each judged by the others.")
    ] = False,
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="Confidence to keep an answer.")] = 0.5,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the gateway's own decisions over recorded answers: how good is it to look at the near answer first?"""
    found = read_labels(labels).labels
    from nearfar.policy.cascade import Rules
    from nearfar.tuning import evaluate
    from nearfar.tuning.answers import verdict

    kept = None if router is None else read_router(router)
    if kept is not None:
        found = unseen(kept, found)
    models, judged = judge(found, names(opinions), kept.router.answers.models if kept and kept.router.answers else None)
    rules = Rules(threshold=threshold)
    doubt = _doubt(judged)
    reports = {"untrained": evaluate.report(doubt, found)}
    if kept is not None:
        if kept.router.answers is None:
            raise UsageError("This router learned nothing from answers.", hint="Fit it on labels with local.answer.")
        reports["trained"] = evaluate.report(evaluate.scores(kept.router, found, judged), found)
    elif trained:
        _enough(found)
        reports["trained"] = evaluate.report(evaluate.crossed(found, judged, models), found)
    stays = [verdict(item, rules).action == "keep" for item in judged]
    bill = evaluate.spent(found, judged, models, stays)
    asked = f"opinions of {', '.join(models)}" if models else "no opinions"
    more = {"opinions": models, "threshold": threshold, "at_threshold": bill}
    _told(reports, asked, json=json, quiet=quiet, more=more)
    if not json and not quiet:
        cost = "not known (give cost for local, cloud and opinions)" if bill.cost is None else f"{bill.cost:.1%}"
        output.line()
        output.line(f"at threshold {threshold:g}, untrained: {bill.kept:.1%} kept near, quality {bill.quality:.3f}")
        output.line(f"  {bill.opinions:.2f} opinions for each prompt; whole cost, of always far: {cost}")


def certified(
    labels: Labels,
    loss: Annotated[float, typer.Option("--loss", help="Quality that may be lost against always far, 0 to 1.")] = 0.05,
    confidence: Annotated[float, typer.Option("--confidence", help="How sure that must be, 0 to 1.")] = 0.9,
    router: Fitted = None,
    opinions: Opinions = "",
    prompt_only: Annotated[
        bool, typer.Option("--prompt-only", help="Decide before the near answer, though answers are there.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write what a route's router.certificate takes.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What can be promised: the threshold, the bound on the loss, and the share of prompts that stays near.

    Judged by the router if one is given; else by the untrained cascade where near answers are recorded; else half of
    the labels fit a router and the others certify it. Exits with 1 when some group cannot be certified.

    With --out, the prompt alone is certified for --router, and written for the gateway: it belongs to this very file.
    """
    if not (0 < loss < 1 and 0 < confidence < 1):
        raise UsageError("--loss and --confidence lie between 0 and 1.", hint="Example: --loss 0.05 --confidence 0.9")
    if out is not None and router is None:
        raise UsageError("--out needs --router: a certificate belongs to one router file.")
    found = read_labels(labels).labels
    from nearfar.tuning import certificate, evaluate

    judged: list[Seen] | None = None
    if router is not None:
        kept = read_router(router)
        found = unseen(kept, found)
        after = kept.router.answers if answered(found) and not prompt_only and out is None else None
        if after is not None:
            judged = judge(found, names(opinions), after.models)[1]
        if out is not None:
            found, score = router_certificate.trusted(kept, found)
        else:
            score = evaluate.scores(kept.router, found, judged)
        how = f"router {router.name}, {'near answers judged' if after else 'prompt alone'}"
    elif answered(found) and not prompt_only:
        models, judged = judge(found, names(opinions), None)
        score = _doubt(judged)
        how = f"untrained cascade, opinions of {', '.join(models) or 'nobody'}"
    else:
        found, score = _halved(found)
        how = "a router fitted on the other half of the labels, prompt alone"
    groups: dict[str, list[int]] = {}
    for at, label in enumerate(found):
        groups.setdefault(label.group, []).append(at)
    lost = [max(0.0, label.cloud.score - label.local.score) for label in found]
    results = [
        certificate.certify(
            [float(score[at]) for at in rows], [lost[at] for at in rows], loss=loss, confidence=confidence, group=name
        )
        for name, rows in sorted(groups.items())
    ]
    if out is not None and router is not None:
        router_certificate.write(out, router, results)
    _promised(results, how, cascade=how.startswith("untrained"), json=json, quiet=quiet)
    if not all(item.certified for item in results):
        raise typer.Exit(1)


def judge(found: list[Label], wanted: list[str], learned: list[str] | None) -> tuple[list[str], list[Seen]]:
    """The models whose opinions are asked, and all prompts judged. A router's own models go before the wish."""
    from nearfar.policy.cascade import Rules
    from nearfar.tuning import evaluate
    from nearfar.tuning.answers import chosen

    if not answered(found):
        raise UsageError("Most lines have no local.answer.", hint="The cascade judges answers; `eval` needs none.")
    if learned is not None and wanted and wanted != learned:
        raise UsageError(f"The router learned with opinions of {', '.join(learned) or 'nobody'}, in this order.")
    models = learned if learned is not None else chosen(found, wanted)
    return models, evaluate.judged(found, models, Rules())


def _doubt(judged: list[Seen]) -> Array:
    import numpy as np

    return 1 - np.array([item.confidence for item in judged])


def _enough(found: list[Label]) -> None:
    if len(found) < _FEWEST:
        raise UsageError(
            f"{len(found)} labels are too few for five folds.", hint=f"It takes {_FEWEST}; more are far better."
        )


def _halved(found: list[Label]) -> tuple[list[Label], Array]:
    """One half of the labels, scored by a router that was fitted on the other."""
    import numpy as np

    from nearfar.tuning import evaluate

    _enough(found)
    order = np.random.default_rng(0).permutation(len(found)).tolist()
    train, test = order[: len(found) // 2], order[len(found) // 2 :]
    fitted = evaluate.learned([found[at] for at in train], None, [])
    rest = [found[at] for at in test]
    return rest, evaluate.scores(fitted, rest)


def _told(
    reports: dict[str, Report], how: str, *, json: bool, quiet: bool, more: dict[str, object] | None = None
) -> None:
    if json:
        output.json({"how": how, **(more or {}), "reports": reports})
        return
    if quiet:
        for one in reports.values():
            output.line("" if one.apgr is None else f"{one.apgr.value:.4f}")
        return
    first = next(iter(reports.values()))
    output.line(f"{first.prompts} prompts, {how}: near {first.near:.3f}, far {first.far:.3f}")
    if first.apgr is None:
        output.line("Far is no better than near here: there is no gap to recover.")
        return
    rows: list[tuple[str, ...]] = []
    for name, about in _NOTES.items():
        rows.append((name, *(_cell(getattr(one, name)) for one in reports.values()), about))
    for name in ("cost95", "cost98"):
        cells = [getattr(one, name) for one in reports.values()]
        rows.append((name, *("never" if cell is None else f"{cell:.3f}" for cell in cells), "far cost at that point"))
    output.table(("FIGURE", *(name.upper() for name in reports), "MEANS"), rows, flow=("MEANS",))
    output.line(f"oracle {first.oracle:.3f}, longer prompts far {first.length:.3f} (apgr)")


def _cell(value: Interval | None) -> str:
    return "never" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _promised(results: list[Certificate], how: str, *, cascade: bool, json: bool, quiet: bool) -> None:
    # What a route's cascade.threshold takes: rounded down, so that the answers right at the threshold stay near.
    settings = {
        item.group: math.floor((1 - item.threshold) * 1e9) / 1e9
        for item in results
        if cascade and item.threshold is not None
    }
    if json:
        output.json({"how": how, "certificates": results, **({"cascade_threshold": settings} if cascade else {})})
        return
    for item in results:
        name = f"group {item.group}: " if item.group else ""
        if quiet:
            output.line("" if item.threshold is None else f"{item.threshold:.6f}")
        elif item.certified and item.threshold is not None:
            output.line(
                f"{name}at most {item.loss:.1%} lost, with confidence {item.confidence:.0%} ({item.pairs} pairs)"
            )
            output.line(f"  keep near up to a doubt of {item.threshold:.4f}: {item.local_share:.1%} stay near")
            if item.group in settings:
                output.line(f"  as the cascade.threshold of a route: {settings[item.group]}")
            output.line(f"  lost on these pairs {item.observed:.2%}, upper bound {item.bound:.2%}")
        else:
            output.line(f"{name}no promise of {item.loss:.1%} with {item.confidence:.0%}: {item.reason}")
            output.line("  so everything goes far, or stays near unpromised where far is forbidden")
    if not quiet:
        output.line(f"judged by: {how}")
