"""What the official ollama client must be able to do with a gateway. Works with the current and the previous minor:
`python ollama_checks.py URL KEY` runs every check in a process of its own and prints JSON, {name: traceback or ""}.

Only the client's public interface is used. Real models here have random weights, so what they say is not looked at.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ollama

CHAT = "tiny"
EMBED = "tiny-embed"
ENDLESS = "endless"
FAR = "far"
LIMITED = "limited"
CUT = "cut"
REAL = "real"
"""A deployment of the fake Ollama: what reaches it has travelled as the client wrote it."""
TOOLS = "tools"
"""Answers with two tool calls, in OpenAI's dialect."""
ASK: list[Any] = [{"role": "user", "content": "Say something."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA: Any = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
    "required": ["colour", "sure"],
}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


def refused(call: Callable[[], object], status: int) -> str:
    """The message of the error that ``call`` must raise."""
    found = error_of(call)
    assert found is not None, f"not refused with {status}"
    assert found.status_code == status, (found.status_code, found.error)
    return found.error


def error_of(call: Callable[[], object]) -> ollama.ResponseError | None:
    """The typed error that ``call`` raises; its message is text. None when it raises none."""
    try:
        call()
    except ollama.ResponseError as error:
        found = error
    else:
        return None
    assert isinstance(found.error, str)
    assert found.error
    return found


def check_chat(client: Any) -> None:
    reply = client.chat(model=CHAT, messages=ASK, options={"num_predict": 8})
    assert reply.done is True
    assert reply.done_reason in {"stop", "length"}
    assert reply.message.role == "assistant"
    assert isinstance(reply.message.content, str)
    assert reply.prompt_eval_count > 0
    assert 0 < reply.eval_count <= 8
    assert reply.total_duration > 0


def check_chat_stream(client: Any) -> None:
    parts = list(client.chat(model=CHAT, messages=ASK, options={"num_predict": 8}, stream=True))
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 2
    assert parts[-1].eval_count > 0
    assert parts[-1].eval_duration > 0
    assert all(len(part.created_at) == len("2026-11-22T09:20:20.982678585Z") for part in parts)


def check_stream_equals_plain(client: Any) -> None:
    asked: dict[str, Any] = {
        "model": CHAT,
        "messages": ASK,
        "options": {"num_predict": 12, "temperature": 0, "seed": 7},
    }
    plain = client.chat(**asked).message.content
    assert "".join(part.message.content for part in client.chat(**asked, stream=True)) == plain


def check_stop_and_seed(client: Any) -> None:
    options: dict[str, Any] = {"num_predict": 32, "temperature": 0, "seed": 1}
    text = client.chat(model=CHAT, messages=ASK, options=options).message.content
    cut = client.chat(model=CHAT, messages=ASK, options={**options, "stop": [text[6:8]]})
    assert cut.done_reason == "stop"
    assert cut.message.content == text[: text.index(text[6:8])]


def check_schema(client: Any) -> None:
    reply = client.chat(model=CHAT, messages=ASK, format=SCHEMA, options={"num_predict": 200})
    value = json.loads(reply.message.content)
    assert value["colour"] in {"red", "blue"}
    assert isinstance(value["sure"], bool)
    written = client.generate(model=CHAT, prompt="choose", format=SCHEMA, options={"num_predict": 200})
    assert json.loads(written.response).keys() == {"colour", "sure"}


def check_tools(client: Any) -> None:
    reply = client.chat(model=TOOLS, messages=ASK, tools=[WEATHER])
    calls = reply.message.tool_calls
    assert [call.function.name for call in calls]
    assert all(isinstance(call.function.arguments, dict) for call in calls)
    assert reply.done_reason == "stop"


def check_tools_stream(client: Any) -> None:
    parts = list(client.chat(model=TOOLS, messages=ASK, tools=[WEATHER], stream=True))
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert len(calls) > 1, "parallel calls, each whole"
    assert all(isinstance(call.function.arguments, dict) for call in calls)
    assert parts[-1].done


def check_tool_results(client: Any) -> None:
    history: list[Any] = [
        *ASK,
        {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Taipei"}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "rain"},
    ]
    for model in (CHAT, FAR, REAL):
        assert client.chat(model=model, messages=history, tools=[WEATHER], options={"num_predict": 4}).done


def check_image(client: Any) -> None:
    message = {"role": "user", "content": "what is this", "images": [PNG]}
    assert client.chat(model=FAR, messages=[message]).message.content
    assert client.chat(model=REAL, messages=[message]).done
    # A model without eyes says so, and that is the request's fault.
    refused(lambda: client.chat(model=CHAT, messages=[message]), 400)


def check_generate(client: Any) -> None:
    reply = client.generate(model=CHAT, prompt="hello", system="be brief", options={"num_predict": 4})
    assert reply.done
    assert isinstance(reply.response, str)
    parts = list(client.generate(model=CHAT, prompt="hello", options={"num_predict": 4}, stream=True))
    assert parts[-1].done
    assert "".join(part.response for part in parts)
    assert client.generate(model=REAL, prompt="a b c", raw=True).response == "a b c"
    assert "raw" in refused(lambda: client.generate(model=FAR, prompt="a", raw=True), 400)


def check_like_wires(client: Any) -> None:
    parts = list(client.chat(model=REAL, messages=[{"role": "user", "content": "one two three"}], stream=True))
    assert "".join(part.message.content for part in parts).split() == ["one", "two", "three"]
    assert (parts[-1].load_duration, parts[-1].prompt_eval_count) == (1, 3)


def check_embeddings(client: Any) -> None:
    both = client.embed(model=EMBED, input=["near", "far"])
    assert [len(vector) for vector in both.embeddings] == [32, 32]
    assert both.prompt_eval_count > 0
    one = client.embed(model=EMBED, input="near").embeddings
    assert all(abs(a - b) < 1e-5 for a, b in zip(one[0], both.embeddings[0], strict=True))
    old = client.embeddings(model=EMBED, prompt="near").embedding
    assert all(abs(a - b) < 1e-5 for a, b in zip(old, one[0], strict=True))


def check_load_and_unload(client: Any) -> None:
    assert client.generate(model=CHAT).done_reason == "load"
    assert CHAT in {row.model for row in client.ps().models}
    assert client.chat(model=CHAT, messages=[], keep_alive=0).done_reason == "unload"
    assert CHAT not in {row.model for row in client.ps().models}
    assert client.chat(model=REAL, keep_alive="5m").done_reason == "load"
    [row] = [row for row in client.ps().models if row.model == REAL]
    assert row.context_length > 0
    assert client.generate(model=REAL, keep_alive=0).done_reason == "unload"
    assert client.generate(model=FAR).done_reason == "load", "a model elsewhere is always there"


def check_lists(client: Any) -> None:
    rows = {row.model: row for row in client.list().models}
    assert {CHAT, EMBED, FAR, REAL, "auto"} <= rows.keys()
    assert rows[CHAT].digest != rows[FAR].digest
    shown = client.show(CHAT)
    assert "completion" in shown.capabilities
    assert shown.modelinfo["nearfar.context_length"] == 2048
    assert client.show(REAL).modelinfo["nearfar.context_length"] == 8192
    assert client.show(EMBED).capabilities == ["embedding"]
    assert client.show(f"{CHAT}:latest").details.family == "embedded"


def check_names_as_ollama_writes_them(client: Any) -> None:
    assert client.chat(model=f"{CHAT}:latest", messages=ASK, options={"num_predict": 2}).done


def check_errors(client: Any) -> None:
    assert "tinny" in refused(lambda: client.chat(model="tinny", messages=ASK), 404)
    assert "tinny" in refused(lambda: client.show("tinny"), 404)
    assert "tinny" in refused(lambda: client.generate(model="tinny"), 404)
    refused(lambda: client.chat(model=CHAT, messages=ASK, format="yaml-ish" and {"type": 3}), 400)
    refused(lambda: client.embed(model=CHAT, input="x"), 400)
    for call in (client.pull, client.push, client.delete, client.create):
        assert "nearfar models add" in refused(lambda call=call: call("x"), 400)  # type: ignore[misc]  # the loop's own
    refused(lambda: client.copy("a", "b"), 400)


def check_rate_limit(client: Any) -> None:
    refused(lambda: client.chat(model=LIMITED, messages=ASK), 429)
    refused(lambda: list(client.chat(model=LIMITED, messages=ASK, stream=True)), 429)


def check_too_long(client: Any) -> None:
    long = [{"role": "user", "content": "word " * 9000}]
    for model in (CHAT, REAL):
        assert "fit" in refused(lambda model=model: client.chat(model=model, messages=long), 400)  # type: ignore[misc]  # the loop's own


def check_a_cut_stream_never_ends_clean(client: Any) -> None:
    seen: list[Any] = []
    assert error_of(lambda: seen.extend(client.chat(model=CUT, messages=ASK, stream=True))), "it ended clean"
    assert seen, "it had begun"
    assert not any(part.done for part in seen)


def check_leaving_a_stream_frees_the_slot(client: Any) -> None:
    # Two slots; each endless answer would hold one for a while. If leaving did not free them, the third would wait.
    for _ in range(3):
        stream: Any = client.chat(model=ENDLESS, messages=ASK, stream=True)
        next(stream)
        stream.close()
    assert client.chat(model=ENDLESS, messages=ASK, options={"num_predict": 2}).done


def check_async_client(client: Any) -> None:
    url, headers = str(client._client.base_url), {"authorization": client._client.headers["authorization"]}

    async def scenario() -> None:
        other = ollama.AsyncClient(host=url, headers=headers)
        try:

            async def plain() -> bool:
                return bool((await other.chat(model=CHAT, messages=ASK, options={"num_predict": 4})).done)

            async def streamed() -> bool:
                parts = [
                    part
                    async for part in await other.chat(
                        model=CHAT, messages=ASK, options={"num_predict": 4}, stream=True
                    )
                ]
                return bool(parts[-1].done)

            assert all(await asyncio.gather(plain(), streamed(), plain(), streamed()))
        finally:
            await other._client.aclose()

    asyncio.run(scenario())


CHECKS: dict[str, Callable[[Any], None]] = {
    name.removeprefix("check_"): value for name, value in sorted(globals().items()) if name.startswith("check_")
}


@contextmanager
def connected(url: str, key: str) -> Iterator[Any]:
    """A client, closed afterwards; older ones have no way of their own to do that."""
    client = ollama.Client(host=url, headers={"authorization": f"Bearer {key}"})
    try:
        yield client
    finally:
        client._client.close()


def main() -> None:
    """Run all checks against the gateway at argv[1] with the key argv[2]."""
    found: dict[str, str] = {"version": importlib.metadata.version("ollama")}
    for name, check in CHECKS.items():
        found[name] = ""
        with connected(sys.argv[1], sys.argv[2]) as client:
            try:
                check(client)
            except Exception:  # noqa: BLE001 - reported as this check's result
                found[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
