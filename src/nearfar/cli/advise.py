"""``nearfar advise``: local, cloud or both, with the arithmetic. It asks nobody on the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, State, of
from nearfar.core.errors import NearfarError

if TYPE_CHECKING:  # the advisor's room is only needed when the command runs
    from nearfar.advisor.assumptions import Assumptions, Box
    from nearfar.advisor.options import Case
    from nearfar.advisor.report import Page, Section
    from nearfar.advisor.rig import Rig
    from nearfar.advisor.words import Words
    from nearfar.advisor.workload import Workload

Quality = Literal["simple", "solid", "best"]
_TAIWAN = dict.fromkeys(("zh-tw", "zh-hant", "zh-hant-tw", "zh-hk", "zh", "tw"), "zh-Hant")
"""What else people call the second language."""
_ASKED: dict[str, str] = {
    "calls": "20000",
    "input": "1000",
    "output": "300",
    "stay": "y",
    "offline": "y",
    "quality": "solid",
    "zh_tw": "n",
    "hardware": "",
    "peak": "3",
}
"""What is asked on a terminal, in this order, and what an empty answer means; the words are ``ask_…``."""


def advise(
    ctx: typer.Context,
    calls: Annotated[float | None, typer.Option("--calls", help="Calls a month.")] = None,
    tokens_in: Annotated[float | None, typer.Option("--input", help="Tokens of a prompt, on average.")] = None,
    tokens_out: Annotated[float | None, typer.Option("--output", help="Tokens of a visible answer.")] = None,
    reasoning: Annotated[float | None, typer.Option("--reasoning", help="Tokens of thinking before it.")] = None,
    cached: Annotated[
        float | None, typer.Option("--cached", help="Share of prompts read from a cache, 0 to 1.")
    ] = None,
    batch: Annotated[float | None, typer.Option("--batch", help="Share of calls that may wait, 0 to 1.")] = None,
    hours: Annotated[float | None, typer.Option("--hours", help="Hours a month with calls (office: 176).")] = None,
    peak: Annotated[float | None, typer.Option("--peak", help="Busiest hour as a multiple of the mean.")] = None,
    private: Annotated[
        float | None, typer.Option("--private", help="Share of calls that may not leave, 0 to 1.")
    ] = None,
    workload: Annotated[Path | None, typer.Option("--workload", help="A TOML file with all of these.")] = None,
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="Calls, sizes, hours, classes as recorded.")
    ] = False,
    since: Annotated[str, typer.Option("--since", help="With --from-ledger: from when, such as 30d.")] = "",
    stay: Annotated[bool, typer.Option("--stay", help="No content may leave.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="There is no network.")] = False,
    quality: Annotated[str, typer.Option("--quality", help="simple, solid or best.")] = "solid",
    zh_tw: Annotated[bool, typer.Option("--zh-tw", help="Traditional Chinese is needed.")] = False,
    vision: Annotated[bool, typer.Option("--vision", help="Images are needed.")] = False,
    tools: Annotated[bool, typer.Option("--tools", help="Tool calls are needed.")] = False,
    finetune: Annotated[bool, typer.Option("--finetune", help="A model of one's own.")] = False,
    prototype: Annotated[bool, typer.Option("--prototype", help="It must stand this week; nothing is bought.")] = False,
    operator: Annotated[bool, typer.Option("--operator/--no-operator", help="Somebody looks after machines.")] = True,
    use: Annotated[str, typer.Option("--use", help='What the licence must allow: "commercial, EU, 2M users".')] = "",
    hardware: Annotated[
        str, typer.Option("--hardware", help="The machine that is there: 2x RTX 3090; `here` is this one.")
    ] = "",
    buy: Annotated[str, typer.Option("--buy", help="The machine that would be bought (--list shows them).")] = "",
    capex: Annotated[float | None, typer.Option("--capex", min=0, help="Its price in USD.")] = None,
    cloud: Annotated[str, typer.Option("--cloud", metavar="PROVIDER/MODEL", help="What to compare with.")] = "",
    tariff: Annotated[
        str, typer.Option("--tariff", help="Electricity: tw-average, tw-business, tw-home.")
    ] = "tw-average",
    assume: Annotated[
        list[str] | None,
        typer.Option("--assume", metavar="NAME=VALUE", help="Another parameter, money.twd_per_usd=31. Repeatable."),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Machines, tariffs and parameters; no advice.")] = False,
    language: Annotated[str, typer.Option("--lang", help="en or zh-Hant (zh-TW); default: the terminal's.")] = "",
    write: Annotated[
        Path | None, typer.Option("--write", help="Write the configuration here; it must not exist.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a report: FILE.md or FILE.html.")] = None,
    config: ConfigFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Local, cloud or both: a recommendation with its arithmetic, what would flip it, the licence and a configuration.

    Without flags it asks on a terminal. Prices, models and devices are data that came with nearfar.
    """
    from nearfar.advisor import assumptions, words
    from nearfar.advisor.advise import advise as weigh
    from nearfar.advisor.report import page
    from nearfar.catalog import second
    from nearfar.catalog.prices import shipped_source

    base = assumptions.override(assumptions.shipped(), _numbers(assume))
    if listing:
        _list(base, json=json)
        return
    said = {
        "calls": calls, "input": tokens_in, "output": tokens_out, "reasoning": reasoning, "cached_share": cached,
        "batch_share": batch, "hours": hours, "peak": peak, "private_share": private,
    }  # fmt: skip
    chosen = _language(language, of(ctx))
    answers: dict[str, str] = {}
    if not (any(value is not None for value in said.values()) or workload or from_ledger):
        answers = _interview(words.words(chosen), lambda text: _rig(ctx, config, text))
        said |= {name: _number(answers[name], name) for name in ("calls", "input", "output", "peak")}
    case = _case(
        _workload(ctx, config, said, workload, since if from_ledger else None),
        base,
        {
            "stay": stay or not _yes(answers.get("stay", "y"), "stay"),
            "offline": offline or not _yes(answers.get("offline", "y"), "offline"),
            "quality": answers.get("quality") or quality,
            "traditional_chinese": zh_tw or _yes(answers.get("zh_tw", "n"), "zh_tw"),
            "vision": vision,
            "tools": tools,
            "finetune": finetune,
            "prototype": prototype,
            "operator": operator,
            "use": use,
            "cloud": cloud,
            "tariff": tariff,
        },
        rig=_rig(ctx, config, answers.get("hardware") or hardware),
        box=_box(base, buy, capex),
    )
    found = weigh(case)
    made = page(case, found, words.words(chosen), shipped_source(), second.shipped())
    _files(made, chosen, write, report)
    if json:
        output.json({"question": case.question.workload, "language": chosen, "advice": found, "page": made})
    elif quiet:
        output.line(found.recommended)
    else:
        _print(made)


