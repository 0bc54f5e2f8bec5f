"""The one list of paths: each leads to a handler, and none twice."""

from __future__ import annotations

import subprocess
import sys

from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.routes import ROUTES, find


def test_every_path_answers_to_one_handler_per_method() -> None:
    known = [(route.method, route.path, route.dialect) for route in ROUTES]
    assert len(set(known)) == len(known)
    assert {route.path for route in ROUTES if route.open} == {"/", "/livez", "/readyz"}


def test_handlers_share_one_shape() -> None:
    for route in ROUTES:
        names = list(find(route).__annotations__)
        assert names[:3] == ["gateway", "http", "response"], route
    assert HttpRequest.__struct_fields__[0] == "method"
    assert HttpResponse.__slots__


def test_a_dialect_is_imported_when_it_is_spoken() -> None:
    code = (
        "import sys, nearfar.server.run; print([name for name in sys.modules if 'gemini' in name or 'bedrock' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
