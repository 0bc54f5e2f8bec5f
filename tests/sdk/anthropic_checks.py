"""What the official anthropic client must be able to do through a gateway: with the embedded engine, with upstreams
that speak its own dialect (models a-NAME) and with those that speak OpenAI's (o-NAME; see upstreams.py for the names).

Works with the current and a previous major: `python anthropic_checks.py URL KEY UPSTREAM` runs every check in a process
of its own and prints JSON, {name: traceback or ""}. Only the client's public interface is used, with its strict
validation of responses on. The engine's models have random weights, so what they say is not looked at.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

import anthropic

CHAT = "tiny"
ENDLESS = "endless"
DOORS = ("a", "o")
ASK: list[Any] = [{"role": "user", "content": "Say something."}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Taipei", "Tainan"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
FORCED: dict[str, Any] = {
    "tools": [WEATHER],
    "tool_choice": {"type": "any"},
    "max_tokens": 1600,
    "extra_body": {"logit_bias": {"2": 100, "3": 50}},
}
"""See FORCED in checks.py; logit_bias is no member of this dialect, and travels all the same."""
SCHEMA: dict[str, Any] = {
    "output_config": {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
                "required": ["colour", "sure"],
                "additionalProperties": False,
            },
        }
    }
}


class Setting(NamedTuple):
    """The client, and where its upstream tells what it saw."""

    client: Any
    """anthropic.Anthropic: the types of two majors differ, what is used of them does not."""
    upstream: str

    def seen(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.upstream}/seen", timeout=20) as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def last(self, model: str) -> dict[str, Any]:
        """The last request for ``model`` as it reached the upstream."""
        found: list[dict[str, Any]] = self.seen()["requests"]
        return [request for request in found if request["body"]["model"] == model][-1]


def refused(kind: type[Exception], call: Callable[[], object]) -> Any:
    """The error of ``kind`` that ``call`` raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def check_models(setting: Setting) -> None:
    page = setting.client.models.list(limit=3)
    assert len(page.data) == 3
    assert page.has_more
    names = [model.id for model in page]
    assert {CHAT, "auto", "local", "cloud", "a-text"} <= set(names), "the client turns the pages by itself"
    assert len(names) == len(set(names))
    model = setting.client.models.retrieve(CHAT)
    assert (model.id, model.type) == (CHAT, "model")
    refused(anthropic.NotFoundError, lambda: setting.client.models.retrieve("nobody"))


def check_chat(setting: Setting) -> None:
    message = setting.client.messages.create(model=CHAT, messages=ASK, max_tokens=12, system="Be brief.")
    assert (message.type, message.role) == ("message", "assistant")
    assert text_of(message)
    assert message.stop_reason in {"end_turn", "max_tokens"}
    assert message.usage.input_tokens > 0
    assert 0 < message.usage.output_tokens <= 12


COLD = {"temperature": 0}


def check_stream(setting: Setting) -> None:
    # Coldest, because a model of random weights that samples may end, or stay in one character's bytes, at once.
    with setting.client.messages.stream(model=CHAT, messages=ASK, max_tokens=12, extra_body=COLD) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(pieces) > 2
    assert text_of(message) == "".join(pieces)
    assert message.usage.input_tokens > 0
    assert 0 < message.usage.output_tokens <= 12
    kinds = [
        event.type for event in setting.client.messages.create(model=CHAT, messages=ASK, max_tokens=4, stream=True)
    ]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def check_stream_equals_plain(setting: Setting) -> None:
    asked: dict[str, Any] = {"model": CHAT, "messages": ASK, "max_tokens": 16, "extra_body": {"temperature": 0}}
    plain = setting.client.messages.create(**asked)
    with setting.client.messages.stream(**asked) as stream:
        assert text_of(stream.get_final_message()) == text_of(plain)


def check_tools_and_their_results(setting: Setting) -> None:
    message = setting.client.messages.create(model=CHAT, messages=ASK, **FORCED)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert calls
    for call in calls:
        assert (call.name, bool(call.id)) == ("get_weather", True)
        assert call.input["city"] in {"Taipei", "Tainan"}
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "rain", "is_error": at == 0}
        for at, call in enumerate(calls)
    ]
    followed: list[Any] = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
        {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]},
    ]
    again = setting.client.messages.create(model=CHAT, messages=followed, tools=[WEATHER], max_tokens=4)
    assert again.content


def check_tools_streamed(setting: Setting) -> None:
    with setting.client.messages.stream(model=CHAT, messages=ASK, **FORCED) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert calls
    assert len(pieces) > len(calls)
    assert all(call.input["city"] in {"Taipei", "Tainan"} for call in calls)
    assert message.stop_reason == "tool_use"


