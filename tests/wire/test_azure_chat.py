import json

import msgspec
from tests.wire.test_azure_doors import there

from nearfar.wire import openai_chat
from nearfar.wire.azure_chat import PROVIDER

BODY = b'{"model":"asked","messages":[{"role":"user","content":"hi"}]}'


def test_the_bytes_are_openais_and_the_path_is_azures() -> None:
    request = openai_chat.parse(BODY, "r")
    deployment = there()
    mine = PROVIDER.encode(request, deployment, None)
    assert msgspec.structs.replace(mine, path="/chat/completions") == openai_chat.encode(request, deployment, None)
    assert mine.path == "/openai/v1/chat/completions"
    assert json.loads(mine.body)["model"] == "mini", "at this door the model is the deployment's name"
    old = PROVIDER.encode(request, there(api_version="2024-10-21"), None)
    assert old.path == "/openai/deployments/mini/chat/completions?api-version=2024-10-21"


def test_openais_clients_need_no_translation() -> None:
    assert "openai.chat" in PROVIDER.like
