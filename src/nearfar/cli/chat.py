"""``nearfar chat``: a conversation in the terminal. It keeps it in memory and nowhere else."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.question import (
    NAMES,
    Asking,
    ClassName,
    MaxTokens,
    Screen,
    System,
    Temperature,
    Verbose,
    asking,
    message,
)
from nearfar.cli.state import ConfigFile, Quiet, Sets, Url, of
from nearfar.core.errors import NearfarError

if TYPE_CHECKING:  # a session is only needed when a command runs
    from nearfar.cli.session import Session

HELP = "/new forgets the conversation, /model NAME changes the model, Ctrl-C stops an answer, /bye (or Ctrl-D) ends."


def chat(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help=f"{NAMES}.")] = "auto",
    system: System = "",
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    class_: ClassName = "",
    url: Url = "",
    config: ConfigFile = None,
    sets: Sets = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Talk with a model. A running gateway answers; without one, nearfar answers in this process."""
    from nearfar.cli.session import open_session

    loaded = of(ctx).load(config, sets)
    put = asking(model, system=system, max_tokens=max_tokens, temperature=temperature, class_=class_)
    told = verbose or (not quiet and output.is_terminal(sys.stderr))
    with open_session(loaded, url) as session:
        output.progress(f"{model} at {session.where}. {HELP}")
        Talk(session, put, told=told).run()


class Talk:
    """One conversation; its history is sent again with every turn."""

    def __init__(self, session: Session, put: Asking, *, told: bool) -> None:
        self._session = session
        self._put = put
        self._told = told
        self._history: list[dict[str, object]] = []

    def run(self) -> None:
        """Read lines until the end of input. An error ends a turn, not the conversation, unless nobody is there."""
        people = output.is_terminal(sys.stdin)
        if people:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - its import alone gives input() editing and history
        while True:
            try:
                line = input("> " if people else "").strip()
            except EOFError:
                return
            except KeyboardInterrupt:
                if not people:
                    raise
                output.note("")  # the shell's prompt begins on a line of its own
                return
            if line in {"/bye", "/exit", "/quit"}:
                return
            if line.startswith("/"):
                self._command(line)
            elif line:
                self._turn(line, people=people)

    def _turn(self, line: str, *, people: bool) -> None:
        from nearfar.cli.answer import summary

        messages = [*self._history, message("user", line)]
        screen = Screen()
        try:
            turn = self._session.ask(self._put.body(messages), class_=self._put.class_, show=screen.show)
        except NearfarError as error:
            screen.end_line()
            if not people:
                raise
            output.note(f"error: {error.text}")
            return
        except KeyboardInterrupt:
            screen.end_line()
            if not people:
                raise
            output.note("(stopped: this turn is forgotten)")
            return
        screen.end_line()
        self._history = [*messages, message("assistant", turn.text)]
        if self._told:
            output.note(summary(turn.answer, turn.headers, turn.milliseconds))

    def _command(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "/new":
            self._history = []
            output.note("(a new conversation)")
        elif word == "/model" and rest.strip():
            self._put = msgspec.structs.replace(self._put, model=rest.strip())
            output.note(f"(now asking {self._put.model})")
        else:
            output.note(HELP)
