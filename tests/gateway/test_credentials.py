"""How keys are sent, and who signs."""

import pytest

from nearfar.core.errors import APIConnectionError, RateLimitError, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.gateway.credentials import attribute, key_headers, signer, signs


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
