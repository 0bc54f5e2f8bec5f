"""Keeps a response while it is given: before its last byte leaves, or not at all, and then the reply says so.

It knows no path and no dialect but the Responses API's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from nearfar.core.chat import Request
from nearfar.core.errors import StoreUnavailable
from nearfar.core.places import Class
from nearfar.gateway.exchange import Headers, Out, read_lines
from nearfar.store.responses import Put, Responses
from nearfar.wire.base import Renderer
from nearfar.wire.openai_responses import renderer
from nearfar.wire.openai_responses_items import as_items
from nearfar.wire.openai_responses_like import LikePlain, LikeStream, ours
from nearfar.wire.openai_responses_render import Plain, Stream, Told

log = logging.getLogger("nearfar.responses")

DROPPED = b"dropped:store"
REMOVED = "removed:responses"
"""How many of the caller's oldest responses had to go for a new one."""
_TOLD = b"x-nearfar-deviations"
_BOTH = (_TOLD, b"x-nearfar-deviations-encoded")


Rendering = Stream | Plain | LikeStream | LikePlain


class Keeping:
    """Stands between the pipeline and the client, and puts the whole response into the store before its end."""

    def __init__(
        self, out: Out, kept: Responses, request: Request, told: Told, *, count: Callable[[str], None]
    ) -> None:
        """``told``: what the renderer says; set to false when the response cannot be kept. ``count`` counts that."""
        self._count = count
        self._out = out
        self._kept = kept
        self._request = request
        self._told = told
        self._class: Class | None = None
        self._head: tuple[int, Headers] | None = None
        self._current: Rendering | None = None

    def follow(self, made: Rendering) -> None:
        """Look at this renderer from now on: each attempt has its own."""
        self._current = made

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """The head of a stream leaves at once; that of a plain reply waits for what it has to tell."""
        headers = [*headers, *read_lines(lines)]
        if status != 200:
            self._told.store = False
            await self._out.start(status, headers)
            return
        found = next((value for name, value in headers if name == b"x-nearfar-class"), None)
        # Without a decision yet (a long wait) the class is not known, and what is not known is not kept.
        self._class = None if found is None else Class.parse(found.decode())
        if self._class is None or self._class > self._kept.highest:
            self._told.store = False
            self._count(DROPPED.decode())
            headers = _with(headers, DROPPED)
        if self._request.stream:
            await self._out.start(status, headers)
        else:
            self._head = (status, headers)

    async def write(self, data: bytes) -> None:
        """Pass on."""
        await self._out.write(data)

    async def end(self, data: bytes) -> None:
        """Keep the response, then let the last bytes go."""
        deviation = await self._kept_or_told() if self._told.store else b""
        if self._head is not None:
            status, headers = self._head
            if not self._told.store:
                data = ours(msgspec.json.decode(data, type=dict[str, msgspec.Raw]), self._told)
                headers = [item for item in headers if item[0] != b"content-length"]
                headers.append((b"content-length", b"%d" % len(data)))
            await self._out.start(status, _with(headers, deviation) if deviation else headers)
        elif deviation:
            await self._out.write(b": %b: %b\n" % (_TOLD, deviation))
        await self._out.end(data)

    async def abort(self) -> None:
        """Pass on."""
        await self._out.abort()

    async def _kept_or_told(self) -> bytes:
        """Put the response into the store; what has to be told of that, empty for nothing."""
        put = await self._keep()
        if not put.kept:
            self._told.store = False
            deviation = DROPPED.decode()
        elif put.removed:
            deviation = f"{REMOVED}={put.removed}"
        else:
            return b""
        self._count(deviation)
        return deviation.encode()

    async def _keep(self) -> Put:
        """What became of it in the store."""
        final = b"" if self._current is None else self._current.final
        if not final or self._class is None:
            return Put(kept=False)
        which = msgspec.json.decode(final, type=_Named).id
        items = msgspec.json.encode(as_items(self._request.fields.get("input")))
        try:
            return await asyncio.to_thread(
                self._kept.put,
                id=which,
                owner=self._request.caller,
                class_=self._class,
                response=final,
                input=items,
            )
        except StoreUnavailable as error:
            # The answer is there and paid for: it is given, and told not to be kept.
            log.warning("a response was not kept: %s", error.text)
            return Put(kept=False)


class _Named(msgspec.Struct):
    id: str = ""


def followed(told: Told, keeping: Keeping | None) -> Callable[[Request, bool], Renderer]:
    """The renderer of one request's replies, watched by ``keeping``."""

    def make(request: Request, like: bool) -> Renderer:
        made = renderer(request, like, told)
        if keeping is not None:
            keeping.follow(made)
        return made

    return make


def _with(headers: Headers, deviation: bytes) -> Headers:
    if not any(name == _TOLD for name, _ in headers):
        return [*headers, (_TOLD, deviation)]
    return [(name, b"%b, %b" % (value, deviation) if name in _BOTH else value) for name, value in headers]
