"""The application behind the edge: one list of routes, the admission of callers, and the refusal of everybody else.

It knows paths and headers; what a request means is the endpoints' business.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable

import msgspec

from nearfar.build import Gateway
from nearfar.core.errors import (
    AuthenticationError,
    InternalServerError,
    MethodNotAllowedError,
    NearfarError,
    NotFoundError,
    PermissionDeniedError,
)
from nearfar.gateway.exchange import error_headers
from nearfar.server import chat, models, operations
from nearfar.server.http import Headers, HttpRequest, HttpResponse
from nearfar.settings.model import Server
from nearfar.wire.openai_chat_render import error_body

log = logging.getLogger("nearfar.access")

Handler = Callable[[Gateway, HttpRequest, HttpResponse], Awaitable[None]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path, or every path below it when it ends with a slash."""

    method: str
    path: str
    handler: Handler
    open: bool = False
    """Whether it answers without a key even where keys are required."""


ROUTES: tuple[Route, ...] = (
    Route(method="POST", path="/v1/chat/completions", handler=chat.completions),
    Route(method="POST", path="/v1/embeddings", handler=chat.embeddings),
    Route(method="GET", path="/v1/models", handler=models.all_models),
    Route(method="GET", path="/v1/models/", handler=models.one_model),
    Route(method="GET", path="/", handler=operations.welcome, open=True),
    Route(method="GET", path="/livez", handler=operations.livez, open=True),
    Route(method="GET", path="/readyz", handler=operations.readyz, open=True),
    Route(method="GET", path="/metrics", handler=operations.metrics),
    Route(method="GET", path="/nearfar/v1/ps", handler=operations.ps),
    Route(method="POST", path="/nearfar/v1/unload", handler=operations.unload),
)


