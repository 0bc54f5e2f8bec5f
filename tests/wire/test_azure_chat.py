import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import openai
import pytest
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


class Asked(BaseHTTPRequestHandler):
    """Remembers what the official client asked for, and refuses it."""

    seen: list[tuple[str, str, dict[str, object]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append((self.path, self.headers["api-key"], body))
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("door", ["older", "newer"])
def test_the_official_client_for_azure_goes_through_the_same_doors(door: str) -> None:
    handler = type("Handler", (Asked,), {"seen": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    client: openai.OpenAI
    if door == "older":
        client = openai.AzureOpenAI(azure_endpoint=url, api_key="k", api_version="2024-10-21", max_retries=0)
    else:
        headers = {"api-key": "k"}
        client = openai.OpenAI(base_url=f"{url}/openai/v1", api_key="k", default_headers=headers, max_retries=0)
    try:
        with client, pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="mini", messages=[{"role": "user", "content": "hi"}])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    ((path, key, body),) = handler.seen  # type: ignore[attr-defined]  # made by type() above
    deployment = there(api_version="2024-10-21") if door == "older" else there()
    mine = PROVIDER.encode(openai_chat.parse(BODY, "r"), deployment, None)
    assert (mine.path, json.loads(mine.body)) == (path, body)
    assert key == "k"


def test_openais_clients_need_no_translation() -> None:
    assert "openai.chat" in PROVIDER.like
