from nearfar.providers.huggingface_endpoints import PROVIDER


def test_its_address_is_the_owners_and_its_wait_an_option() -> None:
    assert (PROVIDER.base_url, list(PROVIDER.options)) == ("", ["scale_up_timeout"])
