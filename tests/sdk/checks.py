"""What the official openai client must be able to do with the embedded engine. Works with the current and the previous
major: `python checks.py URL KEY` runs every check in a process of its own and prints JSON, {name: traceback or ""}.

Only the client's public interface is used. The models have random weights, so what they say is not looked at.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import asyncio
import base64
import json
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

import openai

CHAT = "tiny"
EMBED = "tiny-embed"
ENDLESS = "endless"
"""A model whose answers end with the context only."""
ASK: list[Any] = [{"role": "user", "content": "Say something."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Taipei", "Tainan"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
FORCED: dict[str, Any] = {
    "tools": [WEATHER],
    "tool_choice": "required",
    "logit_bias": {"2": 100, "3": 50},
    "max_tokens": 1600,
}
"""Token 3 is `<tool_call>`, 2 the end, which the grammar allows after a whole call: random weights make a few."""
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "choice",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
            "required": ["colour", "sure"],
            "additionalProperties": False,
        },
    },
}


def refused(kind: type[openai.APIStatusError], call: Callable[[], object]) -> openai.APIStatusError:
    """The error of ``kind`` that ``call`` raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def check_models(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {CHAT, EMBED, "auto", "local", "cloud"} <= names
    assert client.models.retrieve(CHAT).id == CHAT


def check_chat(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=CHAT, messages=ASK, max_tokens=12)
    choice = reply.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in {"stop", "length"}
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 0
    assert 0 < reply.usage.completion_tokens <= 12
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def check_headers_tell_where_it_ran(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=ASK, max_tokens=4)
    assert raw.headers["x-nearfar-deployment"] == CHAT
    assert raw.headers["x-nearfar-place"] == "device"
    assert raw.parse().choices[0].message.content is not None


def check_stream(client: openai.OpenAI) -> None:
    text, finish, chunks = "", "", 0
    for chunk in client.chat.completions.create(model=CHAT, messages=ASK, max_tokens=12, stream=True):
        assert chunk.usage is None, "nobody asked for usage"
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        chunks += 1
    assert text
    assert chunks > 2
    assert finish in {"stop", "length"}


def check_stream_with_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=CHAT, messages=ASK, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    usages = [chunk.usage for chunk in stream if chunk.usage is not None]
    assert len(usages) == 1
    assert usages[0].prompt_tokens > 0
    assert 0 < usages[0].completion_tokens <= 8


def check_stream_equals_plain(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": CHAT, "messages": ASK, "max_tokens": 16, "temperature": 0, "seed": 7}
    plain = client.chat.completions.create(**asked)
    stream = client.chat.completions.create(**asked, stream=True)
    text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    assert text == plain.choices[0].message.content


def check_seed(client: openai.OpenAI) -> None:
    def answer(seed: int) -> str | None:
        reply = client.chat.completions.create(
            model=CHAT, messages=ASK, max_tokens=16, temperature=1.0, seed=seed, extra_body={"cache_prompt": False}
        )
        return reply.choices[0].message.content

    assert answer(1) == answer(1)
    assert len({answer(seed) for seed in range(1, 5)}) > 1


def check_stop(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=CHAT, messages=ASK, max_tokens=32, temperature=0, seed=1)
    text = whole.choices[0].message.content or ""
    assert len(text) > 8
    cut = client.chat.completions.create(
        model=CHAT, messages=ASK, max_tokens=32, temperature=0, seed=1, stop=[text[6:8]]
    )
    assert cut.choices[0].finish_reason == "stop"
    assert cut.choices[0].message.content == text[: text.index(text[6:8])]


def check_choices(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=CHAT, messages=ASK, max_tokens=6, n=2, temperature=1.0)
    assert sorted(choice.index for choice in reply.choices) == [0, 1]
    seen: set[int] = set()
    finished: set[int] = set()
    for chunk in client.chat.completions.create(
        model=CHAT, messages=ASK, max_tokens=6, n=2, temperature=1.0, stream=True
    ):
        for choice in chunk.choices:
            seen.add(choice.index)
            if choice.finish_reason:
                finished.add(choice.index)
    assert seen == finished == {0, 1}


def check_tools(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=CHAT, messages=ASK, **FORCED)
    calls = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert calls
    for call in calls:
        assert call.type == "function"
        assert call.id
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments)["city"] in {"Taipei", "Tainan"}
    followed: list[Any] = [
        *ASK,
        reply.choices[0].message.model_dump(exclude_none=True),
        *({"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in calls),
    ]
    again = client.chat.completions.create(model=CHAT, messages=followed, tools=[WEATHER], max_tokens=4)
    assert again.choices[0].message.content is not None


def check_tools_streamed(client: openai.OpenAI) -> None:
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    finish, deltas = "", 0
    for chunk in client.chat.completions.create(model=CHAT, messages=ASK, stream=True, **FORCED):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                assert call.function is not None
                names[call.index] = names.get(call.index, "") + (call.function.name or "")
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
                deltas += 1
    assert sorted(names) == list(range(len(names)))
    assert set(names.values()) == {"get_weather"}
    assert deltas > len(names)
    assert all(json.loads(text)["city"] in {"Taipei", "Tainan"} for text in arguments.values())
    assert finish == "tool_calls"


def check_schema(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=CHAT, messages=ASK, response_format=SCHEMA, max_tokens=100)
    value = json.loads(reply.choices[0].message.content or "")
    assert value["colour"] in {"red", "blue"}
    assert isinstance(value["sure"], bool)


def check_logprobs(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": CHAT, "messages": ASK, "max_tokens": 4, "logprobs": True, "top_logprobs": 2}
    plain = client.chat.completions.create(**asked).choices[0].logprobs
    assert plain is not None
    assert plain.content
    assert len(plain.content[0].top_logprobs) == 2
    assert plain.content[0].logprob <= 0
    streamed = [
        choice.logprobs
        for chunk in client.chat.completions.create(**asked, stream=True)
        for choice in chunk.choices
        if choice.logprobs is not None
    ]
    assert streamed
    assert streamed[0].content


def check_embeddings(client: openai.OpenAI) -> None:
    # The client itself asks for base64 unless told otherwise.
    usual = client.embeddings.create(model=EMBED, input=["near", "far"])
    floats = client.embeddings.create(model=EMBED, input=["near", "far"], encoding_format="float")
    packed = client.embeddings.create(model=EMBED, input=["near", "far"], encoding_format="base64")
    assert [row.index for row in usual.data] == [0, 1]
    assert len(usual.data[0].embedding) == 32
    assert usual.usage.prompt_tokens > 0
    for one, two, three in zip(usual.data, floats.data, packed.data, strict=True):
        raw: Any = three.embedding
        unpacked = struct.unpack("<32f", base64.b64decode(raw))
        for a, b, c in zip(one.embedding, two.embedding, unpacked, strict=True):
            assert abs(a - b) < 1e-5
            assert abs(a - c) < 1e-5
    assert len(client.embeddings.create(model=EMBED, input="near").data) == 1


def check_unknown_model(client: openai.OpenAI) -> None:
    error = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="tinny", messages=ASK))
    assert error.code == "model_not_found"
    assert "tiny" in error.message
    assert error.param == "model"


def check_bad_request(client: openai.OpenAI) -> None:
    bad: Any = {"model": CHAT, "messages": ASK, "max_tokens": "many"}
    assert refused(openai.BadRequestError, lambda: client.chat.completions.create(**bad)).param == "max_tokens"


def check_too_long(client: openai.OpenAI) -> None:
    long: list[Any] = [{"role": "user", "content": "word " * 4000}]
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(model=CHAT, messages=long))
    assert error.code == "context_length_exceeded"


def check_wrong_key(client: openai.OpenAI) -> None:
    stranger = client.with_options(api_key="nf-wrong")  # it shares the connections, so it is not closed here
    error = refused(openai.AuthenticationError, stranger.models.list)
    assert error.code == "invalid_api_key"


def check_leaving_a_stream_frees_the_slot(client: openai.OpenAI) -> None:
    # Two slots; each endless answer would hold one for a while. If leaving did not free them, the third would wait.
    for _ in range(3):
        stream = client.chat.completions.create(model=ENDLESS, messages=ASK, stream=True)
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        stream.close()
    reply = client.chat.completions.create(model=ENDLESS, messages=ASK, max_tokens=2)
    assert reply.choices[0].message.content


def check_async_client(client: openai.OpenAI) -> None:
    async def scenario() -> None:
        async with openai.AsyncOpenAI(base_url=str(client.base_url), api_key=client.api_key, max_retries=0) as other:

            async def plain() -> str:
                reply = await other.chat.completions.create(model=CHAT, messages=ASK, max_tokens=6)
                return reply.choices[0].message.content or ""

            async def streamed() -> str:
                text = ""
                async for chunk in await other.chat.completions.create(
                    model=CHAT, messages=ASK, max_tokens=6, stream=True
                ):
                    for choice in chunk.choices:
                        text += choice.delta.content or ""
                return text

            assert all(await asyncio.gather(plain(), streamed(), plain(), streamed()))
            assert {model.id async for model in other.models.list()} >= {CHAT}
            assert len((await other.embeddings.create(model=EMBED, input="near")).data[0].embedding) == 32

    asyncio.run(scenario())


CHECKS: dict[str, Callable[[openai.OpenAI], None]] = {
    name.removeprefix("check_"): value for name, value in sorted(globals().items()) if name.startswith("check_")
}


def main() -> None:
    """Run all checks against the gateway at argv[1] with the key argv[2]."""
    found: dict[str, str] = {"version": openai.__version__}
    for name, check in CHECKS.items():
        found[name] = ""
        with openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=sys.argv[2], max_retries=0) as client:
            try:
                check(client)
            except Exception:  # noqa: BLE001 - reported as this check's result
                found[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
