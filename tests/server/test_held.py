"""A reply that is kept back is kept whole."""

from __future__ import annotations

import asyncio

from nearfar.server.held import Held


def test_head_and_body_are_kept_and_a_broken_reply_is_none() -> None:
    async def scenario() -> None:
        held = Held()
        assert held.status == 500, "nothing came"
        await held.start(200, [(b"a", b"1")], b"x-b: 2\r\nx-c: d: e\r\n")
        await held.write(b"one ")
        await held.end(b"two")
        assert (held.status, held.body) == (200, b"one two")
        assert held.headers == [(b"a", b"1"), (b"x-b", b"2"), (b"x-c", b"d: e")]
        await held.abort()
        assert held.status == 502

    asyncio.run(scenario())