def _case(work: Workload, base: Assumptions, said: Mapping[str, object], *, rig: Rig | None, box: Box) -> Case:
    from nearfar.advisor import constants, options
    from nearfar.advisor.question import Question
    from nearfar.advisor.rig import named
    from nearfar.catalog import models, prices

    _quality(said["quality"])
    question = Question(
        workload=work,
        rig=rig,
        box=box,
        box_rig=named(box.device, gpus=box.count),
        **said,  # type: ignore[arg-type]  # names and types are those of Question
    )
    return options.case(question, base, list(models.shipped().values()), prices.shipped(), constants.shipped())


def _rig(ctx: typer.Context, config: Path | None, hardware: str) -> Rig | None:
    """The machine that is there: none, the one that was named, or this one."""
    from nearfar.cli.machine_here import rig

    if not hardware:
        return None
    return rig(of(ctx).load(config, None), "" if hardware == "here" else hardware)


def _box(base: Assumptions, name: str, capex: float | None) -> Box:
    import msgspec

    box = base.box_of(name or "rtx-5090-box")
    return box if capex is None else msgspec.structs.replace(box, capex_usd=capex)


def _workload(
    ctx: typer.Context, config: Path | None, said: Mapping[str, float | None], file: Path | None, since: str | None
) -> Workload:
    import msgspec

    from nearfar.advisor.workload import Workload, checked, read

    known = {name: value for name, value in said.items() if value is not None}
    if file is not None:
        return checked(msgspec.structs.replace(read(file), **known))
    if since is not None:
        return checked(msgspec.structs.replace(_recorded(ctx, config, since), **known))
    if "calls" not in known:
        raise UsageError(
            "How many calls a month?", hint="Example: nearfar advise --calls 20000 --input 1000 --output 300"
        )
    return checked(Workload(**known))


def _recorded(ctx: typer.Context, config: Path | None, since: str) -> Workload:
    """What the ledger holds, as a month's workload."""
    from nearfar.advisor.workload import Workload
    from nearfar.cli.usage import moment, open_ledger
    from nearfar.ledger.query import Filter
    from nearfar.ledger.traffic import traffic

    connection = open_ledger(of(ctx).load(config, None))
    try:
        found = traffic(connection, Filter(since=moment(since or "30d", "--since")))
    finally:
        connection.close()
    if found is None:
        raise UsageError("The ledger holds no answered calls of that time.", hint="Say --since 90d, or --calls N.")
    output.note(f"From {found.seen:,} calls of {found.days:.1f} days.")
    return Workload(
        calls=found.calls,
        input=found.input,
        output=found.output,
        reasoning=found.reasoning,
        cached_share=found.cached_share,
        retries=found.retries,
        hours=max(1.0, found.hours),
        peak=found.peak,
        private_share=min(1.0, found.classes.get("confidential", 0.0) + found.classes.get("restricted", 0.0)),
    )


