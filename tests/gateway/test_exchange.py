"""The client's half: what is held back until content comes, and how a reply ends."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.gateway.house import DONE, Out, event, run, target

from nearfar.core.chat import Chunk
from nearfar.core.errors import Overloaded, RateLimitError, StreamCut
from nearfar.core.routing import Ranked
from nearfar.gateway.exchange import Exchange, error_headers
from nearfar.wire.openai_chat import CLIENT

RANKED = Ranked(candidate=target("far", 1).ready, reason="because …")


def _exchange(*, stream: bool = True) -> tuple[Exchange, Out]:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    out = Out()
    exchange = Exchange(CLIENT.parse(msgspec.json.encode(body), "req-1"), CLIENT, out, 0.0)
    exchange.attempt(RANKED, "att-1", (), like=True)
    return exchange, out


def _chunk(content: str | None) -> Chunk:
    return Chunk(raw=event(content), content=content is not None)


def test_nothing_goes_out_before_content() -> None:
    async def scenario() -> None:
        exchange, out = _exchange()
        await exchange.deliver([_chunk(None)])
        assert (out.status, exchange.committed) == (0, False)
        await exchange.deliver([_chunk("a")])
        assert (out.status, exchange.committed) == (200, True)
        assert out.body == event(None) + event("a"), "what was held goes first"
        await exchange.deliver([_chunk("b"), _chunk("c")])
        assert out.body.endswith(event("b") + event("c"))
        assert exchange.first is not None
        await exchange.finish(None)
        assert out.body.endswith(DONE)
        assert out.ended

    run(scenario())


def test_what_a_failed_attempt_left_is_forgotten() -> None:
    async def scenario() -> None:
        exchange, out = _exchange()
        await exchange.deliver([Chunk(raw=b"data: of the first one\n\n")])
        exchange.deviations.append("failover:far:overloaded")
        exchange.attempt(RANKED, "att-2", ("dropped:seed",), like=True)
        await exchange.deliver([_chunk("a")])
        assert out.body == event("a")
        assert out.headers["x-nearfar-deviations"] == "failover:far:overloaded, dropped:seed"
        assert out.headers["x-nearfar-attempts"] == "2"
        assert exchange.attempt_id == "att-2"

    run(scenario())


def test_a_plain_reply_leaves_whole_with_length_and_cost() -> None:
    async def scenario() -> None:
        exchange, out = _exchange(stream=False)
        await exchange.deliver([Chunk(raw=b'{"choices":[]}', content=True, end=True)])
        assert not out.status
        await exchange.finish(1_500)
        assert (out.body, out.ended) == (b'{"choices":[]}', True)
        assert out.headers["content-length"] == "14"
        assert out.headers["x-nearfar-cost-usd"] == "0.000001500"
        assert out.headers["x-nearfar-reason"] == "because ?", "header values are ASCII"

    run(scenario())


def test_an_unknown_cost_is_not_said() -> None:
    async def scenario() -> None:
        exchange, out = _exchange(stream=False)
        await exchange.deliver([Chunk(raw=b"{}", content=True, end=True)])
        await exchange.finish(None)
        assert "x-nearfar-cost-usd" not in out.headers

    run(scenario())


def test_an_error_before_the_head_is_a_reply() -> None:
    async def scenario() -> None:
        exchange, out = _exchange()
        await exchange.fail(Overloaded("Busy.", retry_after=2.5))
        assert (out.status, out.ended, out.aborted) == (503, True, False)
        assert json.loads(out.body)["error"]["code"] == "overloaded"
        assert out.headers["content-length"] == str(len(out.body))
        assert out.headers["x-nearfar-request"] == "req-1"
        assert out.headers["x-nearfar-deployment"] == "far"

    run(scenario())


def test_an_error_after_content_breaks_the_stream() -> None:
    async def scenario() -> None:
        exchange, out = _exchange()
        await exchange.deliver([_chunk("a")])
        await exchange.fail(StreamCut("Cut."))
        assert (out.aborted, out.ended) == (True, False)
        assert json.loads(out.body.removeprefix(event("a")).removeprefix(b"data: "))["error"]["code"] == "stream_cut"
        assert DONE not in out.body

    run(scenario())


def test_a_heartbeat_sends_the_head_once() -> None:
    async def scenario() -> None:
        exchange, out = _exchange()
        await exchange.heartbeat()
        await exchange.heartbeat()
        assert out.body == b": keep-alive\n" * 2
        assert out.headers["content-type"] == "text/event-stream"
        await exchange.deliver([_chunk("a")])
        await exchange.finish(None)
        assert out.body.endswith(event("a") + DONE)

    run(scenario())


def test_a_plain_reply_has_no_heartbeat() -> None:
    async def scenario() -> None:
        exchange, out = _exchange(stream=False)
        await exchange.heartbeat()
        assert not out.status

    run(scenario())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, {"x-should-retry": "false"}),
        (0.2, {"retry-after": "1", "retry-after-ms": "200", "x-should-retry": "true"}),
        (7, {"retry-after": "7", "retry-after-ms": "7000", "x-should-retry": "true"}),
    ],
)
def test_error_headers_tell_sdks_whether_to_retry(seconds: float | None, expected: dict[str, str]) -> None:
    headers = {name.decode(): value.decode() for name, value in error_headers(RateLimitError("x", retry_after=seconds))}
    assert headers == {"content-type": "application/json", "x-nearfar-error": "rate_limit_exceeded", **expected}


def test_no_text_breaks_out_of_a_header(tmp_path: Path) -> None:
    async def scenario() -> None:
        exchange, out = _exchange()
        exchange.deviations.append("failover:a\r\nset-cookie: x:é")
        await exchange.deliver([_chunk("a")])
        assert out.headers["x-nearfar-deviations"] == "failover:a  set-cookie: x:?"

    run(scenario())
