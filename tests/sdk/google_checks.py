"""What Google's official client must be able to do through a gateway. Works with the current and the previous major:
`python google_checks.py URL KEY` runs every check and prints JSON, {name: traceback or ""}.

Models behind the gateway: ``tiny``, ``tiny-embed`` and ``endless`` of the embedded engine; ``g-NAME`` at an upstream of
Google's dialect, ``v-NAME`` at one in Vertex AI's place, ``o-NAME`` at one of OpenAI's (google_upstream, upstreams).
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-def,no-untyped-call,type-arg"

from __future__ import annotations

import asyncio
import functools
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from google import genai
from google.genai import errors, types

ASK = "Say something."
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082"
)
WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather of a city.",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={"city": types.Schema(type=types.Type.STRING, enum=["Taipei", "Tainan"])},
        required=["city"],
    ),
)
TOOLS = [types.Tool(function_declarations=[WEATHER])]
FORCE = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY))


def config(**fields: Any) -> types.GenerateContentConfig:
    off = types.AutomaticFunctionCallingConfig(disable=True)
    return types.GenerateContentConfig(automatic_function_calling=off, **fields)


def refused(kind: type[errors.APIError], call: Callable[[], object]) -> errors.APIError:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def stream(client: genai.Client, model: str, contents: Any = ASK, **fields: Any) -> list[Any]:
    return list(client.models.generate_content_stream(model=model, contents=contents, config=config(**fields)))


def parts(chunks: list[Any]) -> list[Any]:
    return [part for chunk in chunks for part in (chunk.candidates[0].content.parts or ())]


def check_engine_text(client: genai.Client) -> None:
    reply = client.models.generate_content(model="tiny", contents=ASK, config=config(max_output_tokens=12))
    assert reply.text
    assert reply.candidates[0].finish_reason.value in {"STOP", "MAX_TOKENS"}
    usage = reply.usage_metadata
    assert usage.prompt_token_count > 0
    assert 0 < usage.candidates_token_count <= 12
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


def check_engine_stream_equals_plain(client: genai.Client) -> None:
    fields: dict[str, Any] = {"max_output_tokens": 16, "temperature": 0, "seed": 7}
    plain = client.models.generate_content(model="tiny", contents=ASK, config=config(**fields))
    chunks = stream(client, "tiny", **fields)
    assert len(chunks) > 2
    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    assert chunks[-1].candidates[0].finish_reason is not None
    assert chunks[-1].usage_metadata.total_token_count > 0


def check_engine_schema(client: genai.Client) -> None:
    schema = types.Schema(
        type=types.Type.OBJECT,
        properties={
            "colour": types.Schema(type=types.Type.STRING, enum=["red", "blue"]),
            "sure": types.Schema(type=types.Type.BOOLEAN),
        },
        required=["colour", "sure"],
    )
    googles = {"response_schema": schema}
    json_schema: dict[str, Any] = {
        "response_json_schema": {
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
            "required": ["colour", "sure"],
            "additionalProperties": False,
        }
    }
    for given in (googles, json_schema):
        fields: dict[str, Any] = {"response_mime_type": "application/json", "max_output_tokens": 100, **given}
        reply = client.models.generate_content(model="tiny", contents=ASK, config=config(**fields))
        value = json.loads(reply.text)
        assert value["colour"] in {"red", "blue"}
        assert isinstance(value["sure"], bool)


def check_engine_tools(client: genai.Client) -> None:
    # Token 3 is `<tool_call>`, 2 the end, which the grammar allows after a whole call: random weights make a few.
    bias = types.HttpOptions(extra_body={"logit_bias": {"2": 100, "3": 50}})
    forced = config(tools=TOOLS, tool_config=FORCE, max_output_tokens=1600, http_options=bias)
    streamed = list(client.models.generate_content_stream(model="tiny", contents=ASK, config=forced))
    assert [part.function_call.name for part in parts(streamed) if part.function_call]
    reply = client.models.generate_content(model="tiny", contents=ASK, config=forced)
    assert reply.function_calls
    assert all(
        call.name == "get_weather" and call.args["city"] in {"Taipei", "Tainan"} for call in reply.function_calls
    )
    answers = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "rain"}))
        for call in reply.function_calls
    ]
    history = [
        types.Content(role="user", parts=[types.Part(text=ASK)]),
        reply.candidates[0].content,
        types.Content(role="user", parts=answers),
    ]
    again = client.models.generate_content(
        model="tiny", contents=history, config=config(tools=TOOLS, max_output_tokens=4)
    )
    assert again.candidates[0].content.parts


def check_engine_embeddings(client: genai.Client) -> None:
    found = client.models.embed_content(model="tiny-embed", contents=["near", "far"]).embeddings
    assert [len(item.values) for item in found] == [32, 32]


def check_engine_counts_by_estimate(client: genai.Client) -> None:
    assert client.models.count_tokens(model="tiny", contents=ASK).total_tokens > 0


def check_engine_too_long(client: genai.Client) -> None:
    call = lambda: client.models.generate_content(model="tiny", contents="word " * 4000)  # noqa: E731 - used at once
    assert refused(errors.ClientError, call).status == "INVALID_ARGUMENT"


def check_leaving_a_stream_frees_the_slot(client: genai.Client) -> None:
    for _ in range(3):
        answer = client.models.generate_content_stream(model="endless", contents=ASK)
        next(answer)
        answer.close()
    reply = client.models.generate_content(model="endless", contents=ASK, config=config(max_output_tokens=2))
    assert reply.candidates[0].content.parts


def check_leaving_an_upstreams_stream(client: genai.Client) -> None:
    answer = client.models.generate_content_stream(model="g-endless", contents=ASK)
    next(answer)
    answer.close()


def check_text(client: genai.Client) -> None:
    for door, text in (("g", "Hello! 你好"), ("v", "Hello! 你好")):
        reply = client.models.generate_content(model=f"{door}-text", contents=ASK)
        assert reply.text == text
        assert reply.model_version == "gemini-3-flash"
        assert (reply.usage_metadata.prompt_token_count, reply.usage_metadata.candidates_token_count) == (4, 5)
        chunks = stream(client, f"{door}-text")
        assert "".join(chunk.text or "" for chunk in chunks) == "The sky is blue 世界."
        assert chunks[-1].usage_metadata.cached_content_token_count == 3
    assert client.models.generate_content(model="o-text", contents=ASK).text
    assert "".join(chunk.text or "" for chunk in stream(client, "o-text"))


def check_parallel_tools_and_their_signatures(client: genai.Client) -> None:
    for door in ("g", "v"):
        chunks = stream(client, f"{door}-tools", tools=TOOLS)
        calls = [part for part in parts(chunks) if part.function_call]
        assert [part.function_call.name for part in calls] == ["get_weather", "get_time"]
        assert calls[0].thought_signature
        assert calls[0].function_call.args == {"city": "Taipei 台北"}
        reply = client.models.generate_content(model=f"{door}-tools", contents=ASK, config=config(tools=TOOLS))
        assert [call.id for call in reply.function_calls] == ["fc_1", "fc_2"]
        # The history goes back with the signature as it came: google_upstream keeps what it saw.
        history = [types.Content(role="user", parts=[types.Part(text=ASK)]), reply.candidates[0].content]
        answers = [
            types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "x"}))
            for call in reply.function_calls
        ]
        history.append(types.Content(role="user", parts=answers))
        assert client.models.generate_content(model=f"{door}-text", contents=history, config=config(tools=TOOLS)).text
    for reply in (stream(client, "o-tools", tools=TOOLS), [plain(client, "o-tools")]):
        calls = [part.function_call for part in parts(reply) if part.function_call]
        assert len(calls) >= 1
        assert all(call.id and call.name and isinstance(call.args, dict) for call in calls)
        assert reply[-1].candidates[0].finish_reason.value == "STOP"


def plain(client: genai.Client, model: str) -> Any:
    return client.models.generate_content(model=model, contents=ASK, config=config(tools=TOOLS))


def check_automatic_function_calling(client: genai.Client) -> None:
    """The client itself runs a Python function; the engine is forced to call it once."""

    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"rain in {city}"

    limit = types.AutomaticFunctionCallingConfig(maximum_remote_calls=1)
    fields: dict[str, Any] = {"tools": [get_weather], "automatic_function_calling": limit, "max_output_tokens": 8}
    reply = client.models.generate_content(model="tiny", contents=ASK, config=types.GenerateContentConfig(**fields))
    assert reply.candidates


def check_thoughts(client: genai.Client) -> None:
    for door in ("g", "v"):
        found = parts(stream(client, f"{door}-thinking"))
        assert "".join(part.text for part in found if part.thought) == "**Counting**\nOne, two."
        assert "".join(part.text or "" for part in found if not part.thought) == "There are two."
        assert found[-1].thought_signature
    found = parts(stream(client, "o-reasoning_vllm"))
    assert any(part.thought and part.text for part in found)
    assert any(part.text and not part.thought for part in found)


def check_images(client: genai.Client) -> None:
    picture = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    for door in ("g", "v", "o"):
        assert client.models.generate_content(model=f"{door}-text", contents=[picture, ASK]).text
    refused(errors.ClientError, lambda: client.models.generate_content(model="o-blind", contents=[picture, ASK]))


def check_blocked_prompt(client: genai.Client) -> None:
    reply = client.models.generate_content(model="g-blocked", contents=ASK)
    assert not reply.candidates
    assert reply.prompt_feedback.block_reason.value == "PROHIBITED_CONTENT"


def check_logprobs(client: genai.Client) -> None:
    fields: dict[str, Any] = {"response_logprobs": True, "logprobs": 2, "max_output_tokens": 4}
    for model in ("g-logprobs", "tiny"):
        reply = client.models.generate_content(model=model, contents=ASK, config=config(**fields))
        found = reply.candidates[0].logprobs_result
        assert found.chosen_candidates[0].log_probability <= 0
        assert len(found.top_candidates[0].candidates) == 2


def check_choices(client: genai.Client) -> None:
    seen = {
        candidate.index or 0: candidate.finish_reason
        for chunk in stream(client, "g-choices", candidate_count=2)
        for candidate in chunk.candidates
    }
    assert sorted(seen) == [0, 1]


def check_embeddings(client: genai.Client) -> None:
    found = client.models.embed_content(model="g-embed", contents=["a", "b"]).embeddings
    assert [item.values[1] for item in found] == [-0.008711934, 0.5]
    found = client.models.embed_content(model="v-embed", contents=["a", "b"]).embeddings
    assert found[1].values == [0.3, 0.4]


def check_counting(client: genai.Client) -> None:
    assert client.models.count_tokens(model="g-text", contents=ASK).total_tokens == 31
    assert client.models.count_tokens(model="v-text", contents=ASK).total_tokens == 31


def check_errors(client: genai.Client) -> None:
    rows: list[tuple[str, type[errors.APIError], int, str]] = [
        ("g-429", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("o-429", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("g-503", errors.ServerError, 503, "UNAVAILABLE"),
        ("g-context", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("o-400", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("g-key", errors.ServerError, 502, "UNAVAILABLE"),
        ("o-401", errors.ServerError, 502, "UNAVAILABLE"),
        ("nobody", errors.ClientError, 404, "NOT_FOUND"),
    ]
    for model, kind, code, status in rows:
        calls: list[Callable[[], object]] = [
            functools.partial(client.models.generate_content, model=model, contents=ASK),
            functools.partial(stream, client, model),
        ]
        for call in calls:
            error = refused(kind, call)
            assert (error.code, error.status) == (code, status), (model, error)
            assert "sk-" not in str(error)
    details = refused(errors.ClientError, lambda: client.models.generate_content(model="o-429", contents=ASK)).details
    assert any("retryDelay" in item for item in details["error"]["details"])


def check_unsupported(client: genai.Client) -> None:
    search = config(tools=[types.Tool(google_search=types.GoogleSearch())])
    file = types.Part(file_data=types.FileData(file_uri="gs://x/y.png", mime_type="image/png"))
    calls: list[Callable[[], object]] = [
        lambda: client.models.generate_content(model="tiny", contents=ASK, config=search),
        lambda: client.models.generate_content(model="tiny", contents=[file, ASK]),
    ]
    for call in calls:
        error = refused(errors.ClientError, call)
        assert (error.code, error.status) == (403, "PERMISSION_DENIED")


def check_wrong_key(client: genai.Client) -> None:
    options = types.HttpOptions(base_url=sys.argv[1])
    stranger = genai.Client(api_key="nf-wrong", http_options=options)
    error = refused(errors.ClientError, lambda: stranger.models.generate_content(model="tiny", contents=ASK))
    assert (error.code, error.status) == (401, "UNAUTHENTICATED")
    stranger.close()


def check_a_cut_stream_never_ends_clean(client: genai.Client) -> None:
    for model in ("g-cut", "g-unfinished", "o-cut", "o-unfinished"):
        got: list[Any] = []
        try:
            got.extend(client.models.generate_content_stream(model=model, contents=ASK))
        except Exception as error:  # noqa: BLE001 - the connection's own error counts as well
            found: Exception | None = error
        else:
            found = None
        assert found is not None, f"{model} ended clean"
        assert not any(chunk.candidates and chunk.candidates[0].finish_reason for chunk in got)


def check_models(client: genai.Client) -> None:
    names = {model.name for model in client.models.list()}
    assert {"models/tiny", "models/auto", "models/g-text"} <= names
    assert client.models.get(model="tiny").name == "models/tiny"
    few = client.models.list(config={"page_size": 2})
    assert len(list(few)) == len(names)


def check_async(client: genai.Client) -> None:
    async def scenario() -> None:
        reply = await client.aio.models.generate_content(model="g-text", contents=ASK)
        assert reply.text == "Hello! 你好"
        answer = await client.aio.models.generate_content_stream(model="o-text", contents=ASK)
        assert "".join([chunk.text or "" async for chunk in answer])

    asyncio.run(scenario())


def check_vertex_mode() -> None:
    """The same client in its other mode calls Vertex AI's paths, with a bearer token."""
    from google.oauth2.credentials import Credentials

    client = genai.Client(
        vertexai=True,
        project="p",
        location="l",
        credentials=Credentials(token=sys.argv[2]),
        http_options=types.HttpOptions(base_url=sys.argv[1]),
    )
    assert client.models.generate_content(model="v-text", contents=ASK).text == "Hello! 你好"
    assert "".join(chunk.text or "" for chunk in stream(client, "o-text"))
    assert client.models.count_tokens(model="v-text", contents=ASK).total_tokens == 31
    found = client.models.embed_content(model="tiny-embed", contents=["near"]).embeddings
    assert len(found[0].values) == 32
    error = refused(errors.ClientError, lambda: client.models.generate_content(model="nobody", contents=ASK))
    assert error.code == 404
    client.close()


CHECKS = {name.removeprefix("check_"): value for name, value in sorted(globals().items()) if name.startswith("check_")}


def main() -> None:
    """Run all checks against the gateway at argv[1] with the key argv[2]."""
    found: dict[str, str] = {"version": genai.__version__}
    for name, check in CHECKS.items():
        client = genai.Client(api_key=sys.argv[2], http_options=types.HttpOptions(base_url=sys.argv[1]))
        found[name] = ""
        try:
            check(*([] if name == "vertex_mode" else [client]))
        except Exception:  # noqa: BLE001 - reported as this check's result
            found[name] = traceback.format_exc()
        client.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
