"""Failures are told with their place and without their words, by whomever they are told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nearfar.core.errors import UpstreamError
from nearfar.server.traces import told

CANARY = "canary-7f3a"


def fail(error: BaseException, cause: BaseException | None = None) -> None:
    if cause is not None:
        raise error from cause
    raise error


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    with pytest.raises(type(error)) as found:
        fail(error, cause)
    return found.value


def fail_while_handling(*, hidden: bool) -> None:
    try:
        int(CANARY)
    except ValueError:
        if hidden:
            raise TypeError(CANARY) from None
        raise TypeError(CANARY)  # noqa: B904 - that is what is tested


def test_the_place_and_the_causes_without_their_words() -> None:
    first = raised(KeyError(CANARY))
    text = told(raised(UpstreamError(CANARY, code="bad_reply"), first))
    assert CANARY not in text
    assert text.index("KeyError (its words are left out") < text.index("UpstreamError (bad_reply)")
    assert text.count("in fail") == 2
    assert "direct cause" in text


def test_what_was_being_handled_is_told_and_a_circle_ends() -> None:
    for hidden in (True, False):
        with pytest.raises(TypeError) as found:
            fail_while_handling(hidden=hidden)
        text = told(found.value)
        assert ("During handling" in text) == ("ValueError" in text) == (not hidden)
        assert CANARY not in text
    one, two = ValueError(CANARY), ValueError(CANARY)
    one.__cause__, two.__cause__ = two, one
    assert CANARY not in told(one)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", CANARY), "OSError: [Errno 28] No space left on device"),
        (OSError(CANARY), "OSError (its words"),
        (ExceptionGroup(CANARY, [ValueError(CANARY), OSError(5, "I/O")]), "ValueError (its words are left out"),
    ],
)
def test_what_is_said_of_some(error: BaseException, said: str) -> None:
    assert said in told(error)
    assert CANARY not in told(error)


PROGRAM = """
import asyncio, sys, threading
from nearfar.server import log, traces
from nearfar.settings.model import Log
log.configure(Log(format="json"))
traces.watch()

class Odd:
    def __del__(self): raise ValueError("canary-7f3a")
    def __repr__(self): return "canary-7f3a"

async def fails():
    raise ValueError("canary-7f3a")

async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

thread = threading.Thread(target=lambda: int("canary-7f3a"))
thread.start()
thread.join()
Odd()
%s
import gc; gc.collect()
raise KeyError("canary-7f3a")
"""


@pytest.mark.parametrize("loop", ["asyncio.run(main())", "import uvloop; uvloop.run(main())"])
def test_what_nobody_catches_is_told_in_the_same_way(loop: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % loop], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    for said in ("In a thread:", "Nobody could be told", "never retrieved", "KeyError (its words are left out"):
        assert said in done.stderr, done.stderr
    assert CANARY not in done.stderr.replace('int("canary-7f3a")', "").replace('("canary-7f3a")', ""), done.stderr