def check_schema(setting: Setting) -> None:
    message = setting.client.messages.create(model=CHAT, messages=ASK, max_tokens=100, extra_body=SCHEMA)
    value = json.loads(text_of(message))
    assert value["colour"] in {"red", "blue"}
    assert isinstance(value["sure"], bool)


def check_stop_sequences(setting: Setting) -> None:
    asked: dict[str, Any] = {"model": CHAT, "messages": ASK, "max_tokens": 32, "extra_body": {"temperature": 0}}
    text = text_of(setting.client.messages.create(**asked))
    assert len(text) > 8
    cut = setting.client.messages.create(**asked, stop_sequences=[text[6:8]])
    assert text_of(cut) == text[: text.index(text[6:8])]


def check_headers_tell_where_it_ran(setting: Setting) -> None:
    raw = setting.client.messages.with_raw_response.create(model=CHAT, messages=ASK, max_tokens=4)
    assert raw.headers["x-nearfar-deployment"] == CHAT
    assert raw.headers["x-nearfar-place"] == "device"
    assert raw.headers["request-id"] == raw.headers["x-nearfar-request"]


def check_the_same_answer_through_either_door(setting: Setting) -> None:
    for door in DOORS:
        plain = setting.client.messages.create(model=f"{door}-text", messages=ASK, max_tokens=9)
        assert text_of(plain).startswith("Hello") or text_of(plain)
        assert plain.stop_reason == "end_turn"
        with setting.client.messages.stream(model=f"{door}-text", messages=ASK, max_tokens=9) as stream:
            message = stream.get_final_message()
        assert text_of(message).startswith("Hello")
        assert message.usage.output_tokens > 0
        assert message.usage.input_tokens > 0


def check_parallel_tools_through_either_door(setting: Setting) -> None:
    tools: list[Any] = [WEATHER, {**WEATHER, "name": "get_time"}]
    for door in DOORS:
        plain = setting.client.messages.create(model=f"{door}-tools", messages=ASK, max_tokens=9, tools=tools)
        with setting.client.messages.stream(model=f"{door}-tools", messages=ASK, max_tokens=9, tools=tools) as stream:
            streamed = stream.get_final_message()
        for message in (plain, streamed):
            calls = [block for block in message.content if block.type == "tool_use"]
            assert calls
            assert len({call.id for call in calls}) == len(calls)
            assert all(isinstance(call.input, dict) for call in calls)
            assert message.stop_reason == "tool_use"
        assert len([block for block in streamed.content if block.type == "tool_use"]) == 2
    assert plain.usage.cache_read_input_tokens is not None
    like = setting.client.messages.create(model="a-tools", messages=ASK, max_tokens=9, tools=tools)
    assert (like.usage.cache_read_input_tokens, like.usage.cache_creation_input_tokens) == (30, 100)


def check_thinking_with_its_signature(setting: Setting) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    asked: dict[str, Any] = {"model": "a-thinking", "messages": ASK, "max_tokens": 2000, "thinking": thinking}
    plain = setting.client.messages.create(**asked)
    with setting.client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        assert message.content[0].type == "thinking"
        assert message.content[0].signature
        assert message.content[1].type == "redacted_thinking"
    followed: list[Any] = [*ASK, {"role": "assistant", "content": plain.model_dump(exclude_none=True)["content"]}, *ASK]
    setting.client.messages.create(model="a-text", messages=followed, max_tokens=9)
    assert setting.last("text")["body"]["messages"][1] == followed[1], "thoughts go back as they came"
    raw = setting.client.messages.with_raw_response.create(model="o-text", messages=followed, max_tokens=9)
    assert "dropped:reasoning" in raw.headers["x-nearfar-deviations"]


def check_reasoning_of_others_is_thinking(setting: Setting) -> None:
    with setting.client.messages.stream(model="o-reasoning_vllm", messages=ASK, max_tokens=9) as stream:
        message = stream.get_final_message()
    thought = message.content[0]
    assert (thought.type, thought.signature) == ("thinking", "")
    assert thought.thinking
    assert text_of(message)
    followed: list[Any] = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
        *ASK,
    ]
    raw = setting.client.messages.with_raw_response.create(model="a-text", messages=followed, max_tokens=9)
    assert raw.headers["x-nearfar-deviations"] == "dropped:reasoning", "Anthropic takes no thought but its own"
    blocks = setting.last("text")["body"]["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["text"]


def check_what_is_particular_travels_to_like_upstreams(setting: Setting) -> None:
    particular: dict[str, Any] = {
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "service_tier": "auto",
    }
    asked: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}
        ],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "max_tokens": 9,
        "extra_body": particular,
        "extra_headers": {"anthropic-beta": "context-management-2025-06-27"},
    }
    setting.client.messages.create(model="a-text", **asked)
    there = setting.last("text")
    assert there["path"] == "/v1/messages"
    assert {name: there["body"][name] for name in particular} == particular
    assert there["body"]["system"] == asked["system"]
    assert there["headers"]["anthropic-beta"] == "context-management-2025-06-27"
    assert there["headers"]["anthropic-version"] in {"2023-06-01", "2026-10-21"}
    assert there["headers"]["x-api-key"] == "sk-upstream", "the gateway's key, not the client's"
    raw = setting.client.messages.with_raw_response.create(model="o-text", **asked)
    told = set(raw.headers["x-nearfar-deviations"].split(", "))
    assert told == {"dropped:cache_control", "dropped:context_management", "dropped:service_tier"}


