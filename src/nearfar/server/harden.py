"""Keeps the memory and the environment of this process from its siblings. It knows neither keys nor engines."""

from __future__ import annotations

import sys

_PR_SET_DUMPABLE = 4


def hide_memory() -> bool:
    """Linux: let no process without extra rights read this one's memory and environment, where the providers' keys are.

    The embedded engine runs under the same user, often root in a container, and has given those rights up (see
    ``engine.isolate``). No core dump is written any more either. False where the system does not have it; programs
    that this process starts decide for themselves.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # here alone: what only imports the server does not pay for it

    return bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
