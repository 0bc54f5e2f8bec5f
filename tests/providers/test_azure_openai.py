from nearfar.providers.azure_openai import PROVIDER
from nearfar.providers.base import address


def test_its_address_is_made_of_the_resource() -> None:
    assert address(PROVIDER, {"resource": "clinic"}) == "https://clinic.openai.azure.com"


def test_a_key_goes_out_as_azure_wants_it() -> None:
    assert (PROVIDER.auth, PROVIDER.key_env) == ("api-key", ("AZURE_OPENAI_API_KEY",))