class Application:
    """Finds the route of a request, admits its caller, and answers."""

    def __init__(self, gateway: Gateway, server: Server, *, port: int) -> None:
        """``port``: the one that is listened on, for the Host check."""
        self._gateway = gateway
        self._server = server
        self._exact = {
            (route.method, route.path): route for route in ROUTES if route.path[-1] != "/" or route.path == "/"
        }
        self._below = [route for route in ROUTES if route.path[-1] == "/" and route.path != "/"]
        self._hosts = frozenset(host.lower() for host in (*server.allowed_hosts, server.host, "localhost"))
        self._cors = frozenset(server.cors_origins)
        self._port = port
        self._access = gateway.settings.log.access

    # The edge's side.

    def admit(self, request: HttpRequest) -> None:
        """Host, origin, path and key, in this order, before a body is read."""
        headers = request.headers
        self._check_host(headers.get(b"host", b""))
        origin = headers.get(b"origin")
        if origin is not None and not self._same_origin(origin, headers) and origin.decode("latin-1") not in self._cors:
            raise PermissionDeniedError(
                "Web pages of this origin may not call nearfar.",
                code="origin_denied",
                hint="server.cors_origins lists the origins that may.",
            )
        if request.method == "OPTIONS":
            return
        route = self._route(request)
        request.admitted = self._caller(request, route)

    def error_body(self, error: NearfarError) -> tuple[Headers, bytes]:
        """OpenAI's error shape: the one most clients read."""
        headers = error_headers(error)
        if isinstance(error, MethodNotAllowedError):
            headers = [*headers, (b"allow", error.allowed.encode())]
        return headers, error_body(error, "")

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """Answer; whatever goes wrong becomes a typed reply and a line in the log."""
        if b"origin" in request.headers and self._cors:
            response.extra = self._cors_headers(request)
        try:
            if request.method == "OPTIONS":
                await response.start(204, [(b"content-length", b"0")])
                await response.end()
                return
            route = self._route(request)
            await route.handler(self._gateway, request, response)
        except NearfarError as error:
            if isinstance(error, InternalServerError) and error.__cause__ is not None:
                # The client was told that the log has the details.
                log.exception("unexpected failure", extra={"path": request.path, "method": request.method})
            await self._refuse(error, response)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("unexpected failure", extra={"path": request.path, "method": request.method})
            await self._refuse(InternalServerError("Something went wrong inside nearfar; the log has it."), response)
        finally:
            if self._access:
                log.info(
                    "request",
                    extra={"method": request.method, "path": request.path, "status": response.status},
                )

    async def _refuse(self, error: NearfarError, response: HttpResponse) -> None:
        if response.done:
            return
        if response.status:
            await response.abort()
            return
        headers, body = self.error_body(error)
        await response.start(error.status, [*headers, (b"content-length", b"%d" % len(body))])
        await response.end(body)

    # Admission.

    def _route(self, request: HttpRequest) -> Route:
        method = "GET" if request.method == "HEAD" else request.method
        route = self._exact.get((method, request.path))
        if route is not None:
            return route
        for below in self._below:
            if below.method == method and request.path.startswith(below.path):
                return below
        allowed = self._methods(request.path)
        if allowed:
            raise MethodNotAllowedError(
                f"{request.path[:200]} does not answer to {request.method[:20]}.", allowed=allowed
            )
        raise NotFoundError(
            f"There is nothing at {request.path[:200]}.",
            code="unknown_path",
            hint="The base URL of OpenAI clients ends with /v1.",
        )

    def _methods(self, path: str) -> str:
        """What ``path`` answers to, as the Allow header writes it; empty when there is nothing."""
        found = {method for method, known in self._exact if known == path}
        found.update(below.method for below in self._below if path.startswith(below.path))
        if not found:
            return ""
        if "GET" in found:
            found.add("HEAD")
        return ", ".join([*sorted(found), "OPTIONS"])

    def _caller(self, request: HttpRequest, route: Route) -> object:
        keys = self._gateway.keys
        secret = _secret(request.headers)
        if not keys.required:
            return keys.lookup(secret) if secret else None
        if route.open:
            return None
        if not secret:
            raise AuthenticationError(
                "This gateway needs a key.",
                code="missing_api_key",
                hint="Send it as `Authorization: Bearer …`; `nearfar keys new NAME` makes one.",
            )
        caller = keys.lookup(secret)
        if caller is None:
            raise AuthenticationError(
                "This key is unknown or revoked.", hint="`nearfar keys ls` shows the keys; `keys new NAME` makes one."
            )
        return caller

    def _check_host(self, header: bytes) -> None:
        # A page in a browser can be made to resolve its own name to 127.0.0.1; its requests then carry that name.
        host = header.decode("latin-1").lower()
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        name = name if port.isdigit() else host
        bare = name.strip("[]")
        if bare in self._hosts or not bare:
            return
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise PermissionDeniedError(
                f"The Host header {name[:100]!r} is not one of this gateway's names.",
                code="host_denied",
                hint="server.allowed_hosts lists further names.",
            ) from None

    def _same_origin(self, origin: bytes, headers: dict[bytes, bytes]) -> bool:
        return origin.partition(b"://")[2] == headers.get(b"host")

    def _cors_headers(self, request: HttpRequest) -> Headers:
        headers = [
            (b"access-control-allow-origin", request.headers[b"origin"]),
            (b"vary", b"origin"),
            (b"access-control-expose-headers", b"x-nearfar-request, x-nearfar-deployment, x-nearfar-place"),
        ]
        if request.method == "OPTIONS":
            headers += [
                (b"access-control-allow-methods", b"GET, POST"),
                (b"access-control-allow-headers", b"authorization, content-type, x-api-key, x-nearfar-class"),
                (b"access-control-max-age", b"600"),
            ]
        return headers


def _secret(headers: dict[bytes, bytes]) -> str:
    """The key in any of the places where clients put it."""
    bearer = headers.get(b"authorization", b"")
    if bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip().decode("latin-1")
    return (headers.get(b"x-api-key") or headers.get(b"api-key") or b"").decode("latin-1")