def _interview(words: Words, machine: Callable[[str], object]) -> dict[str, str]:
    """Question → answer; one that makes no sense is asked for again. ``machine``: reads the name of one."""
    if not output.is_terminal(sys.stdin):
        raise UsageError(
            "How many calls a month?", hint="Example: nearfar advise --calls 20000 --input 1000 --output 300"
        )
    return {name: _answer(words, name, default, machine) for name, default in _ASKED.items()}


def _answer(words: Words, name: str, default: str, machine: Callable[[str], object]) -> str:
    while True:
        said: str = typer.prompt(words(f"ask_{name}"), default=default, err=True)
        try:
            if name in {"stay", "offline", "zh_tw"}:
                _yes(said, name)
            elif name == "quality":
                _quality(said)
            elif name == "hardware":
                machine(said)
            else:
                _number(said, name)
        except NearfarError as error:
            output.note(error.text)
        else:
            return said


def _quality(said: object) -> None:
    if said not in get_args(Quality):
        raise UsageError(f"--quality {said!r} is none.", hint="Use simple, solid or best.")


def _yes(answer: str, name: str) -> bool:
    """Whether an answer is yes. What is neither is not guessed at: one of these questions is about what may leave."""
    said = answer.strip().casefold()
    if said in {"y", "yes", "是", "可以", "有", "需要"}:
        return True
    if said in {"n", "no", "否", "不", "不可以", "沒有", "不需要"}:
        return False
    raise UsageError(f"{name}: {answer!r} is neither yes nor no.", hint="Answer y or n.")


def _number(text: str, name: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} is no number.", hint="Example: 20000") from error


def _numbers(assume: list[str] | None) -> dict[str, float]:
    found = {}
    for item in assume or ():
        name, separator, value = item.partition("=")
        if not separator:
            raise UsageError(f"--assume {item!r} is not NAME=VALUE.", hint="Example: --assume money.twd_per_usd=31")
        found[name.strip()] = _number(value, name.strip())
    return found


def _language(said: str, state: State) -> str:
    from nearfar.advisor.words import LANGUAGES

    if said:
        said = _TAIWAN.get(said.replace("_", "-").casefold(), said)
        if said not in LANGUAGES:
            raise UsageError(f"--lang {said!r} is none.", hint=f"Use {' or '.join(LANGUAGES)}.")
        return said
    spoken = state.environ.get("LC_ALL") or state.environ.get("LC_MESSAGES") or state.environ.get("LANG") or ""
    return "zh-Hant" if spoken.startswith(("zh_TW", "zh_HK", "zh_Hant")) else "en"


def _files(made: Page, language: str, write: Path | None, report: Path | None) -> None:
    from nearfar.advisor import html
    from nearfar.advisor.report import markdown

    if write is not None:
        _new(write, next(section.code for section in made.sections if section.code))
    if report is not None:
        makers: dict[str, Callable[[], str]] = {
            ".md": lambda: markdown(made),
            ".html": lambda: html.render(made, language),
        }
        maker = makers.get(report.suffix)
        if maker is None:
            raise UsageError(
                f"--report {report}: the name ends with .md or .html.", hint="Example: --report advice.html"
            )
        try:
            report.write_text(maker(), encoding="utf-8")
        except OSError as error:
            raise _unwritten(report, error) from error
        output.note(f"Written: {report}")


def _unwritten(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder that is there.")


def _new(path: Path, text: str) -> None:
    """Write a file that does not exist yet: somebody's configuration is not overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already.", hint="Name another file, or remove it first.") from error
    except OSError as error:
        raise _unwritten(path, error) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    output.note(f"Written: {path}. Check it with `nearfar config check --config {path}`.")


def _list(base: Assumptions, *, json: bool) -> None:
    from nearfar.advisor.assumptions import parameters

    if json:
        output.json({"boxes": base.box, "tariffs": base.tariff, "rentals": base.rental, "parameters": parameters(base)})
        return
    rows: list[tuple[object, ...]] = [(box.id, box.name, f"{box.capex_usd:,.0f} USD", box.note) for box in base.box]
    rows += [
        (each.id, each.name, f"{each.per_kwh:g} {each.currency}/kWh", f"since {each.since}") for each in base.tariff
    ]
    rows += [(name, "parameter", f"{value:g}", "") for name, value in parameters(base).items()]
    output.table(("NAME", "WHAT", "VALUE", "NOTE"), rows, drop=("NOTE",), flow=("WHAT",))


def _print(made: Page) -> None:
    output.line(made.title)
    for section in made.sections:
        if section.code or section.chart is not None or section.bars is not None:
            continue
        output.line()
        output.line(section.title)
        for text in section.lines:
            if text:
                output.line(f"  {text}")
        _rows(section)
    output.line()
    output.line(f"  {made.tail}")


def _rows(section: Section) -> None:
    table = section.table
    if table is None:
        return
    right = range(1, len(table.heads) - (1 if len(table.heads) > 2 else 0))
    # Reasons and sums are read whole or not at all: they take several lines where there is little room.
    output.table(table.heads, table.rows, right=tuple(right), flow=table.heads if len(table.heads) > 2 else ())
