"""``nearfar run``: one question, its answer on standard output, and what happened on standard error."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.question import (
    NAMES,
    ClassName,
    MaxTokens,
    Screen,
    System,
    Temperature,
    Verbose,
    asking,
    message,
    read_stdin,
)
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of
from nearfar.core.errors import NoRoute, NotFoundError

if TYPE_CHECKING:  # a session is only needed when a command runs
    from nearfar.cli.session import Session, Turn

EXAMPLE = 'nearfar run auto "Who are you?"'


def run(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help=f"{NAMES}.", show_default=False)] = "",
    prompt: Annotated[str, typer.Argument(help="The question; without it, or with -, standard input.")] = "-",
    system: System = "",
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    class_: ClassName = "",
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Ask one question. A running gateway answers it; without one, nearfar answers in this process."""
    from nearfar.cli.answer import summary
    from nearfar.cli.session import open_session

    _check_model(model, prompt)
    loaded = of(ctx).load(config, sets)
    put = asking(model, system=system, max_tokens=max_tokens, temperature=temperature, class_=class_)
    text = read_stdin(f'nearfar run {shlex.quote(model)} "…"') if prompt == "-" else prompt
    screen = Screen(silent=json)
    try:
        with open_session(loaded, url) as session:
            turn = session.ask(put.body([message("user", text)]), class_=class_, show=screen.show)
    except (NoRoute, NotFoundError) as error:
        if looks_like_a_question(model):
            error.hint = f"The model comes first: {EXAMPLE}"
        raise
    finally:
        screen.end_line()
    turn = session.account(turn)
    if json:
        output.json(described(turn, session))
        return
    if verbose or (not quiet and output.is_terminal(sys.stderr)):
        output.note(summary(turn.answer, turn.headers, turn.milliseconds))


def _check_model(model: str, prompt: str) -> None:
    """Refuse a command line that has no model, or has the question in its place."""
    if not model.strip():
        raise UsageError("There is no model. It comes first, before the question.", hint=EXAMPLE)
    if not prompt.strip():
        raise UsageError("The question is empty.", hint=EXAMPLE)
    if prompt == "-" and looks_like_a_question(model) and output.is_terminal(sys.stdin):
        raise UsageError(
            f"{model!r} stands where the model belongs. The model comes first, before the question.",
            hint=f"nearfar run auto {shlex.quote(model)}",
        )


def looks_like_a_question(model: str) -> bool:
    """Whether a person surely did not mean a model: names may hold much, but hardly this."""
    return " " in model.strip() or model.endswith(("?", "？"))  # noqa: RUF001  people ask in every script


def described(turn: Turn, session: Session) -> dict[str, object]:
    """The turn as one stable object."""
    from nearfar.cli.answer import facts

    return {"answer": turn.text, **facts(turn.answer, turn.headers, turn.milliseconds), "answered_at": session.where}
