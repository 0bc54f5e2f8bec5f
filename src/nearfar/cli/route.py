"""``nearfar route``: where a request would run, and why; decided by the same function as the request itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.question import ClassName, MaxTokens, System, asking, message, read_stdin
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, of
from nearfar.core.money import usd
from nearfar.settings.load import Loaded

if TYPE_CHECKING:  # the gateway's room is only needed when the command runs
    from nearfar.core.chat import Request
    from nearfar.core.routing import Decision

app = typer.Typer(no_args_is_help=True, help="Where requests would run.")


@app.callback()
def root() -> None:
    """Where requests would run."""


@app.command("explain")
def explain(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="The question; without it, or with -, standard input.")] = "-",
    model: Annotated[str, typer.Option("--model", "-m", help="What a client would ask for.")] = "auto",
    system: System = "",
    max_tokens: MaxTokens = None,
    class_: ClassName = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say where a question would run, in which order, and why not elsewhere. Nothing is sent.

    Cool-downs of a running gateway are not part of it: `nearfar ps` shows those.
    """
    import asyncio

    loaded = of(ctx).load(config, sets)
    put = asking(model, system=system, max_tokens=max_tokens, class_=class_)
    text = read_stdin('nearfar route explain "…"') if prompt == "-" else prompt
    body = put.body([message("user", text)])
    asked, decision = asyncio.run(_decide(loaded, msgspec.json.encode(body), class_))
    told = described(asked, decision)
    if json:
        output.json(told)
    elif quiet:
        for item in decision.ranked:
            output.line(item.candidate.deployment.name)
    else:
        _print(asked, decision)
    if not decision.ranked:
        raise typer.Exit(1)


async def _decide(loaded: Loaded, body: bytes, class_: str) -> tuple[Request, Decision]:
    from nearfar.cli import look
    from nearfar.core.places import Class
    from nearfar.gateway.decider import Said
    from nearfar.wire.openai_chat import CLIENT

    async with look.gateway(loaded) as gateway:
        asked = CLIENT.parse(body, "req-explain")
        route = await gateway.fleet.find(asked.model)
        said = Said(header=Class.parse(class_) if class_ else None)
        decision, _ = gateway.decider.decide(asked, route, said)
        return asked, decision


def described(asked: Request, decision: Decision) -> dict[str, object]:
    """The decision as one stable object; money is in nano-USD, an upper bound."""
    from nearfar.core.money import upper_bound
    from nearfar.gateway.attempt import output_limit

    ranked = []
    for item in decision.ranked:
        deployment = item.candidate.deployment
        ranked.append(
            {
                "deployment": deployment.name,
                "provider": deployment.provider,
                "model": deployment.model,
                "place": deployment.place.label,
                "place_source": deployment.place_source,
                "state": item.candidate.state,
                "reason": item.reason,
                "price": deployment.price.id if deployment.price else "",
                "upper_bound": upper_bound(deployment.price, asked.input_tokens, output_limit(asked, deployment)),
            }
        )
    return {
        "asked": asked.model,
        "route": decision.route,
        "strategy": decision.strategy,
        "policy": decision.policy,
        "class": decision.class_.label,
        "class_reason": decision.class_reason,
        "furthest": decision.furthest.label,
        "input_tokens_estimate": asked.input_tokens,
        "ranked": ranked,
        "rejected": decision.rejected,
    }


def _print(asked: Request, decision: Decision) -> None:
    from nearfar.core.money import upper_bound
    from nearfar.gateway.attempt import output_limit

    output.line(
        f"{asked.model} → route {decision.route}, {decision.strategy}; "
        f"class {decision.class_.label} (by {decision.class_reason}) may go as far as {decision.furthest.label}; "
        f"about {asked.input_tokens} tokens of prompt"
    )
    rows: list[tuple[object, ...]] = []
    for number, item in enumerate(decision.ranked, 1):
        deployment = item.candidate.deployment
        bound = upper_bound(deployment.price, asked.input_tokens, output_limit(asked, deployment))
        where = f"{deployment.place.label} ({deployment.place_source})"
        rows.append((number, deployment.name, where, f"at most {usd(bound)}" if bound else usd(bound), item.reason))
    rows += [("-", item.deployment, "", "", f"no: {item.reason}") for item in decision.rejected]
    output.table(("", "DEPLOYMENT", "PLACE", "COST", "WHY"), rows, drop=("COST",), flow=("WHY",))
    if not decision.ranked:
        output.note("Nothing may be tried. `nearfar doctor` shows what was found.")
