import json

import pytest

from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.azure_doors import error, through
from nearfar.wire.base import Outgoing

OUT = Outgoing(path="/chat/completions", body=b"{}")


def there(base_url: str = "https://res.openai.azure.com", model: str = "mini", **options: str) -> Deployment:
    return Deployment(
        name="d",
        provider="azure-openai",
        model=model,
        wire="azure.chat",
        base_url=base_url,
        place=Place.CLOUD,
        options=options,
    )


def test_the_newer_door_needs_no_version() -> None:
    assert through(OUT, there(resource="res")).path == "/openai/v1/chat/completions"


@pytest.mark.parametrize("base", ["https://res.openai.azure.com/openai/v1", "https://res.openai.azure.com/openai/v1/"])
def test_an_address_with_the_door_in_it_is_taken_as_it_is(base: str) -> None:
    assert through(OUT, there(base)).path == "/chat/completions"


def test_the_older_door_names_deployment_and_version() -> None:
    path = through(OUT, there(model="gpt 4/o", api_version="2024-10-21")).path
    assert path == "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21"


def test_a_missing_deployment_is_explained_and_a_filter_is_the_requests_fault() -> None:
    missing = error(404, {}, json.dumps({"error": {"code": "DeploymentNotFound", "message": "No."}}).encode())
    assert isinstance(missing, UpstreamError)
    assert "name of the deployment" in missing.hint
    filtered = error(400, {}, json.dumps({"error": {"code": "content_filter", "message": "No."}}).encode())
    assert (type(filtered), filtered.code) == (BadRequestError, "content_filter")