def check_images(setting: Setting) -> None:
    messages: list[Any] = [{"role": "user", "content": [IMAGE, {"type": "text", "text": "What is it?"}]}]
    setting.client.messages.create(model="a-text", messages=messages, max_tokens=9)
    assert setting.last("text")["body"]["messages"] == messages
    setting.client.messages.create(model="o-text", messages=messages, max_tokens=9)
    sent = setting.last("text")["body"]["messages"][0]["content"][0]
    assert sent == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    blind = refused(
        anthropic.BadRequestError,
        lambda: setting.client.messages.create(model="o-blind", messages=messages, max_tokens=9),
    )
    assert "images" in str(blind)
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [IMAGE]}
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    seen: list[Any] = [*ASK, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    raw = setting.client.messages.with_raw_response.create(model="o-text", messages=seen, max_tokens=9, tools=[WEATHER])
    assert raw.headers["x-nearfar-deviations"] == "moved:media"


def check_errors_of_upstreams(setting: Setting) -> None:
    kinds: dict[int, tuple[type[Exception], str]] = {
        400: (anthropic.BadRequestError, "invalid_request_error"),
        401: (anthropic.InternalServerError, "api_error"),
        404: (anthropic.InternalServerError, "api_error"),
        413: (anthropic.APIStatusError, "request_too_large"),
        429: (anthropic.RateLimitError, "rate_limit_error"),
        500: (anthropic.InternalServerError, "api_error"),
        529: (anthropic.InternalServerError, "overloaded_error"),
    }
    for status, (kind, word) in kinds.items():
        for door in DOORS:
            for stream in (False, True):
                asked: dict[str, Any] = {
                    "model": f"{door}-{status}",
                    "messages": ASK,
                    "max_tokens": 9,
                    "stream": stream,
                }
                error = refused(kind, functools.partial(setting.client.messages.create, **asked))
                assert error.body["error"]["type"] == word, error.body
                assert error.body["request_id"] == error.response.headers["request-id"]
                assert "sk-secret" not in str(error), "an upstream's words about our key are not ours to tell"
                if status == 429:
                    # Whoever asked before may have been told already: what is left of the seven seconds is told then.
                    assert 0 < int(error.response.headers["retry-after"]) <= 7
                    assert error.response.headers["x-should-retry"] == "true"


def check_our_own_errors(setting: Setting) -> None:
    create = setting.client.messages.create
    unknown = refused(anthropic.NotFoundError, lambda: create(model="tinny", messages=ASK, max_tokens=9))
    assert unknown.body["error"]["type"] == "not_found_error"
    assert "tiny" in str(unknown)
    bad: Any = {"model": CHAT, "messages": [{"role": "robot", "content": "x"}], "max_tokens": 9}
    assert "messages[0].role" in str(refused(anthropic.BadRequestError, lambda: create(**bad)))
    long: list[Any] = [{"role": "user", "content": "word " * 4000}]
    error = refused(anthropic.BadRequestError, lambda: create(model=CHAT, messages=long, max_tokens=9))
    assert error.body["error"]["message"].startswith("prompt is too long")
    server: Any = {"type": "web_search_20250305", "name": "web_search"}
    refused(anthropic.PermissionDeniedError, lambda: create(model=CHAT, messages=ASK, max_tokens=9, tools=[server]))


def check_keys(setting: Setting) -> None:
    stranger = setting.client.with_options(api_key="nf-wrong")
    wrong = refused(
        anthropic.AuthenticationError, lambda: stranger.messages.create(model=CHAT, messages=ASK, max_tokens=1)
    )
    assert wrong.body["error"]["type"] == "authentication_error"
    refused(anthropic.AuthenticationError, stranger.models.list)
    url = str(setting.client.base_url)
    with anthropic.Anthropic(base_url=url, api_key=None, auth_token=setting.client.api_key, max_retries=0) as bearer:
        assert bearer.messages.create(model=CHAT, messages=ASK, max_tokens=2).content


def check_the_client_retries_as_it_is_told(setting: Setting) -> None:
    """Its own retries are counted; without a wait that somebody named it is told not to."""
    patient = setting.client.with_options(max_retries=2)
    before = len(setting.seen()["requests"])
    refused(anthropic.InternalServerError, lambda: patient.messages.create(model="a-500", messages=ASK, max_tokens=9))
    assert len(setting.seen()["requests"]) == before + 1


def check_a_broken_stream_never_ends_clean(setting: Setting) -> None:
    for door in DOORS:
        for model in ("cut", "unfinished"):
            asked: dict[str, Any] = {"model": f"{door}-{model}", "messages": ASK, "max_tokens": 9}
            kinds: list[str] = []

            def drain(asked: dict[str, Any] = asked, kinds: list[str] = kinds) -> None:
                kinds.extend(event.type for event in setting.client.messages.create(**asked, stream=True))

            refused(anthropic.APIError, drain)
            assert "message_stop" not in kinds
            if model == "cut":
                refused(anthropic.APIError, functools.partial(setting.client.messages.create, **asked))
            else:
                assert "content_block_delta" in kinds, "what had come was passed on"


def check_waiting_is_bridged_by_pings(setting: Setting) -> None:
    for door in DOORS:
        asked: dict[str, Any] = {"model": f"{door}-late", "messages": ASK, "max_tokens": 9}
        with setting.client.messages.with_streaming_response.create(**asked, stream=True) as raw:
            assert raw.headers["x-nearfar-place"] == "pending", "the head left before anybody answered"
            lines = list(raw.iter_lines())
        assert lines[0] == "event: ping"
        assert lines.index("event: message_start") > 1
        assert any(line.startswith(": ") and f"{door}-late" in line for line in lines), "it is told in the stream"
    with setting.client.messages.stream(model="o-late", messages=ASK, max_tokens=9) as stream:
        assert text_of(stream.get_final_message()).startswith("Hello")


def check_leaving_a_stream_ends_the_upstreams_work(setting: Setting) -> None:
    for door in DOORS:
        before = setting.seen()["left"]
        stream = setting.client.messages.create(model=f"{door}-endless", messages=ASK, max_tokens=9, stream=True)
        for event in stream:
            if event.type == "content_block_delta":
                break
        stream.close()
        give_up = time.monotonic() + 20
        while setting.seen()["left"] == before:
            assert time.monotonic() < give_up, "the upstream still works for a client that left"


def check_leaving_a_stream_frees_the_slot(setting: Setting) -> None:
    for _ in range(3):
        stream = setting.client.messages.create(model=ENDLESS, messages=ASK, max_tokens=4000, stream=True)
        for event in stream:
            if event.type == "content_block_delta":
                break
        stream.close()
    assert setting.client.messages.create(model=ENDLESS, messages=ASK, max_tokens=2).content


def check_count_tokens(setting: Setting) -> None:
    assert setting.client.messages.count_tokens(model="a-text", messages=ASK).input_tokens == 2095
    raw = setting.client.messages.with_raw_response.count_tokens(model=CHAT, messages=ASK, tools=[WEATHER])
    assert raw.parse().input_tokens > 10
    assert raw.headers["x-nearfar-deviations"] == "estimated:input_tokens"


def check_async_client(setting: Setting) -> None:
    async def scenario() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=str(setting.client.base_url), api_key=setting.client.api_key, max_retries=0
        ) as other:

            async def plain() -> str:
                return text_of(await other.messages.create(model=CHAT, messages=ASK, max_tokens=6))

            async def streamed() -> str:
                async with other.messages.stream(model=CHAT, messages=ASK, max_tokens=6) as stream:
                    return "".join([text async for text in stream.text_stream])

            assert all(await asyncio.gather(plain(), streamed(), plain(), streamed()))

    asyncio.run(scenario())


def check_beta_namespace(setting: Setting) -> None:
    message = setting.client.beta.messages.create(
        model="a-text", messages=ASK, max_tokens=9, betas=["context-management-2025-06-27"]
    )
    assert text_of(message)
    assert setting.last("text")["headers"]["anthropic-beta"] == "context-management-2025-06-27"
    assert setting.client.beta.messages.create(model=CHAT, messages=ASK, max_tokens=4).content


CHECKS: dict[str, Callable[[Setting], None]] = {
    name.removeprefix("check_"): value for name, value in sorted(globals().items()) if name.startswith("check_")
}


def main() -> None:
    """Run all checks against the gateway at argv[1] with the key argv[2], whose upstream is at argv[3]."""
    found: dict[str, str] = {"version": anthropic.__version__}
    for name, check in CHECKS.items():
        found[name] = ""
        with anthropic.Anthropic(
            base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0, _strict_response_validation=True
        ) as client:
            try:
                check(Setting(client, sys.argv[3]))
            except Exception:  # noqa: BLE001 - reported as this check's result
                found[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
