"""What clients, ledger and metrics are told when an upstream fails in each of its ways."""

from __future__ import annotations

import openai
import pytest
from tests.faults.conftest import EARLY, LATE, PLAIN, Broken, Failure
from tests.running import Reply, eventually

_ALONE = [pytest.param("plain", name, id=f"plain-{name}") for name in PLAIN]
_ALONE += [pytest.param("early", name, id=f"stream-{name}") for name in EARLY]


def _failure(kind: str, name: str) -> Failure:
    return {"plain": PLAIN, "early": EARLY, "late": LATE}[kind][name]


@pytest.mark.parametrize(("kind", "name"), _ALONE)
def test_alone_it_is_a_typed_error(broken: Broken, kind: str, name: str) -> None:
    failure = _failure(kind, name)
    reply = broken.gateway.chat(f"{kind}-{name}-alone", stream=kind == "early")
    assert (reply.status, reply.error["code"]) == (failure.status, failure.code)
    assert reply.clean
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["request_id"] == reply.headers["x-nearfar-request"]
    if failure.waits is None:
        assert "retry-after" not in reply.headers
        assert reply.headers["x-should-retry"] == "false"
    else:
        assert reply.headers["x-should-retry"] == "true"
        # A date has whole seconds, and the reply's own date too.
        assert abs(int(reply.headers["retry-after-ms"]) / 1000 - failure.waits) <= (1 if name.endswith("date") else 0)
    (entry,) = broken.gateway.attempts(reply)
    assert (entry.outcome, entry.error) == (failure.outcome, failure.code)
    assert broken.seen(entry.attempt).model == "stand-in-large"


@pytest.mark.parametrize(("kind", "name"), _ALONE)
def test_before_the_first_content_another_one_answers(broken: Broken, kind: str, name: str) -> None:
    failure = _failure(kind, name)
    bad = f"{kind}-{name}-first"
    reply = broken.gateway.chat(f"{kind}-{name}-then-well", stream=kind == "early")
    assert reply.status == 200
    assert reply.clean
    assert "stand-in" in reply.text
    assert reply.headers["x-nearfar-deployment"] == "well"
    assert reply.headers["x-nearfar-attempts"] == "2"
    assert reply.tried == [f"failover:{bad}:{failure.code}"]
    if kind == "early":
        assert reply.events[-1] == "[DONE]"
    first, second = broken.gateway.attempts(reply, count=2)
    assert (first.deployment, first.outcome, first.error) == (bad, failure.outcome, failure.code)
    assert (second.deployment, second.outcome, second.parent) == ("well", "ok", first.attempt)
    assert second.deviations == (f"failover:{bad}:{failure.code}",)
    assert broken.gateway.metric("nearfar_fallbacks_total", source=bad, reason=failure.code) == 1


@pytest.mark.parametrize("name", LATE)
def test_after_the_first_content_nothing_pretends_to_be_whole(broken: Broken, name: str) -> None:
    failure = LATE[name]
    reply = broken.gateway.chat(f"late-{name}-then-well", stream=True)
    assert reply.status == 200
    assert not reply.clean, "a cut stream must not end as its framing promises"
    assert "[DONE]" not in reply.events
    assert reply.events[-1]["error"]["code"] == failure.code
    assert reply.text.startswith("This")
    (entry,) = broken.gateway.attempts(reply)
    assert (entry.outcome, entry.error) == (failure.outcome, failure.code)
    assert entry.cost is None, "nobody said what was used: unknown is not zero"


@pytest.mark.parametrize("name", LATE)
def test_after_the_first_content_the_client_library_raises(broken: Broken, name: str) -> None:
    text = ""
    with openai.OpenAI(base_url=f"{broken.gateway.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(
            model=f"late-{name}-alone", messages=[{"role": "user", "content": "hello"}], stream=True
        )

        def read() -> None:
            nonlocal text
            for chunk in stream:
                text += chunk.choices[0].delta.content or ""

        with pytest.raises(openai.APIError):
            read()
    assert text.startswith("This")


