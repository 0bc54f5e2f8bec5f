"""``nearfar run``: one question, its answer on standard output, and what happened on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError
from nearfar.cli.state import ConfigFile, Json, Quiet, Sets, Url, of

if TYPE_CHECKING:  # a session is only needed when a command runs
    from nearfar.cli.session import Session, Turn

MAX_STDIN = 32 * 1024 * 1024

Model = Annotated[str, typer.Argument(help="auto, local, cloud, a route, or a deployment (`nearfar models ls`).")]
System = Annotated[str, typer.Option("--system", "-s", help="Instructions for the model.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="The longest answer, in tokens.")]
Temperature = Annotated[float | None, typer.Option("--temperature", min=0, help="How freely words are chosen.")]
ClassName = Annotated[
    str,
    typer.Option("--class", metavar="CLASS", help="public, internal, confidential or restricted: how far it may go."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Always say where it ran, why, and what it took.")]


def run(
    ctx: typer.Context,
    model: Model,
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

    loaded = of(ctx).load(config, sets)
    text = read_stdin() if prompt == "-" else prompt
    check_class(class_)
    body = request(model, [message("user", text)], system, max_tokens, temperature)
    screen = Screen(silent=json)
    try:
        with open_session(loaded, url) as session:
            turn = session.ask(body, class_=class_, show=screen.show)
    finally:
        screen.end_line()
    turn = session.account(turn)
    if json:
        output.json(described(turn, session))
        return
    if verbose or (not quiet and output.is_terminal(sys.stderr)):
        output.note(summary(turn.answer, turn.headers, turn.milliseconds))


def request(
    model: str,
    messages: list[dict[str, object]],
    system: str = "",
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> dict[str, object]:
    """A chat request in OpenAI's dialect, streamed and counted."""
    told = [message("system", system)] if system else []
    body: dict[str, object] = {
        "model": model,
        "messages": [*told, *messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if temperature is not None:
        body["temperature"] = temperature
    return body


def message(role: str, text: str) -> dict[str, object]:
    """One message of a chat."""
    return {"role": role, "content": text}


def check_class(name: str) -> None:
    """Refuse a class nobody knows before anything is sent."""
    from nearfar.core.places import Class

    try:
        _ = Class.parse(name) if name else None
    except ValueError as error:
        raise UsageError(f"--class: {error}.") from error


def read_stdin() -> str:
    """The question from standard input."""
    if output.is_terminal(sys.stdin):
        raise UsageError("There is no question.", hint='nearfar run MODEL "…", or pipe it in.')
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise UsageError(f"The question is longer than {MAX_STDIN} bytes.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"Standard input is not UTF-8 (byte {error.start}).") from None
    if not text.strip():
        raise UsageError("The question on standard input is empty.", hint='nearfar run MODEL "…"')
    return text


class Screen:
    """Shows an answer as it comes: made harmless for a terminal, untouched for a pipe."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._last = ""

    def show(self, text: str) -> None:
        """A piece of the answer."""
        if text and not self._silent:
            sys.stdout.write(output.clean(text) if output.is_terminal(sys.stdout) else text)
            sys.stdout.flush()
            self._last = text

    def end_line(self) -> None:
        """A line break after an answer, or what there is of one, that brought none itself."""
        if self._last and not self._last.endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._last = ""


def described(turn: Turn, session: Session) -> dict[str, object]:
    """The turn as one stable object."""
    from nearfar.cli.answer import facts

    return {"answer": turn.text, **facts(turn.answer, turn.headers, turn.milliseconds), "answered_at": session.where}
