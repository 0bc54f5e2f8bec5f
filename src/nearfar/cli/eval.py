"""``nearfar eval``: an owner's prompts on chosen deployments, scored side by side. It changes no routing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.question import ClassName, System, Temperature, asking
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of

if TYPE_CHECKING:  # what evaluates is only needed when the command runs
    from nearfar.cli.eval_plan import Plan
    from nearfar.cli.eval_work import Done
    from nearfar.evaluation.prompts import Read
    from nearfar.evaluation.scores import Score
    from nearfar.settings.load import Loaded

_SIDES = 4
"""Deployments that are compared at a time: the judge sees every pair, in both orders."""
_OPINIONS = 2
"""As many as a cascade asks for."""


def evaluate(
    ctx: typer.Context,
    prompts: Annotated[str, typer.Argument(metavar="PROMPTS", help="JSON lines, or hf:OWNER/NAME[:CONFIG][:SPLIT].")],
    on: Annotated[list[str], typer.Option("--on", metavar="NAME", help="A deployment or route; the near one first.")],
    score: Annotated[str, typer.Option("--score", help="exact, number, choice, code, judge or auto.")] = "auto",
    judge: Annotated[str, typer.Option("--judge", metavar="NAME", help="Who compares answers, in both orders.")] = "",
    opinion: Annotated[
        list[str] | None, typer.Option("--opinion", metavar="NAME", help="Asked too, for the labels. At most two.")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=100, help="Answers for each prompt.")] = 1,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N prompts.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=256, help="Questions at a time.")] = 2,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="USD", help="Stop before it costs more.")
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="The longest answer, in tokens.")] = 1024,
    temperature: Temperature = None,
    system: System = "",
    class_: ClassName = "",
    columns: Annotated[str, typer.Option("--columns", metavar="OURS=THEIRS,…", help="Names of the source.")] = "",
    run_code: Annotated[bool, typer.Option("--run-code", help="Run the code of answers against their tests.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Report: .md, .html or .json.")] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Labels for `nearfar router`.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option("--results", metavar="FILE", help="Where answers are kept [default: NAME.results.jsonl]."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the results hold.")] = False,
    lang: Annotated[str, typer.Option("--lang", help="en or zh-TW.")] = "",
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask your prompts on deployments of your choice, score the answers, and compare.

    Every question goes the way of every request: policy, masks, ledger (purpose `eval`). Nothing is added to a prompt.
    Answers are kept in a file as they come; Ctrl-C loses none. Exits with 1 when --max-cost ended it.
    """
    from nearfar.cli import eval_page
    from nearfar.cli.eval_plan import Plan

    ceiling = _ceiling(max_cost)
    asking("", class_=class_)
    if out is not None and out.suffix not in eval_page.SUFFIXES:
        raise UsageError(f"--out {out}: the name ends with .md, .html or .json.", hint="Example: --out report.html")
    plan = Plan(
        on=on,
        opinions=opinion or [],
        judge=judge,
        score=_score(score),
        repeat=repeat,
        concurrency=concurrency,
        ceiling=ceiling,
        max_tokens=max_tokens,
        temperature=temperature,
        system=system,
        class_=class_,
        run_code=run_code,
        weigh=on[0] if labels is not None else "",
    )
    check(plan, labelled=labels is not None)
    language = _language(lang, of(ctx).environ.get("LC_ALL") or of(ctx).environ.get("LANG") or "")
    loaded = of(ctx).load(config, sets)
    read = _read(prompts, columns, limit, offline=loaded.settings.offline)
    kept = results or Path(f"{_stem(prompts)}.results.jsonl")
    done = _run(loaded, url, plan, read, prompts, kept, resume=resume)
    written = None if labels is None else _labels(labels, plan, read, done)
    if out is not None:
        eval_page.write(out, done.report, language, written)
        output.note(f"Written: {out}")
    _tell(done, language, written, json=json, quiet=quiet)
    if done.report.stopped:
        raise typer.Exit(1)


