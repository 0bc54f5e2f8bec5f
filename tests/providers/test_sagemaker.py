"""SageMaker's record: its doors, and addresses as botocore knows them."""

import pytest
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from nearfar.providers.base import address, door
from nearfar.providers.sagemaker import PROVIDER
from nearfar.wire.sagemaker_invoke_prompt import TEMPLATES


@pytest.mark.parametrize(
    ("options", "wire", "path"),
    [
        ({}, "sagemaker.invoke", ""),
        ({"container": "tgi"}, "sagemaker.invoke.tgi", ""),
        ({"container": "lmi-lines"}, "sagemaker.invoke.lines", ""),
        ({"wire": "openai", "endpoint": "ep"}, "sagemaker.openai", "/endpoints/ep/openai/v1"),
    ],
)
def test_options_choose_the_wire_at_the_regions_address(options: dict[str, str], wire: str, path: str) -> None:
    found = door(PROVIDER, options)
    resolver = EndpointResolver(Loader().load_data("endpoints"))
    theirs = resolver.construct_endpoint("runtime.sagemaker", "eu-west-1")
    assert found.wire == wire
    assert address(found, {**options, "region": "eu-west-1"}) == f"https://{theirs['hostname']}{path}"
    assert (found.name, found.auth, found.options) == (PROVIDER.name, PROVIDER.auth, PROVIDER.options)


def test_the_default_template_is_one() -> None:
    assert PROVIDER.options["template"] in TEMPLATES


def test_the_openai_door_needs_its_endpoint() -> None:
    with pytest.raises(LookupError, match="endpoint"):
        address(door(PROVIDER, {"wire": "openai"}), {"region": "eu-west-1"})
