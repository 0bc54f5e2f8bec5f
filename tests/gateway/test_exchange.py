"""The client's half: what is held, when it goes out, and what the headers tell."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import ANSWER, DONE, Out, event, snapshot, target

from nearfar.core.chat import Chunk, TextDelta
from nearfar.core.errors import (
    APITimeoutError,
    BadRequestError,
    ConflictError,
    NearfarError,
    Overloaded,
    RateLimitError,
    StreamCut,
)
from nearfar.core.places import Class, Place
from nearfar.core.routing import Candidate, Decision, Deployment, Ranked
from nearfar.gateway.exchange import Exchange, error_headers
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.vault import Vault
from nearfar.wire.openai_chat import CLIENT

ROLE = Chunk(raw=event(None))
CONTENT = Chunk(raw=event("a"), content=True)
MORE = Chunk(raw=event("b"), content=True)
END = Chunk(raw=DONE, end=True)
WHOLE = Chunk(raw=ANSWER, content=True)


class Client:
    """An exchange with a client that remembers."""

    def __init__(self, *, stream: bool) -> None:
        body = {"model": "main", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
        self.out = Out()
        request = CLIENT.parse(json.dumps(body).encode(), "req-1")
        self.exchange = Exchange(request, CLIENT, self.out, time.perf_counter())

    def attempt(
        self, name: str = "far", reason: str = "because", *, deviations: tuple[str, ...] = (), like: bool = True
    ) -> None:
        deployment = next(iter(snapshot(target(name, 1)).targets.values())).deployment
        ranked = Ranked(candidate=Candidate(deployment=deployment), reason=reason)
        self.exchange.attempt(ranked, f"att-{name}", deviations, like=like)

    def deliver(self, *chunks: Chunk) -> None:
        asyncio.run(self.exchange.deliver(chunks))

    def finish(self, cost: int | None = None) -> None:
        asyncio.run(self.exchange.finish(cost))

    def fail(self, error: NearfarError) -> dict[str, Any]:
        asyncio.run(self.exchange.fail(error))
        body = self.out.body.rpartition(b"data: ")[2]
        found: dict[str, Any] = json.loads(body)["error"]
        return found


def test_what_a_restorer_still_holds_comes_at_the_end_whatever_it_looks_like() -> None:
    own = Vault(b"k" * 32, caller="", conversation=b"")
    begun = own.mask("Bob Chen", "person")[:8]
    client = Client(stream=True)
    deployment = next(iter(snapshot(target("far", 1)).targets.values())).deployment
    ranked = Ranked(candidate=Candidate(deployment=deployment), reason="because")
    client.exchange.attempt(ranked, "att-far", (), like=False, restorer=Restorer(own))
    client.deliver(Chunk(events=(TextDelta(f"a {begun}"),), content=True))
    assert begun.encode() not in client.out.body
    client.finish()
    events = [json.loads(line[6:]) for line in client.out.body.splitlines() if line.startswith(b"data: {")]
    assert "".join(e["choices"][0]["delta"].get("content") or "" for e in events) == f"a {begun}"


# ---------------------------------------------------------------- the commit window


def test_a_stream_is_held_until_its_first_content() -> None:
    client = Client(stream=True)
    client.attempt()
    client.deliver(ROLE)
    client.deliver()
    assert (client.out.status, client.exchange.committed, client.exchange.first) == (0, False, None)
    client.deliver(CONTENT)
    assert (client.out.status, client.out.body) == (200, event(None) + event("a"))
    assert client.exchange.committed
    assert client.exchange.first is not None
    client.deliver(MORE, Chunk(raw=event("c"), content=True))
    client.deliver(END)
    assert client.out.body == event(None) + event("a") + event("b") + event("c")
    assert not client.out.ended, "the ending waits for the word that all went well"
    client.finish(5)
    assert client.out.body.endswith(DONE)
    assert client.out.ended


def test_a_stream_that_ends_without_content_is_whole_too() -> None:
    client = Client(stream=True)
    client.attempt()
    client.deliver(ROLE)
    client.deliver(END)
    assert client.exchange.committed
    client.finish()
    assert client.out.body == event(None) + DONE


def test_what_a_failed_attempt_left_behind_is_forgotten() -> None:
    client = Client(stream=True)
    client.attempt("one")
    client.deliver(Chunk(raw=b"data: of the first\n\n"))
    client.attempt("two")
    client.deliver(CONTENT)
    assert client.out.body == event("a")
    assert client.out.headers["x-nearfar-deployment"] == "two"
    assert client.out.headers["x-nearfar-attempts"] == "2"


def test_a_plain_reply_is_held_to_its_end_and_tells_its_cost() -> None:
    client = Client(stream=False)
    client.attempt()
    client.deliver(WHOLE)
    assert (client.out.status, client.exchange.committed) == (0, False), "another candidate could still answer"
    client.finish(27_500)
    assert (client.out.status, client.out.body, client.out.ended) == (200, ANSWER, True)
    assert client.out.headers["content-type"] == "application/json"
    assert client.out.headers["content-length"] == str(len(ANSWER))
    assert client.out.headers["x-nearfar-cost-usd"] == "0.000027500"
    assert client.exchange.first is not None


@pytest.mark.parametrize(
    ("cost", "told"), [(0, "0.000000000"), (None, None), (1, "0.000000001"), (10**10, "10.000000000")]
)
def test_an_unknown_cost_is_not_told_as_nothing(cost: int | None, told: str | None) -> None:
    client = Client(stream=False)
    client.attempt()
    client.deliver(WHOLE)
    client.finish(cost)
    assert client.out.headers.get("x-nearfar-cost-usd") == told


def test_a_stream_says_no_length_and_wants_no_cache() -> None:
    client = Client(stream=True)
    client.attempt()
    client.deliver(CONTENT)
    assert client.out.headers["cache-control"] == "no-cache"
    assert client.out.headers["content-type"] == "text/event-stream"
    assert not {"content-length", "x-nearfar-cost-usd"} & client.out.headers.keys()


@pytest.mark.parametrize(("cost", "told"), [(27_500, "0.000027500"), (0, "0.000000000"), (None, "unknown")])
def test_a_stream_tells_its_cost_at_its_end_to_whoever_asked(cost: int | None, told: str) -> None:
    def streamed() -> Client:
        client = Client(stream=True)
        client.attempt()
        client.deliver(CONTENT, END)
        return client

    silent, asked = streamed(), streamed()
    silent.finish(cost)
    asked.exchange.request.tell_cost = True
    asked.finish(cost)
    assert asked.out.body == silent.out.body + f": x-nearfar-cost-usd: {told}\n".encode()
    assert (asked.out.ended, b"nearfar" in silent.out.body) == (True, False)


# ---------------------------------------------------------------- waiting and failing


def test_a_client_that_waits_gets_a_head_and_a_comment() -> None:
    client = Client(stream=True)
    asyncio.run(client.exchange.heartbeat())
    asyncio.run(client.exchange.heartbeat())
    assert (client.out.status, client.out.body) == (200, b": keep-alive\n: keep-alive\n")
    assert not client.exchange.committed, "another candidate may still answer"
    client.attempt()
    client.deliver(CONTENT)
    client.finish()
    assert client.out.body.startswith(b": keep-alive\n: keep-alive\n")
    assert client.out.body.endswith(event("a") + DONE)


def test_a_plain_reply_tolerates_no_filling() -> None:
    client = Client(stream=False)
    asyncio.run(client.exchange.heartbeat())
    assert (client.out.status, client.out.body) == (0, b"")


def test_before_the_head_an_error_is_a_reply() -> None:
    client = Client(stream=True)
    client.attempt()
    client.deliver(ROLE)
    error = client.fail(Overloaded("Full.", retry_after=2))
    assert (client.out.status, client.out.ended, client.out.aborted) == (503, True, False)
    assert (error["code"], error["request_id"]) == ("overloaded", "req-1")
    assert client.out.headers["x-nearfar-request"] == "req-1"
    assert client.out.headers["x-nearfar-deployment"] == "far"
    assert client.out.headers["content-length"] == str(len(client.out.body))


@pytest.mark.parametrize("committed", [True, False], ids=["content", "keep-alives"])
def test_after_the_head_an_error_is_an_event_and_no_clean_end(committed: bool) -> None:
    client = Client(stream=True)
    if committed:
        client.attempt()
        client.deliver(CONTENT)
    else:
        asyncio.run(client.exchange.heartbeat())
    error = client.fail(StreamCut("Cut."))
    assert error["code"] == "stream_cut"
    assert (client.out.status, client.out.ended, client.out.aborted) == (200, False, True)
    assert b"[DONE]" not in client.out.body


# ---------------------------------------------------------------- headers


def test_deviations_of_the_request_and_of_the_attempt_are_told() -> None:
    client = Client(stream=False)
    client.attempt("one", deviations=("dropped:seed",))
    client.exchange.deviations.append("failover:one:overloaded")
    client.attempt("two", deviations=("renamed:max_tokens",))
    client.deliver(WHOLE)
    client.finish()
    assert client.out.headers["x-nearfar-deviations"] == "failover:one:overloaded, renamed:max_tokens"


def test_a_deviation_that_shows_at_the_end_is_told_in_all_its_letters() -> None:
    client = Client(stream=True)
    client.attempt()
    client.deliver(CONTENT)
    asyncio.run(client.exchange.deviate("continued:遠處:cut"))
    assert b": x-nearfar-deviations: continued:??:cut\n" in client.out.body
    assert b": x-nearfar-deviations-encoded: continued:%E9%81%A0%E8%99%95:cut\n" in client.out.body
    assert "x-nearfar-deviations-encoded" not in client.out.headers


@given(st.text(), st.text())
def test_whatever_a_configuration_names_headers_stay_lines_of_ascii(name: str, reason: str) -> None:
    client = Client(stream=False)
    client.attempt()
    deployment = Deployment(
        name=name, provider="p", model="m", wire="openai.chat", base_url="http://x", place=Place.CLOUD
    )
    ranked = Ranked(candidate=Candidate(deployment=deployment), reason=reason)
    client.exchange.decision = Decision(
        id="dec",
        route=name,
        strategy="cloud-first",
        policy="p",
        class_=Class.INTERNAL,
        class_reason=reason,
        furthest=Place.CLOUD,
        ranked=(ranked,),
        rejected=(),
    )
    client.exchange.attempt(ranked, "att", (f"failover:{name}:x",), like=True)
    client.deliver(WHOLE)
    client.finish()
    whole = client.out.headers.get("x-nearfar-deployment-encoded", "")
    assert unquote(whole) == ("" if name.isascii() else name.encode(errors="replace").decode())
    assert client.out.headers.get("x-nearfar-route-encoded", "") == whole
    for header, full in (("x-nearfar-reason", reason), ("x-nearfar-deviations", f"failover:{name}:x")):
        told = unquote(client.out.headers.get(f"{header}-encoded", ""))
        assert told == ("" if full.isascii() else full.encode(errors="replace").decode())
    for value in client.out.headers.values():
        assert value.isascii()
        assert not set(value) & set("\r\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BadRequestError(""), {}),
        (RateLimitError(""), {"x-should-retry": "false"}),
        (RateLimitError("", retry_after=0.2), {"retry-after": "1", "retry-after-ms": "200", "x-should-retry": "true"}),
        (Overloaded("", retry_after=7.4), {"retry-after": "8", "retry-after-ms": "7400", "x-should-retry": "true"}),
        (APITimeoutError(""), {"x-should-retry": "false"}),
        (ConflictError(""), {"x-should-retry": "false"}),
    ],
)
def test_what_clients_read_to_decide_about_a_retry(error: NearfarError, told: dict[str, str]) -> None:
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    assert headers == {"content-type": "application/json", "x-nearfar-error": error.code, **told}
