"""Names, addresses and heads: what a request's model stands for, and the bytes that lead to it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.house import run, snapshot, target

from nearfar import __version__
from nearfar.core.errors import NoRoute, RateLimitError
from nearfar.core.places import Place
from nearfar.core.routing import Candidate, Deployment, Route
from nearfar.gateway.fleet import ENGINE, Fleet, Snapshot, build_head, parse_base, routes_over
from nearfar.gateway.health import Health
from nearfar.policy.seal import Origin
from nearfar.wire.base import Outgoing

LOCAL = Origin(scheme="http", host="127.0.0.1", port=8000)


def deployment(name: str, *, demo: bool = False, operations: tuple[str, ...] = ("chat",)) -> Deployment:
    return Deployment(
        name=name,
        provider="p",
        model=f"{name}-model",
        wire="openai.chat",
        base_url="http://127.0.0.1:1",
        place=Place.CLOUD,
        demo=demo,
        operations=frozenset(operations),
    )


def of(*names: str) -> Snapshot:
    return Snapshot({}, {name: Route(name=name, strategy="local-first", deployments=()) for name in names})


class Renewing:
    """Says what it is told to say, and remembers how it was asked."""

    def __init__(self, *answers: Snapshot | None) -> None:
        self.answers = list(answers)
        self.asked: list[bool] = []

    async def __call__(self, *, known: bool) -> Snapshot | None:
        self.asked.append(known)
        return self.answers.pop(0)


# ---------------------------------------------------------------- finding


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    fleet = Fleet(of("gpt-4o-mini", "claude", "zebra"), Health())
    with pytest.raises(NoRoute, match="'gpt-4o-min'") as caught:
        asyncio.run(fleet.find("gpt-4o-min"))
    assert (caught.value.status, caught.value.param) == (404, "model")
    assert caught.value.hint == "Nearest names: gpt-4o-mini. `nearfar route ls` (or GET /v1/models) lists all."
    with pytest.raises(NoRoute) as caught:
        asyncio.run(fleet.find("0000"))
    assert caught.value.hint == "No name is near it. `nearfar route ls` (or GET /v1/models) lists all."
    with pytest.raises(NoRoute) as caught:
        asyncio.run(Fleet(of(), Health()).find("x"))
    assert "nearfar models add" in caught.value.hint


def test_a_configured_route_waits_for_no_search() -> None:
    renew = Renewing()
    fleet = Fleet(of("mine"), Health(), fixed={"mine"}, renew=renew)
    assert asyncio.run(fleet.find("mine")).name == "mine"
    assert fleet.at_once("mine") is asyncio.run(fleet.find("mine"))
    assert fleet.at_once("other") is None
    assert renew.asked == []


def test_a_configured_route_that_lacks_a_key_may_have_got_it() -> None:
    broken = Candidate(deployment=deployment("far"), state="unusable", trouble="the key at file:/x is gone")
    route = Route(name="mine", strategy="local-first", deployments=("far",))
    renew = Renewing(None)
    fleet = Fleet(Snapshot({}, {"mine": route}, {"far": broken}), Health(), fixed={"mine"}, renew=renew)
    assert fleet.at_once("mine") is None, "its key may have come: somebody has to look"
    assert asyncio.run(fleet.find("mine")) is route
    assert renew.asked == [True]
    assert fleet.candidates(route, fleet.snapshot) == [broken], "it is a candidate, so that its trouble is told"


def test_other_names_have_the_machine_looked_at_first() -> None:
    later = of("auto", "ollama/llama")
    renew = Renewing(None, later, None)
    fleet = Fleet(of("auto"), Health(), renew=renew)
    assert asyncio.run(fleet.find("auto")).name == "auto"
    assert asyncio.run(fleet.find("ollama/llama")).name == "ollama/llama"
    assert fleet.snapshot is later
    with pytest.raises(NoRoute):
        asyncio.run(fleet.find("nowhere"))
    assert renew.asked == [True, False, False]


def test_candidates_stand_in_the_routes_order_with_what_health_knows() -> None:
    health = Health(clock=lambda: 100.0)
    known = snapshot(target("a", 1), target("b", 2))
    fleet = Fleet(known, health)
    route = Route(name="r", strategy="cloud-first", deployments=("b", "gone", "a"))
    assert fleet.candidates(route, known) == [known.targets["b"].ready, known.targets["a"].ready]
    health.failed("b", RateLimitError("", retry_after=7))
    resting, ready = fleet.candidates(route, known)
    assert (resting.deployment.name, resting.state, resting.cooling) == ("b", "cooling", 7.0)
    assert resting.cooling_reason == "rate_limit_exceeded"
    assert ready is known.targets["a"].ready


# ---------------------------------------------------------------- routes


def test_every_deployment_has_a_route_and_so_has_every_choice() -> None:
    routes = routes_over([deployment("a"), deployment("b")], {})
    assert {name: (route.strategy, route.deployments) for name, route in routes.items()} == {
        "auto": ("local-first", ("a", "b")),
        "local": ("local-only", ("a", "b")),
        "cloud": ("cloud-only", ("a", "b")),
        "a": ("local-first", ("a",)),
        "b": ("local-first", ("b",)),
    }


def test_what_is_configured_wins_over_every_other_meaning_of_a_name() -> None:
    mine = {
        "auto": Route(name="auto", strategy="cloud-only", deployments=("b",)),
        "a": Route(name="a", strategy="cloud-first", deployments=("b", "a")),
    }
    routes = routes_over([deployment("a"), deployment("b")], mine)
    assert (routes["auto"], routes["a"]) == (mine["auto"], mine["a"])


def test_the_demo_model_answers_only_while_nothing_else_can_chat() -> None:
    demo = deployment("demo", demo=True)
    embeds = deployment("minilm", operations=("embeddings",))
    assert routes_over([demo], {})["auto"].deployments == ("demo",)
    assert routes_over([demo, embeds], {})["auto"].deployments == ("demo", "minilm")
    beside = routes_over([demo, embeds, deployment("real")], {})
    assert all(beside[name].deployments == ("minilm", "real") for name in ("auto", "local", "cloud"))
    assert beside["demo"].deployments == ("demo",), "who asks for it by name gets it"


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("base", "origin", "path"),
    [
        ("http://127.0.0.1:8000/v1", LOCAL, "/v1"),
        ("http://127.0.0.1:8000/v1/", LOCAL, "/v1"),
        ("http://127.0.0.1:8000", LOCAL, ""),
        ("https://api.example.org/v1", Origin(scheme="https", host="api.example.org", port=443), "/v1"),
        ("http://example.org", Origin(scheme="http", host="example.org", port=80), ""),
        ("http://[::1]:9/a/b", Origin(scheme="http", host="::1", port=9), "/a/b"),
        ("unix:/run/x.sock", Origin(scheme="unix", host="/run/x.sock"), ""),
        (ENGINE, Origin(scheme="unix", host=""), "/v1"),
    ],
)
def test_base_urls(base: str, origin: Origin, path: str) -> None:
    assert parse_base(base) == (origin, path)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (LOCAL, "127.0.0.1:8000"),
        (Origin(scheme="https", host="api.example.org", port=443), "api.example.org"),
        (Origin(scheme="http", host="api.example.org", port=443), "api.example.org:443"),
        (Origin(scheme="http", host="::1", port=80), "[::1]"),
        (Origin(scheme="http", host="::1", port=9), "[::1]:9"),
        (Origin(scheme="unix", host="/run/x.sock"), "localhost"),
    ],
)
def test_the_host_line(origin: Origin, host: str) -> None:
    assert f"\r\nhost: {host}\r\n" in build_head("GET", "/", origin, ()).decode()


def test_a_head_is_exactly_its_lines() -> None:
    assert build_head("POST", "/v1/x", LOCAL, [("a", "1"), ("b", "é")]).decode("latin-1").split("\r\n") == [
        "POST /v1/x HTTP/1.1",
        "host: 127.0.0.1:8000",
        f"user-agent: nearfar/{__version__}",
        "accept-encoding: identity",
        "a: 1",
        "b: é",
    ]


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_no_header_breaks_out_of_its_line(name: str, value: str) -> None:
    try:
        head = build_head("POST", "/", LOCAL, [(name, value)])
    except ValueError:
        assert set(name + value) & set("\r\n\0")
    else:
        assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == 4
        assert b"\0" not in head


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\0"])
def test_line_breaks_are_refused(mark: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        build_head("POST", "/", LOCAL, [("x", f"a{mark}evil: 1")])
    with pytest.raises(ValueError, match="line break"):
        build_head("POST", "/", LOCAL, [(f"x{mark}evil", "1")])


# ---------------------------------------------------------------- targets


def test_a_targets_head_carries_its_headers_and_its_key_and_is_made_once() -> None:
    made = target("a", 9, headers={"x-team": "b"})
    outgoing = Outgoing(path="/chat/completions", headers=(("content-type", "application/json"),), body=b"1")
    head = made.head(outgoing)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert lines[-3:] == ["content-type: application/json", "x-team: b", "authorization: Bearer secret"]
    other = Outgoing(path="/chat/completions", headers=outgoing.headers, body=b"2")
    assert made.head(other) is head, "the body has no part in it"
    assert b"x-beta: 1" in made.head(Outgoing(path="/chat/completions", headers=(("x-beta", "1"),), body=b""))


def test_a_target_does_not_remember_heads_without_end() -> None:
    made = target("a", 9)
    for number in range(1000):
        made.head(Outgoing(path=f"/{number}", body=b""))
    assert len(made._heads) <= 64


def test_an_embedded_models_address_is_the_engines_business() -> None:
    made = target("a", place=Place.DEVICE)
    assert (made.engine_model, made.base_path) == ("a-model", "/v1")
    assert target("b", 9).engine_model == ""


def test_what_has_become_known_meanwhile_counts_from_the_next_request_on() -> None:
    old, new = snapshot(target("a")), snapshot(target("b"))
    waiting = [new]
    fleet = Fleet(old, Health(), fixed={"main"}, reread=lambda: waiting.pop() if waiting else None)

    async def scenario() -> None:
        await fleet.find("main")
        assert fleet.snapshot is new
        await fleet.find("main")
        assert fleet.snapshot is new

    run(scenario())
