"""The one place that turns an error into words on standard error and an exit code. It knows no command."""

from __future__ import annotations

import sys
from typing import Final

from nearfar.cli import output
from nearfar.core.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    NearfarError,
    PermissionDeniedError,
    UnprocessableEntityError,
)
from nearfar.settings.errors import SettingsError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
AUTH: Final = 4
INTERRUPTED: Final = 130


class UsageError(NearfarError):
    """The command line asks for something that makes no sense."""

    status = 400
    type = "invalid_request_error"
    default_code = "usage"


def exit_code(error: NearfarError) -> int:
    """0 ok, 1 failed, 2 usage or configuration, 3 not reachable, 4 authentication."""
    if isinstance(error, (SettingsError, UsageError)) or _unreadable(error):
        return USAGE
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return AUTH
    if isinstance(error, APIConnectionError):
        return UNREACHABLE
    return FAILED


def _unreadable(error: NearfarError) -> bool:
    """Whether a file that the command line names cannot be read; what it says is another matter."""
    return isinstance(error, (BadRequestError, UnprocessableEntityError)) and isinstance(error.__cause__, OSError)


def report(error: NearfarError) -> int:
    """Say what went wrong, why, and what to do next; returns the exit code."""
    if isinstance(error, SettingsError) and error.problems:
        for problem in error.problems:
            say(problem.text, problem.hint)
    else:
        say(error.message, error.hint)
    return exit_code(error)


def say(what: str, hint: str, *, warning: bool = False) -> None:
    """What is wrong, and the next step, on standard error."""
    word, colour = ("warning:", "33") if warning else ("error:", "31")
    mark = f"\x1b[{colour}m{word}\x1b[0m" if output.styled(sys.stderr) else word
    sys.stderr.write(f"{mark} {output.clean(what)}\n")
    if hint:
        sys.stderr.write(f"  {output.clean(hint)}\n")
