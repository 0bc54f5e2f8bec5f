"""What the commands that ask a model share: their options, the request, and the screen. It sends nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError

MAX_STDIN = 32 * 1024 * 1024

NAMES = "auto, local, cloud, a route, or a deployment (`nearfar route ls`)"
System = Annotated[str, typer.Option("--system", "-s", help="Instructions for the model.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="The longest answer, in tokens.")]
Temperature = Annotated[float | None, typer.Option("--temperature", min=0, help="How freely words are chosen.")]
ClassName = Annotated[
    str,
    typer.Option("--class", metavar="CLASS", help="public, internal, confidential or restricted: how far it may go."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Always say where it ran, why, and what it took.")]


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """How questions are put: everything about a request except its messages."""

    model: str
    system: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    class_: str = ""

    def body(self, messages: Sequence[dict[str, object]]) -> dict[str, object]:
        """A chat request in OpenAI's dialect, streamed and counted."""
        told = [message("system", self.system)] if self.system else []
        body: dict[str, object] = {
            "model": self.model,
            "messages": [*told, *messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body


def asking(
    model: str, *, system: str = "", max_tokens: int | None = None, temperature: float | None = None, class_: str = ""
) -> Asking:
    """The options of a command, checked: a class that nobody knows is refused before anything is sent."""
    from nearfar.core.places import Class

    try:
        _ = Class.parse(class_) if class_ else None
    except ValueError as error:
        raise UsageError(f"--class: {error}.") from error
    return Asking(model=model, system=system, max_tokens=max_tokens, temperature=temperature, class_=class_)


def message(role: str, text: str) -> dict[str, object]:
    """One message of a chat."""
    return {"role": role, "content": text}


def read_stdin(example: str) -> str:
    """The question from standard input; ``example`` is a command line that has one."""
    if output.is_terminal(sys.stdin):
        raise UsageError("There is no question.", hint=f"Put it at the end, or pipe it in: {example}")
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if len(data) > MAX_STDIN:
        raise UsageError(f"The question is longer than {MAX_STDIN} bytes.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"Standard input is not UTF-8 (byte {error.start}).") from None
    if not text.strip():
        raise UsageError("The question on standard input is empty.", hint=example)
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