def check(plan: Plan, *, labelled: bool) -> None:
    """Refuse what makes no sense before anything is asked."""
    named = [*plan.on, *plan.opinions]
    if len(set(named)) < len(named):
        raise UsageError("--on and --opinion name somebody twice.", hint="Several answers of one: --repeat.")
    if len(plan.on) > _SIDES:
        raise UsageError(f"At most {_SIDES} deployments are compared at a time.")
    if len(plan.opinions) > _OPINIONS:
        raise UsageError(f"At most {_OPINIONS} opinions are asked.", hint="A cascade asks for no more.")
    if labelled and len(plan.on) != 2:
        raise UsageError("--labels needs two --on: the near deployment, then the far one.")
    if plan.score == "judge" and not plan.judge:
        raise UsageError("--score judge needs --judge NAME.")
    if plan.judge and len(plan.on) < 2:
        raise UsageError("A judge compares answers: name two --on.")
    if plan.judge in plan.on:
        raise UsageError(
            "The judge is one of those to be judged, and would favour its own words.", hint="Name another."
        )
    if plan.score == "code" and not plan.run_code:
        raise UsageError(
            "--score code runs what models wrote on this machine: say --run-code if you want that.",
            hint="It runs in a child process with little time and memory, as this user, without network if possible.",
        )


def _ceiling(usd: float | None) -> int | None:
    """``--max-cost`` in nano-USD."""
    from nearfar.core.money import NANO

    if usd is None:
        return None
    if not (math.isfinite(usd) and usd >= 0):
        raise UsageError("--max-cost is no amount of money.", hint="Example: --max-cost 0.50")
    return round(usd * NANO)


def _score(text: str) -> Score:
    from nearfar.evaluation.scores import SCORES

    found = next((item for item in SCORES if item == text), None)
    if found is None:
        raise UsageError(f"--score {text!r} is none.", hint=f"Use one of {', '.join(SCORES)}.")
    return found


def _language(said: str, spoken: str) -> str:
    from nearfar.evaluation.words import LANGUAGES

    if said and said not in LANGUAGES:
        raise UsageError(f"--lang {said!r} is none.", hint="Use en or zh-TW.")
    if said:
        return LANGUAGES[said]
    return "zh-Hant" if spoken.startswith(("zh_TW", "zh_HK", "zh_Hant")) else "en"


def _stem(source: str) -> str:
    from nearfar.evaluation.dataset import PREFIX

    if source.startswith(PREFIX):
        return source.removeprefix(PREFIX).strip("/").replace("/", "-").replace(":", "-")
    return Path(source).stem or "prompts"


def _read(source: str, columns: str, limit: int | None, *, offline: bool) -> Read:
    from nearfar.evaluation import dataset, prompts

    try:
        names = prompts.mapping(columns)
    except ValueError as error:
        raise UsageError(f"--columns: {error}.", hint="Example: --columns prompt=question,answer=answer") from error
    if source.startswith(dataset.PREFIX):
        found = dataset.read(dataset.reference(source), names, limit=limit, offline=offline)
    else:
        found = prompts.read(Path(source), names, limit=limit)
    if found.unused:
        output.note(f"note: not used in {source}: {', '.join(found.unused)}")
    return found


def _run(loaded: Loaded, url: str, plan: Plan, read: Read, source: str, kept: Path, *, resume: bool) -> Done:
    from nearfar.cli.eval_asking import Putting, names
    from nearfar.cli.eval_work import work
    from nearfar.cli.session import open_session
    from nearfar.evaluation.records import Book

    everybody = [*plan.on, *plan.opinions, *([plan.judge] if plan.judge else [])]
    rows = names(loaded, url, list(dict.fromkeys(everybody)))
    with Book(kept, resume=resume) as book:
        if book.known:
            output.note(f"{kept} holds {book.known} answers: what is the same is not asked again.")
        try:
            with open_session(loaded, url) as session:
                return work(
                    plan,
                    read.prompts,
                    rows,
                    book,
                    Putting(session),
                    source=source,
                    where=session.where,
                    tell=output.progress,
                )
        except KeyboardInterrupt:
            count = sum(item.heard is not None for item in book.records.values())
            output.note(f"Stopped: {count} answers are kept in {kept}. Go on with --resume.")
            raise


def _labels(path: Path, plan: Plan, read: Read, done: Done) -> Path:
    from nearfar.cli import eval_labels

    near, far = plan.on
    made = eval_labels.labels(read.prompts, near, far, plan.opinions, done.scores, done.first)
    eval_labels.write(path, made)
    output.note(f"Written: {path}, {len(made)} labels of {len(read.prompts)} prompts")
    return path


def _tell(done: Done, language: str, labels: Path | None, *, json: bool, quiet: bool) -> None:
    from nearfar.cli import eval_page

    if json:
        output.json(done.report)
    elif quiet:
        for side in done.report.sides:
            output.line(f"{side.name} {'-' if side.score is None else f'{side.score.value:.4f}'}")
    else:
        eval_page.show(eval_page.page(done.report, language, labels, short=True))
