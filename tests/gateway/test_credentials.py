"""How keys are sent, and who signs."""

import asyncio

import pytest

from nearfar.core.errors import APIConnectionError, RateLimitError, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.credentials import (
    attribute,
    key_headers,
    on_this_machine,
    on_this_network,
    refuse_in_clear,
    signer,
    signs,
)
from nearfar.policy.seal import Origin


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ("bearer", ("authorization", "Bearer k")),
        ("x-api-key", ("x-api-key", "k")),
        ("api-key", ("api-key", "k")),
        ("x-goog-api-key", ("x-goog-api-key", "k")),
        ("aws:bedrock", ("authorization", "Bearer k")),
        ("google", ("authorization", "Bearer k")),
    ],
)
def test_a_key_goes_where_the_system_looks_for_it(auth: str, header: tuple[str, str]) -> None:
    assert key_headers(auth, "k") == (header,)


def test_signatures_are_for_those_who_need_them() -> None:
    assert [signs(auth) for auth in ("google", "aws:bedrock", "bearer", "none", "api-key")] == [True, True] + [
        False
    ] * 3


def test_who_signs_is_found_by_name() -> None:
    with pytest.raises(ModuleNotFoundError, match="credentials_nobody"):
        signer("nobody:x", {}, {})


def test_an_upstreams_words_have_a_speaker_and_ours_a_subject() -> None:
    where = Deployment(
        name="well", provider="openai-compatible", model="m", wire="openai.chat", base_url="", place=Place.CLOUD
    )
    said = RateLimitError("slow down", upstream_status=429)
    attribute(said, where)
    assert said.message == str(said) == "well (openai-compatible) says: slow down"
    ours = UpstreamError("The upstream answered 500 without saying why.", upstream_status=500)
    attribute(ours, where)
    assert ours.message == "well (openai-compatible): The upstream answered 500 without saying why."
    unsaid = APIConnectionError("no connection to 127.0.0.1")
    attribute(unsaid, where)
    assert unsaid.message == "no connection to 127.0.0.1"


@pytest.mark.parametrize("host", ["api.example.org", "192.168.1.4", "10.0.0.1", "203.0.114.9", "nas", "localhost.evil"])
def test_a_clouds_credentials_do_not_leave_this_machine_in_clear(host: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        refuse_in_clear(Origin(scheme="http", host=host, port=80))
    assert (caught.value.code, host in caught.value.message) == ("upstream_credentials", True)
    refuse_in_clear(Origin(scheme="https", host=host, port=443))
    assert not on_this_machine(host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "a.localhost"])
def test_on_this_machine_nobody_else_reads(host: str) -> None:
    refuse_in_clear(Origin(scheme="http", host=host, port=80))
    assert on_this_machine(host)
    assert on_this_network(host)


def test_what_is_known_on_the_local_network_alone() -> None:
    assert all(map(on_this_network, ("nas", "box.local", "192.168.0.1", "10.1.1.1", "fd00::1", "fe80::1")))
    assert not any(map(on_this_network, ("api.openai.com", "203.0.114.9", "2606:4700::1111")))


@pytest.mark.parametrize("auth", ["google", "aws:bedrock"])
def test_signers_refuse_before_they_look_for_credentials(auth: str) -> None:
    made = signer(auth, {"region": "us-east-1"}, {})
    with pytest.raises(UpstreamError, match="plain HTTP"):
        asyncio.run(made.headers("POST", Origin(scheme="http", host="proxy.example", port=80), "/", (), b""))
