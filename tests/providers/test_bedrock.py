"""Bedrock's record: its doors, and addresses as botocore knows them."""

import pytest
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from nearfar.providers.base import address, door
from nearfar.providers.bedrock import PROVIDER

REGIONS = ["us-east-1", "eu-central-1", "ap-northeast-1"]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("wire", ["converse", "anthropic", "openai"])
def test_every_door_is_at_the_regions_address(region: str, wire: str) -> None:
    resolver = EndpointResolver(Loader().load_data("endpoints"))
    theirs = resolver.construct_endpoint("bedrock-runtime", region)
    found = address(door(PROVIDER, {"wire": wire}), {"region": region})
    assert found.removesuffix("/openai/v1") == f"https://{theirs['hostname']}"
    assert found.endswith("/openai/v1") == (wire == "openai")


def test_without_a_region_there_is_no_address() -> None:
    with pytest.raises(LookupError, match="region"):
        address(PROVIDER, {})


def test_every_door_keeps_name_and_authorisation() -> None:
    wires = {door(PROVIDER, {"wire": name}).wire for name in ("converse", "openai", "anthropic")}
    assert wires == {"bedrock.converse", "openai.chat", "bedrock.anthropic"}
    for found in PROVIDER.doors.values():
        kept = ("name", "title", "options", "auth", "key_env", "place")
        assert [getattr(found, name) for name in kept] == [getattr(PROVIDER, name) for name in kept]
