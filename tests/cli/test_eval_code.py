"""A model's code runs in a child with little time, little memory and no network, and what it says is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nearfar.cli.eval_code import code_of, passes

TESTS = "assert double(2) == 4"
GOOD = "Here it is:\n```python\ndef double(x):\n    return 2 * x\n```\nDone."


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (GOOD, "def double(x):\n    return 2 * x\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("x = 1", "x = 1"),
        ("```bash\npip install x\n```\n```py\nx = 1\n```\n```python\ny = 2\n```", "x = 1\n\n\ny = 2\n"),
        ("<think>```python\nx = 0\n```</think>\n```python\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1", "x = 1"),
    ],
)
def test_the_code_of_an_answer(answer: str, code: str) -> None:
    assert code_of(answer) == code


def test_right_and_wrong_code() -> None:
    assert passes(GOOD, TESTS).passed
    wrong = passes(GOOD.replace("2 * x", "3 * x"), TESTS)
    assert (wrong.passed, wrong.why) == (False, "AssertionError")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def double(x) return", "SyntaxError: expected ':'"),
        ("import sys; sys.exit(0)", "ended before its tests"),
        ("import os; os._exit(3)", "ended with 3"),
        ("x = bytearray(1 << 31)", "MemoryError"),
        ("open('big', 'wb').write(bytes(1 << 25))", "OSError: [Errno 27] File too large"),
        ("import os; print(os.environ['OPENAI_API_KEY'])", "KeyError: 'OPENAI_API_KEY'"),
    ],
)
def test_what_goes_wrong(monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    ran = passes(code, "")
    assert not ran.passed
    assert why in ran.why


@pytest.mark.slow
def test_code_that_never_ends_is_ended(tmp_path: Path) -> None:
    ran = passes("while True: pass", "", seconds=1)
    assert (ran.passed, ran.why) == (False, "took more than 1 s")


@pytest.mark.slow
def test_code_reaches_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = passes(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", "")
        # Where a system has neither way to cut the network, it is said.
        assert ran.passed == (ran.network == "shared")
