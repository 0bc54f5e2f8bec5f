"""What the server drags in. The time it takes is measured by bench/; which modules it loads is a fact."""

from __future__ import annotations

import subprocess
import sys

from tests.arch.source import PACKAGE

ALLOWED = frozenset({"httptools", "msgspec", "nearfar", "platformdirs", "typing_extensions", "uvloop"})
"""Third-party packages that a gateway process may load before it has seen a request."""

PROBE = """
import sys, sysconfig
before = set(sys.modules)
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
loaded = set()
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None) or ""
    if name not in before and any(file.startswith(place) for place in places):
        loaded.add(name.partition(".")[0])
print(" ".join(sorted(loaded)))
"""


def loaded(*names: str) -> set[str]:
    """Third-party packages that importing ``names`` loads in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", PROBE, *names], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_probe_sees_what_is_loaded() -> None:
    assert {"msgspec", "pydantic"} <= loaded("msgspec", "pydantic")


def test_the_server_loads_only_what_it_needs() -> None:
    rooms = [f"nearfar.server.{path.stem}" for path in sorted((PACKAGE / "server").glob("*.py")) if path.stem[0] != "_"]
    assert loaded("nearfar.server", "nearfar.build", *rooms) <= ALLOWED


def test_the_stand_in_is_light_too() -> None:
    assert loaded("nearfar.standin.program") <= {"httptools", "msgspec", "typing_extensions", "uvloop"}
