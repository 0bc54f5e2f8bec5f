"""In the child of ``eval_code``: runs a model's code, then tests, and says so when both are through. It scores nothing.

The tests and the mark are not here while the code runs: the parent hands out the tests when the code has ended, and
the mark when the tests have. What a process does can always be done by code inside it, so code that is written against
this very file can claim what is not true; code that reads its own file, its frames, its arguments or its environment
finds nothing to claim it with, and code that ends early has said nothing.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from pathlib import Path
from typing import Final

CODE_ENDED: Final = b"c"
TESTS_ENDED: Final = b"t"
MARK: Final = 32
"""Characters of the mark that the parent hands out at last and wants back."""
MOST: Final = 16 << 20
"""Bytes of tests."""


def main(program: str, tests: int, ask: int, hear: int) -> None:
    """Run ``program``, then what is in ``tests`` once the parent has been told. All others are descriptors."""
    # What the code replaces in these modules must not speak for it by accident.
    read, pread, write, execute, translate = os.read, os.pread, os.write, exec, compile
    for descriptor in (tests, ask, hear):
        os.set_inheritable(descriptor, False)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=program, __builtins__=builtins)
    sys.modules["__main__"] = module
    sys.argv = [program]
    code = Path(program).read_text(encoding="utf-8")
    execute(translate(code, program, "exec", dont_inherit=True), module.__dict__)
    write(ask, CODE_ENDED)
    read(hear, 1)
    code = pread(tests, MOST, 0).decode()
    execute(translate(code, "tests.py", "exec", dont_inherit=True), module.__dict__)
    write(ask, TESTS_ENDED)
    write(ask, read(hear, MARK))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
