import json

from tests import gpt4all

from nearfar.providers.gpt4all import PROVIDER, read_models


def test_models() -> None:
    found = read_models(json.dumps(gpt4all.models()).encode())
    assert found is not None
    assert [(item.model, item.local_weights) for item in found] == [(gpt4all.MODEL, False)]


def test_other_answers_are_not_its_own() -> None:
    assert read_models(b'{"object":"list","data":[]}') is None
    assert read_models(b'{"data":[{"id":"m","owned_by":"library"}]}') is None


def test_it_listens_on_one_port_and_takes_no_key() -> None:
    assert (PROVIDER.ports, PROVIDER.auth, PROVIDER.wire) == ((4891,), "none", "gpt4all.chat")
