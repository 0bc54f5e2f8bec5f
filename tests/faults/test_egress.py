"""No byte of a request reaches a place that its class forbids: the stand-in for a cloud has seen nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests import running, stand_in
from tests.faults.conftest import Broken

RESTRICTED = {"x-nearfar-class": "restricted"}


def _asked(broken: Broken) -> int:
    return broken.stand_in.report().totals.requests


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "headers"),
    [
        pytest.param("well", RESTRICTED, id="header"),
        pytest.param("well", {"x-nearfar-class": "Confidential "}, id="header-in-other-letters"),
        pytest.param("sealed", {}, id="route"),
        pytest.param("sealed", {"x-nearfar-class": "public"}, id="route-is-not-lowered-by-a-header"),
        pytest.param("cloud", RESTRICTED, id="virtual-model"),
    ],
)
def test_a_class_that_must_stay_does_not_leave(
    broken: Broken, model: str, headers: dict[str, str], stream: bool
) -> None:
    before = _asked(broken)
    reply = broken.gateway.chat(model, headers=headers, stream=stream)
    assert (reply.status, reply.error["code"]) == (403, "egress_denied")
    assert reply.headers.get("x-should-retry") != "true"
    assert _asked(broken) == before
    assert not [entry for entry in broken.gateway.entries() if entry.request == reply.headers["x-nearfar-request"]]


def test_embeddings_obey_the_same_rule(broken: Broken) -> None:
    before = _asked(broken)
    reply = broken.gateway.ask("/v1/embeddings", {"model": "well", "input": "secret"}, headers=RESTRICTED)
    assert (reply.status, reply.error["code"]) == (403, "egress_denied")
    assert _asked(broken) == before


def test_a_failover_does_not_carry_it_out(broken: Broken) -> None:
    # here-down is declared as this machine; it fails, and the cloud behind it is not allowed.
    reply = broken.gateway.chat("mixed", headers=RESTRICTED)
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    (entry,) = broken.gateway.attempts(reply)
    assert (entry.deployment, entry.place) == ("here-down", "device")
    open_reply = broken.gateway.chat("mixed")
    assert open_reply.status == 200
    assert open_reply.headers["x-nearfar-deployment"] == "well"


def test_the_near_one_answers_where_the_far_one_stands_first(broken: Broken) -> None:
    assert broken.gateway.chat("both").headers["x-nearfar-deployment"] == "well"
    reply = broken.gateway.chat("both", headers=RESTRICTED)
    assert (reply.status, reply.headers["x-nearfar-deployment"]) == (200, "here")
    assert reply.headers["x-nearfar-class"] == "restricted"


@pytest.mark.parametrize("value", ["secret", "", "restricted, public", "1", "réstricted"])
def test_a_class_that_cannot_be_read_is_refused(broken: Broken, value: str) -> None:
    before = _asked(broken)
    reply = broken.gateway.chat("well", headers={"x-nearfar-class": value.encode().decode("latin-1")})
    assert (reply.status, reply.error["param"]) == (400, "x-nearfar-class")
    assert _asked(broken) == before


def test_a_class_said_twice_is_not_lowered(broken: Broken) -> None:
    before = _asked(broken)
    body = b'{"model": "well", "messages": [{"role": "user", "content": "hello"}]}'
    for first, second in ((b"restricted", b"public"), (b"public", b"restricted")):
        with broken.gateway.raw() as raw:
            raw.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
                b"x-nearfar-class: %b\r\nx-nearfar-class: %b\r\ncontent-length: %d\r\n\r\n%b"
                % (first, second, len(body), body)
            )
            assert raw.reply().status in {400, 403}
    assert _asked(broken) == before


def test_offline_calls_no_cloud_at_all(gateway: Callable[..., running.Gateway], stand_in: stand_in.Running) -> None:
    config = running.far("far", stand_in.url) + running.far("here", stand_in.url, more='place = "device"')
    config += running.route("any", "far", "here")
    offline = gateway(config, arguments=("--offline",), OPENAI_API_KEY="sk-not-used")
    refused = offline.chat("far")
    assert (refused.status, refused.error["code"]) == (403, "egress_denied")
    assert "offline" in refused.error["message"]
    assert stand_in.report().totals.requests == 0
    answered = offline.chat("any")
    assert (answered.status, answered.headers["x-nearfar-deployment"]) == (200, "here")
    assert stand_in.report().totals.requests == 1


def test_starting_asks_nobody(gateway: Callable[..., running.Gateway], stand_in: stand_in.Running) -> None:
    started = gateway(running.far("far", stand_in.url))
    assert started.ask("/readyz").status == 200
    assert stand_in.report().totals.requests == 0
    assert stand_in.report().connections == 0
