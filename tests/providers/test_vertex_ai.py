import pytest

from nearfar.providers.base import address, door
from nearfar.providers.vertex_ai import PROVIDER

THERE = {"project": "p-1", "location": "europe-west1"}


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_each_location_has_its_address(location: str, host: str) -> None:
    found = address(PROVIDER, {**THERE, "location": location})
    assert found == f"https://{host}/v1/projects/p-1/locations/{location}"


@pytest.mark.parametrize("missing", ["project", "location"])
def test_nothing_is_guessed(missing: str) -> None:
    with pytest.raises(LookupError, match=missing):
        address(PROVIDER, {name: value for name, value in THERE.items() if name != missing})


def test_anthropics_models_are_behind_another_door() -> None:
    claude = door(PROVIDER, {**THERE, "publisher": "anthropic"})
    assert (claude.name, claude.wire, claude.embeddings_wire) == ("vertex-ai", "vertex.anthropic", "")
    assert address(claude, THERE) == address(PROVIDER, THERE)
    assert door(PROVIDER, THERE) is PROVIDER
