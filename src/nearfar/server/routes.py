"""What an endpoint is to the application: a method, a path, a handler. It knows no endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from nearfar.build import Gateway
from nearfar.server.dialects import Dialect
from nearfar.server.http import HttpRequest, HttpResponse

Handler = Callable[[Gateway, HttpRequest, HttpResponse], Awaitable[None]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path, or every path below it when it ends with a slash."""

    method: str
    path: str
    handler: Handler
    dialect: Dialect | None = None
    """Only for requests in this dialect, where several claim the path; None: for everybody else."""
    open: bool = False
    """Whether it answers without a key even where keys are required."""
