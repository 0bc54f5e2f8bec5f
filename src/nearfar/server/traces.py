"""Tells of failures without the words of their exceptions, which may quote what somebody sent. It knows no log.

Which exceptions, and where in the code they were raised, is told in full; of the system's own errors also their number
and its meaning.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from nearfar.core.errors import NearfarError

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
_DEPTH = 8
"""Exceptions of one chain that are told of."""


def told(error: BaseException) -> str:
    """``error`` with its causes, as tracebacks without their words."""
    parts: list[str] = []
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen and len(seen) < _DEPTH:
        seen.add(id(at))
        frames = "".join(traceback.format_tb(at.__traceback__))
        head = f"Traceback (most recent call last):\n{frames}" if frames else ""
        parts.append(f"{head}{_name(at)}\n")
        if at.__cause__ is not None:
            parts.append(_CAUSE)
            at = at.__cause__
        elif at.__context__ is not None and not at.__suppress_context__:
            parts.append(_CONTEXT)
            at = at.__context__
        else:
            break
    if parts and parts[-1] in {_CAUSE, _CONTEXT}:
        parts.pop()
    return "".join(reversed(parts)).rstrip("\n")


def _name(error: BaseException) -> str:
    name = type(error).__qualname__
    if isinstance(error, NearfarError):
        return f"{name} ({error.code})"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: [Errno {error.errno}] {error.strerror}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name} of {', '.join(_name(each) for each in error.exceptions)}"
    return f"{name} (its words are left out: they may quote a request)"


def watch() -> None:
    """From now on this process tells of what nobody caught in the same way, and asyncio of tasks that nobody awaits.

    For processes that serve: it changes the interpreter's own hooks.
    """
    loops = logging.getLogger("asyncio")
    loops.handlers[:] = logging.getLogger("nearfar").handlers
    loops.filters[:] = [FirstLine()]
    loops.propagate = False
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _write(head: str, error: BaseException | None) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{head}{'' if error is None else told(error)}\n")


def _uncaught(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    del kind, at
    if not isinstance(error, KeyboardInterrupt):
        _write("", error)


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    _write("Nobody could be told of this:\n", found.exc_value)


def _in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_type is not SystemExit:
        _write("In a thread:\n", found.exc_value)


class FirstLine(logging.Filter):
    """Keeps the first line of a record: asyncio writes what a task holds, its exception too, into the others."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass, shorter."""
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
        return True