def test_redirects_are_not_followed(broken: Broken) -> None:
    broken.gateway.chat("plain-redirect-alone")
    assert broken.stand_in.report().totals.redirects_followed == 0


def test_a_slow_first_byte_within_the_deadline_is_just_slow(broken: Broken) -> None:
    for stream in (False, True):
        reply = broken.gateway.chat("slow", stream=stream)
        assert reply.status == 200
        assert reply.clean
        (entry,) = broken.gateway.attempts(reply)
        assert entry.first_byte_ms is not None
        assert entry.first_byte_ms >= 300
        assert entry.cost is not None


def test_when_all_are_down_the_reply_names_them(broken: Broken) -> None:
    reply = broken.gateway.chat("all-down")
    assert reply.status == 429
    assert "down-1: upstream_error" in reply.error["message"]
    assert "down-2: rate_limit_exceeded" in reply.error["message"]
    assert reply.headers["retry-after"] == "9"
    assert len(broken.gateway.attempts(reply, count=2)) == 2


def test_a_cool_down_is_seen_respected_and_ends(broken: Broken) -> None:
    gateway = broken.gateway
    first = gateway.chat("rested")
    assert first.tried == ["failover:tired:rate_limit_exceeded"]
    resting = gateway.cooling()["tired"]
    assert resting["reason"] == "rate_limit_exceeded"
    assert 0 <= resting["seconds"] <= 0.8
    second = gateway.chat("rested")
    assert (second.tried, second.headers["x-nearfar-attempts"]) == ([], "1")
    eventually(lambda: "tired" not in gateway.cooling())
    third = gateway.chat("rested")
    assert third.tried == ["failover:tired:rate_limit_exceeded"]


def _leave_stream(broken: Broken) -> str:
    with broken.gateway.raw() as raw:
        raw.post("/v1/chat/completions", {"model": "long", "stream": True, "messages": _HELLO})
        head = raw.until(b'"content":"This"')
    return head.partition(b"x-nearfar-request: ")[2].partition(b"\r\n")[0].decode()


_HELLO = [{"role": "user", "content": "hello"}]


def test_hanging_up_in_a_stream_stops_the_upstream(broken: Broken) -> None:
    (entry,) = broken.gateway.attempts(_leave_stream(broken))
    assert (entry.outcome, entry.error) == ("cancelled", "client_gone")
    seen = broken.seen(entry.attempt)
    assert seen.outcome == "cancelled"
    assert seen.chunks < 400


def test_hanging_up_on_a_plain_request_stops_the_upstream(broken: Broken) -> None:
    before = {seen.number for seen in broken.stand_in.report().requests}

    def asked() -> str:
        new = [seen for seen in broken.stand_in.report().requests if seen.number not in before]
        return new[0].request if new else ""

    with broken.gateway.raw() as raw:
        raw.post("/v1/chat/completions", {"model": "late-answer", "messages": _HELLO})
        attempt = eventually(asked)
    assert broken.seen(attempt).outcome == "cancelled"
    (entry,) = eventually(lambda: [row for row in broken.gateway.entries() if row.attempt == attempt and row.ended])
    assert (entry.outcome, entry.error) == ("cancelled", "client_gone")


def test_what_the_ledger_says_is_what_the_cloud_charges(broken: Broken) -> None:
    replies: list[Reply] = [broken.gateway.chat("well", stream=stream) for stream in (False, True, False, True)]
    for reply in replies:
        (entry,) = broken.gateway.attempts(reply)
        seen = broken.seen(entry.attempt)
        assert (entry.input_tokens, entry.output_tokens) == (seen.input, seen.chunks)
        assert entry.cost == seen.input * 2500 + seen.chunks * 10_000
        if "x-nearfar-cost-usd" in reply.headers:
            assert float(reply.headers["x-nearfar-cost-usd"]) == pytest.approx(entry.cost / 1e9)
