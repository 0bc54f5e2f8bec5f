"""`python -m nearfar.standin`: the stand-in as a program of its own."""

from __future__ import annotations

import sys

from nearfar.standin.program import main

sys.exit(main(sys.argv[1:]))
