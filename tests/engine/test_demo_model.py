"""The demo model as it is shipped, in the real engine: it says what it is, and every path that needs a model works."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nearfar.core.engines import Endpoint
from nearfar.engine.gguf import read_header
from nearfar.engine.library import DEMO_NAME, DEMO_PATH, Library
from nearfar.engine.supervisor import Supervisor
from nearfar.settings.model import Engine

CARD = Path(__file__).parents[2] / "tools" / "demo_model" / "MODEL_CARD.md"
MAX_BYTES = 6_000_000
UNKNOWN = "I do not know that: I am a tiny demo model."

Post = Callable[[str, dict[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def _post(endpoint: Endpoint, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    connection = _Connection(endpoint.address.removeprefix("unix:"))
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {endpoint.key}"}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def with_engine(folder: Path, scenario: Callable[[Post], Awaitable[None]]) -> None:
    """Run ``scenario`` against the demo model in a child process of its own."""

    async def run() -> None:
        supervisor = Supervisor(Library(folder / "models", DEMO_PATH), Engine(slots=2, threads=1), folder)
        try:
            endpoint = await supervisor.acquire(DEMO_NAME)
            await scenario(lambda path, body: asyncio.to_thread(_post, endpoint, path, body))
            supervisor.release(DEMO_NAME)
        finally:
            await supervisor.close()

    asyncio.run(run())


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 120, **more}


def tool(name: str, about: str, **arguments: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in arguments.items()}
    parameters = {"type": "object", "properties": properties, "required": list(arguments)}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


def test_the_file_is_the_one_in_its_card_and_small() -> None:
    data = DEMO_PATH.read_bytes()
    assert len(data) <= MAX_BYTES
    card = CARD.read_text(encoding="utf-8")
    assert re.findall(r"\b[0-9a-f]{64}\b", card) == [hashlib.sha256(data).hexdigest()]
    assert f"{len(data)} bytes" in card


def test_the_header_says_what_it_is() -> None:
    header = read_header(DEMO_PATH)
    assert header.context_length == 1024
    assert not header.embedding
    head = DEMO_PATH.read_bytes()[:4096]
    for text in (b"demo-tiny", b"apache-2.0", b"A demonstration model"):
        assert text in head


def test_it_names_itself_a_demo_model(tmp_path: Path) -> None:
    async def scenario(post: Post) -> None:
        for text, name in (("Hello!", "demo model"), ("Who are you?", "demo model"), ("你好", "示範模型")):
            status, reply = await post("/v1/chat/completions", question(text))
            assert status == 200
            answer = reply["choices"][0]["message"]["content"]
            assert "demo-tiny" in answer
            assert name in answer

    with_engine(tmp_path, scenario)


def test_it_says_so_when_it_does_not_know(tmp_path: Path) -> None:
    async def scenario(post: Post) -> None:
        for text in ("What is the capital of Germany?", "Write a poem about autumn."):
            _, reply = await post("/v1/chat/completions", question(text))
            assert reply["choices"][0]["message"]["content"].startswith(UNKNOWN)

    with_engine(tmp_path, scenario)


WEATHER = tool("get_weather", "Get the weather of a city", city="string")
TIMER = tool("set_timer", "Set a timer", minutes="integer")
CALLS = [
    ("weather in Taichung", [WEATHER], "get_weather", {"city": "Taichung"}),
    ("What's the weather like in Paris?", [WEATHER, TIMER], "get_weather", {"city": "Paris"}),
    ("set a timer for 25 minutes", [WEATHER, TIMER], "set_timer", {"minutes": 25}),
]


def test_tool_calls_are_parsed_with_their_arguments(tmp_path: Path) -> None:
    async def scenario(post: Post) -> None:
        for text, tools, name, arguments in CALLS:
            status, reply = await post("/v1/chat/completions", question(text, tools=tools))
            assert status == 200
            choice = reply["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            [call] = choice["message"]["tool_calls"]
            assert call["function"]["name"] == name
            assert json.loads(call["function"]["arguments"]) == arguments

    with_engine(tmp_path, scenario)


def test_an_answer_fits_its_schema(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}, "stars": {"type": "integer", "minimum": 0, "maximum": 5}},
        "required": ["mood", "stars"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "review", "schema": schema}}

    async def scenario(post: Post) -> None:
        _, reply = await post("/v1/chat/completions", question("How was it?", response_format=wanted))
        value = json.loads(reply["choices"][0]["message"]["content"])
        assert value.keys() == {"mood", "stars"}
        assert value["mood"] in {"good", "bad"}
        assert value["stars"] in range(6)

    with_engine(tmp_path, scenario)


def test_a_prompt_beyond_its_context_is_refused(tmp_path: Path) -> None:
    async def scenario(post: Post) -> None:
        status, reply = await post("/v1/chat/completions", question("far " * 1500))
        assert status == 400
        assert reply["error"]["type"] == "exceed_context_size_error"

    with_engine(tmp_path, scenario)
