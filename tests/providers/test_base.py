"""The provider record's own arithmetic: an address from its options."""

import msgspec
import pytest

from nearfar.providers.base import Provider, address, door

ASKED = Provider(
    name="a", title="A", wire="openai.chat", base_url="https://{name}.{region}.example.com", options={"region": "eu"}
)


def test_options_fill_the_address_and_defaults_stand_in() -> None:
    assert address(ASKED, {"name": "n"}) == "https://n.eu.example.com"
    assert address(ASKED, {"name": "n", "region": "us"}) == "https://n.us.example.com"


@pytest.mark.parametrize("options", [{}, {"name": ""}])
def test_a_missing_option_is_named(options: dict[str, str]) -> None:
    with pytest.raises(LookupError, match=r"^name$"):
        address(ASKED, options)


def test_an_option_chooses_another_door() -> None:
    other = msgspec.structs.replace(ASKED, wire="anthropic.messages")
    both = msgspec.structs.replace(ASKED, options={"wire": "native"}, doors={"wire=other": other})
    assert door(both, {"wire": "other"}) is other
    assert door(both, {}) is door(both, {"wire": "native"}) is both
    default = msgspec.structs.replace(both, options={"wire": "other"})
    assert door(default, {}) is other


def test_a_value_of_an_option_may_have_an_address_of_its_own() -> None:
    some = msgspec.structs.replace(ASKED, addresses={"region=all": "https://{name}.example.com"})
    assert address(some, {"name": "n", "region": "all"}) == "https://n.example.com"
    assert address(some, {"name": "n"}) == "https://n.eu.example.com"
    with pytest.raises(LookupError, match=r"^name$"):
        address(some, {"region": "all"})
