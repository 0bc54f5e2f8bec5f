"""The application behind the edge: one list of routes, the admission of callers, and the refusal of everybody else.

It knows paths and headers; what a request means is the endpoints' business.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Iterable

from nearfar.build import Gateway
from nearfar.core.errors import (
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    MethodNotAllowedError,
    NearfarError,
    NotFoundError,
    PermissionDeniedError,
)
from nearfar.gateway.exchange import error_headers
from nearfar.server.dialects import REQUEST_ID, Dialect, dialect_of, error_body, secret_in
from nearfar.server.http import Headers, HttpRequest, HttpResponse
from nearfar.server.routes import ROUTES, Handler, Route, find
from nearfar.settings.model import Server

log = logging.getLogger("nearfar.access")


_ALLOWED = (
    b"authorization, content-type, x-api-key, api-key, x-goog-api-key, x-goog-api-client, anthropic-version, "
    b"anthropic-beta, anthropic-dangerous-direct-browser-access, x-nearfar-class"
)
_EXPOSED = (
    b"x-nearfar-request, x-nearfar-route, x-nearfar-route-encoded, x-nearfar-class, "
    b"x-nearfar-deployment, x-nearfar-deployment-encoded, "
    b"x-nearfar-place, x-nearfar-reason, x-nearfar-reason-encoded, x-nearfar-attempts, "
    b"x-nearfar-deviations, x-nearfar-deviations-encoded, "
    b"x-nearfar-cost-usd, x-nearfar-error, retry-after, retry-after-ms"
)

_HOSTS_SEEN = 64


class Application:
    """Finds the route of a request, admits its caller, and answers."""

    def __init__(self, gateway: Gateway, server: Server, *, port: int) -> None:
        """``port``: the one that is listened on, for the Host check."""
        self._gateway = gateway
        self._server = server
        exact = [route for route in ROUTES if route.path[-1] != "/" or route.path == "/"]
        self._exact = {(route.method, route.path): route for route in exact if route.dialect is None}
        self._contested = {(route.method, route.path, route.dialect): route for route in exact if route.dialect}
        self._contested_paths = frozenset(route.path for route in exact if route.dialect)
        below = [route for route in ROUTES if route.path[-1] == "/" and route.path != "/"]
        # Those for one dialect are asked before those for everybody else.
        self._below = sorted(below, key=lambda route: route.dialect is None)
        self._hosts = frozenset(host.lower() for host in (*server.allowed_hosts, server.host, "localhost"))
        self._hosts_seen: set[bytes] = set()
        """Host headers that were found to be ours: looked at once instead of for every request."""
        self._cors = frozenset(server.cors_origins)
        self._handlers: dict[str, Handler] = {}
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
        route = request.route = self._route(request)
        coding = headers.get(b"content-encoding", b"identity").strip().lower()
        if coding != b"identity":
            raise BadRequestError(
                f"Request bodies are not read in the content encoding {coding.decode('latin-1')[:40]!r}.",
                code="unsupported_encoding",
                hint="Send the body as it is, without a Content-Encoding header.",
            )
        request.admitted = self._caller(request, route)

    def error_body(self, error: NearfarError, request: HttpRequest | None) -> tuple[Headers, bytes]:
        """An error in the dialect of the request; in OpenAI's, which most clients read, before one can be told."""
        return self._told(error, request, ())

    def _told(
        self, error: NearfarError, request: HttpRequest | None, extra: Iterable[tuple[bytes, bytes]]
    ) -> tuple[Headers, bytes]:
        """As ``error_body``; ``extra``: headers that the reply has already, among them perhaps the request's id."""
        dialect = "openai" if request is None else dialect_of(request.path, request.query, request.headers)
        header = REQUEST_ID.get(dialect)
        known = next((value for name, value in extra if name == header), b"")
        told = known or self._gateway.ids.new("req-").encode()
        headers = [*error_headers(error), (b"x-nearfar-request", told)]
        if header and not known:
            headers.append((header, told))
        if isinstance(error, MethodNotAllowedError):
            headers.append((b"allow", error.allowed.encode()))
        return headers, error_body(dialect)(error, told.decode())

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """Answer; whatever goes wrong becomes a typed reply and a line in the log."""
        if b"origin" in request.headers and self._cors:
            response.extra = self._cors_headers(request)
        try:
            if request.method == "OPTIONS":
                await response.start(204, [(b"content-length", b"0")])
                await response.end()
                return
            route = request.route or self._route(request)
            handler = self._handlers.get(route.handler)
            if handler is None:
                handler = self._handlers[route.handler] = find(route)
            await handler(self._gateway, request, response)
        except NearfarError as error:
            if isinstance(error, InternalServerError) and error.__cause__ is not None:
                # The client was told that the log has the details.
                log.exception("unexpected failure", extra={"path": request.path, "method": request.method})
            await self._refuse(error, request, response)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("unexpected failure", extra={"path": request.path, "method": request.method})
            hidden = InternalServerError("Something went wrong inside nearfar; the log has it.")
            await self._refuse(hidden, request, response)
        finally:
            if self._access:
                log.info(
                    "request",
                    extra={"method": request.method, "path": request.path, "status": response.status},
                )

    async def _refuse(self, error: NearfarError, request: HttpRequest, response: HttpResponse) -> None:
        if response.done:
            return
        if response.status:
            await response.abort()
            return
        headers, body = self._told(error, request, response.extra)
        await response.start(error.status, [*headers, (b"content-length", b"%d" % len(body))])
        await response.end(body)

    # Admission.

    def _route(self, request: HttpRequest) -> Route:
        method = "GET" if request.method == "HEAD" else request.method
        path = request.path
        route = self._exact.get((method, path))
        if route is not None and path not in self._contested_paths:
            return route
        dialect = dialect_of(path, request.query, request.headers)
        route = self._contested.get((method, path, dialect), route)
        if route is not None:
            return route
        for below in self._below:
            if below.method == method and path.startswith(below.path) and below.dialect in {None, dialect}:
                return below
        allowed = self._methods(path, dialect)
        if allowed:
            raise MethodNotAllowedError(
                f"{request.path[:200]} does not answer to {request.method[:20]}.", allowed=allowed
            )
        raise NotFoundError(
            f"There is nothing at {request.path[:200]}.",
            code="unknown_path",
            hint=self._meant(path),
        )

    def _meant(self, path: str) -> str:
        """What is probably wrong with a path that is none: mostly the base URL that a client was given."""
        known = {known for _, known in self._exact} | {known for _, known, _ in self._contested}
        if path.startswith("/v1/v1/"):
            return (
                "/v1 stands twice: the base URL of OpenAI clients ends with /v1, that of Anthropic's and Ollama's "
                "clients ends before it."
            )
        if path.rstrip("/") in known:
            return f"There is {path.rstrip('/')} without the last slash."
        if (single := re.sub("/+", "/", path)) in known:
            return f"There is {single} with one slash; the base URL has one too many."
        if f"/v1{path}" in known:
            return "The base URL of OpenAI clients ends with /v1."
        return "The page `HTTP API` of the documentation lists all paths."

    def _methods(self, path: str, dialect: Dialect) -> str:
        """What ``path`` answers to in ``dialect``, as the Allow header writes it; empty when there is nothing."""
        found = {method for method, known in self._exact if known == path}
        found.update(method for method, known, _ in self._contested if known == path)
        below = [route for route in self._below if route.dialect in {None, dialect}]
        found.update(route.method for route in below if path.startswith(route.path))
        if not found:
            return ""
        if "GET" in found:
            found.add("HEAD")
        return ", ".join([*sorted(found), "OPTIONS"])

    def _caller(self, request: HttpRequest, route: Route) -> object:
        keys = self._gateway.keys
        secret = secret_in(request.headers, request.query)
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
        if header in self._hosts_seen:
            return
        host = header.decode("latin-1").lower()
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        name = name if port.isdigit() else host
        bare = name.strip("[]")
        if bare in self._hosts or not bare:
            if len(self._hosts_seen) < _HOSTS_SEEN:
                self._hosts_seen.add(header)
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
            (b"access-control-expose-headers", _EXPOSED),
        ]
        if request.method == "OPTIONS":
            headers += [
                (b"access-control-allow-methods", b"GET, POST, DELETE"),
                (b"access-control-allow-headers", _ALLOWED),
                (b"access-control-max-age", b"600"),
            ]
        return headers
