from tests.wire.test_azure_doors import there

from nearfar.wire import openai_embeddings
from nearfar.wire.azure_embeddings import PROVIDER


def test_the_bytes_are_openais_and_the_path_is_azures() -> None:
    request = openai_embeddings.CLIENT.parse(b'{"model":"asked","input":"a"}', "r")
    assert PROVIDER.encode(request, there(), None).path == "/openai/v1/embeddings"
    old = PROVIDER.encode(request, there(api_version="2024-10-21"), None)
    assert old.path == "/openai/deployments/mini/embeddings?api-version=2024-10-21"
    assert old.body == openai_embeddings.PROVIDER.encode(request, there(), None).body
