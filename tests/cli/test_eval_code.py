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


CHEATS = {
    "its own file": "print(open(__file__).read(), file=__import__('sys').stderr)",
    "its frames": """
import sys
frame = sys._getframe()
while frame:
    for value in frame.f_locals.values():
        if isinstance(value, (str, bytes)):
            sys.stderr.write(value if isinstance(value, str) else value.decode('latin-1'))
    frame = frame.f_back
""",
    "its arguments": "import sys; print(*sys.orig_argv, *open('/proc/self/environ'), file=sys.stderr)",
    "the folder": "import pathlib, sys; print(*(p.read_text() for p in pathlib.Path().iterdir()), file=sys.stderr)",
    "all descriptors": """
import os
for number in range(3, 64):
    try:
        os.write(number, b'ct')
    except OSError:
        pass
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", CHEATS)
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_what_code_can_read_does_not_help_it_past_its_tests(how: str, end: str) -> None:
    # Whatever of it could be said before the end is said, and then the end comes before the tests.
    ran = passes(f"{CHEATS[how]}\nimport os, sys\n{end}", TESTS)
    assert not ran.passed


@pytest.mark.slow
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_an_end_within_the_tests_is_no_end_of_the_tests(end: str) -> None:
    tests = passes(f"def double(x):\n    import os, sys\n    {end}", TESTS)
    assert (tests.passed, tests.why) == (False, "ended before its tests")


@pytest.mark.slow
def test_the_tests_are_not_there_while_the_code_runs() -> None:
    code = "import os\nseen = [os.path.exists(n) for n in ('tests.py', 'answer.py')]"
    assert passes(code, "assert seen == [False, True]").passed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["said", "tests.py", "answer.py"])
@pytest.mark.parametrize("put", ["os.mkfifo({name!r})", "os.symlink({far!r}, {name!r})", "os.chmod('.', 0o500)"])
def test_what_code_puts_into_its_folder_holds_nobody_up_and_leads_nowhere(tmp_path: Path, name: str, put: str) -> None:
    far = tmp_path / "far"
    placed = put.format(name=name, far=str(far))
    ran = passes(f"import os\nif os.path.exists({name!r}):\n    os.remove({name!r})\n{placed}\nx = 1", "assert x == 1")
    assert ran.passed, ran.why
    assert not far.exists()


@pytest.mark.slow
def test_code_is_the_main_program_to_itself() -> None:
    code = "import sys\nif __name__ == '__main__':\n    main = sys.modules['__main__']\nargs = sys.argv"
    assert passes(code, "assert main.args == [__file__]\nassert main.main is main").passed


@pytest.mark.slow
def test_what_code_leaves_running_does_not_keep_it() -> None:
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    fork = "import os, time\nif not os.fork():\n    time.sleep(60)"
    assert passes(code, "").passed
    assert passes(fork, "").passed


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
