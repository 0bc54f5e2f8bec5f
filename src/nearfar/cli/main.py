"""The command ``nearfar``: hands arguments and environment to a command and turns errors into exit codes."""

from __future__ import annotations

import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence


def main() -> None:
    """The entry point of the installed command."""
    if sys.stdout is None:  # whoever started us has closed it: what is opened next must not take its place
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - it stays open, and main imports no pathlib
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A locale that lacks a character of an answer (or our own arrow) costs that character, not the command.
        sys.stdout.reconfigure(errors="replace")
    try:
        code = run(sys.argv[1:], os.environ)
        sys.stdout.flush()
    except OSError as error:
        if not _is_output(error):
            raise
        code = _unwritten(error)
    sys.exit(code)


def run(args: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; returns its exit code. Results are on standard output, all else on standard error."""
    if list(args) in (["--version"], ["-V"]):
        from nearfar import __version__

        print(f"nearfar {__version__}")
        return 0
    return _run(args, environ)


def _run(args: Sequence[str], environ: Mapping[str, str]) -> int:
    from nearfar.cli import errors
    from nearfar.cli.state import State
    from nearfar.core.errors import NearfarError

    for number, text in enumerate(args, 1):
        if not _readable(text):
            hint = "Give it in UTF-8 (what `locale` prints ends with UTF-8 then), or on standard input."
            return errors.report(errors.UsageError(f"argument {number} is not UTF-8.", hint=hint))
    try:
        _commands()(list(args), prog_name="nearfar", obj=State(environ))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else errors.FAILED
    except NearfarError as error:
        return errors.report(error)
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except OSError as error:
        if not _is_output(error):
            raise
        return _unwritten(error)
    return errors.OK


UNWRITTEN = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What happens to standard output, which has no name, and to nothing else that a command leaves unhandled."""


def _is_output(error: OSError) -> bool:
    return error.errno in UNWRITTEN and error.filename is None


def _unwritten(error: OSError) -> int:
    """Say that standard output could not be written, unless its reader has left: that one knows."""
    from nearfar.cli import errors
    from nearfar.cli.errors import UsageError

    # Python's own flush at exit would complain about what is left in the buffer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        hint = "Make room there, or send the output elsewhere. Only a part of it was written."
        errors.report(UsageError(f"The output cannot be written: {error.strerror}.", hint=hint))
    return errors.FAILED


def _readable(text: str) -> bool:
    """Whether it can be written in UTF-8: what Python could not decode stands in it as halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@functools.cache  # a tenth of a second for the whole tree; whoever runs several commands pays for it once
def _commands() -> Callable[..., object]:
    import typer

    from nearfar.cli.app import app

    return typer.main.get_command(app)
