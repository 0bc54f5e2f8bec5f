"""What the official openai client must be able to do with responses, completions and transcriptions.

Works with the current and the previous major: `python responses_checks.py URL KEY OTHER_KEY` runs every check in a
process of its own and prints JSON, {name: traceback or ""}. Only the client's public interface is used, with its strict
validation on. The embedded models have random weights, so what they say is not looked at.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import functools
import io
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal

import openai
from pydantic import BaseModel

MODEL = "tiny"
LIKE = "like"
"""A deployment whose provider has the Responses API itself: a stand-in that sends the golden bytes."""
CUT = "cut"
"""A chat deployment whose streams break: a stand-in."""
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Taipei", "Tainan"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
FORCED: dict[str, Any] = {
    "tools": [WEATHER],
    "tool_choice": "required",
    "extra_body": {"logit_bias": {"2": 100, "3": 50}},
    "max_output_tokens": 1600,
}
"""Token 3 is `<tool_call>`, 2 the end, which the grammar allows after a whole call: random weights make a few."""
WORDS = "Near when it can, far – 遠。"
"""What the golden responses say."""


class Choice(BaseModel):
    """What a model must fill in."""

    colour: Literal["red", "blue"]
    sure: bool


def refused(kind: type[openai.APIStatusError], call: Callable[[], object]) -> openai.APIStatusError:
    """The error of ``kind`` that ``call`` raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def check_create(client: openai.OpenAI, other: openai.OpenAI) -> None:
    reply = client.responses.create(
        model=MODEL, input="Say something.", instructions="Be brief.", max_output_tokens=12, metadata={"k": "v"}
    )
    assert reply.output_text
    assert reply.status in {"completed", "incomplete"}
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    assert 0 < reply.usage.output_tokens <= 12
    assert (reply.instructions, reply.metadata) == ("Be brief.", {"k": "v"})
    assert reply.id.startswith("resp_")


def check_a_limit_makes_it_incomplete(client: openai.OpenAI, other: openai.OpenAI) -> None:
    reply = client.responses.create(model="endless", input="Say something.", max_output_tokens=3)
    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"


def check_stream(client: openai.OpenAI, other: openai.OpenAI) -> None:
    kinds, text, numbers, final = [], "", [], None
    for event in client.responses.create(model=MODEL, input="Say something.", max_output_tokens=12, stream=True):
        kinds.append(event.type)
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
        if event.type in {"response.completed", "response.incomplete"}:
            final = event.response
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    assert numbers == list(range(len(numbers)))
    assert final is not None
    assert final.output_text == text != ""
    assert final.usage is not None


def check_stream_helper(client: openai.OpenAI, other: openai.OpenAI) -> None:
    with client.responses.stream(model=LIKE, input="Hello.") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == WORDS
    assert kinds[-1] == "response.completed"


def check_parse(client: openai.OpenAI, other: openai.OpenAI) -> None:
    reply = client.responses.parse(model=MODEL, input="Choose.", text_format=Choice, max_output_tokens=100)
    assert reply.output_parsed is not None
    assert reply.output_parsed.colour in {"red", "blue"}


def check_tools(client: openai.OpenAI, other: openai.OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input="Weather?", store=False, **FORCED)
    calls = [item for item in reply.output if item.type == "function_call"]
    assert calls
    for call in calls:
        assert call.name == "get_weather"
        assert json.loads(call.arguments)["city"] in {"Taipei", "Tainan"}
    results: list[Any] = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
    history: list[Any] = [
        {"role": "user", "content": "Weather?"},
        *(item.model_dump(exclude_none=True) for item in reply.output),
        *results,
    ]
    again = client.responses.create(model=MODEL, input=history, tools=[WEATHER], max_output_tokens=4)
    assert again.output_text is not None


def check_tools_streamed(client: openai.OpenAI, other: openai.OpenAI) -> None:
    pieces: dict[str, str] = {}
    whole: dict[str, str] = {}
    for event in client.responses.create(model=MODEL, input="Weather?", stream=True, **FORCED):
        if event.type == "response.function_call_arguments.delta":
            pieces[event.item_id] = pieces.get(event.item_id, "") + event.delta
        elif event.type == "response.function_call_arguments.done":
            whole[event.item_id] = event.arguments
    assert pieces == whole
    assert whole
    assert all(json.loads(text)["city"] in {"Taipei", "Tainan"} for text in whole.values())


def check_logprobs(client: openai.OpenAI, other: openai.OpenAI) -> None:
    reply = client.responses.create(
        model=MODEL, input="Say.", max_output_tokens=4, top_logprobs=2, include=["message.output_text.logprobs"]
    )
    [message] = [item for item in reply.output if item.type == "message"]
    [part] = message.content
    assert part.type == "output_text"
    assert part.logprobs
    assert len(part.logprobs[0].top_logprobs) == 2


def check_kept(client: openai.OpenAI, other: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Say something.", max_output_tokens=6)
    found = client.responses.retrieve(made.id)
    assert found.model_dump() == made.model_dump()
    refused(openai.NotFoundError, lambda: other.responses.retrieve(made.id))
    refused(openai.NotFoundError, lambda: other.responses.delete(made.id))
    error = refused(openai.BadRequestError, lambda: client.responses.cancel(made.id))
    assert "background" in error.message
    client.responses.delete(made.id)
    refused(openai.NotFoundError, lambda: client.responses.retrieve(made.id))
    refused(openai.NotFoundError, lambda: client.responses.delete(made.id))


def check_a_stream_is_kept_too(client: openai.OpenAI, other: openai.OpenAI) -> None:
    *_, last = client.responses.create(model=LIKE, input="Hello.", stream=True)
    assert last.type == "response.completed"
    assert client.responses.retrieve(last.response.id).output_text == WORDS
    client.responses.delete(last.response.id)


def check_continued(client: openai.OpenAI, other: openai.OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="One.", max_output_tokens=4)
    second = client.responses.create(model=MODEL, input="Two.", previous_response_id=first.id, max_output_tokens=4)
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    third = client.responses.create(model=MODEL, input="Three.", previous_response_id=second.id, max_output_tokens=4)
    listed = list(client.responses.input_items.list(third.id, order="asc", limit=2))
    assert [item.type for item in listed] == ["message"] * 5, "the client turns the pages by itself"
    assert len({item.id for item in listed}) == 5
    back = [item.id for item in client.responses.input_items.list(third.id)]
    assert back == [item.id for item in reversed(listed)]
    error = refused(
        openai.BadRequestError,
        lambda: other.responses.create(model=MODEL, input="Mine?", previous_response_id=first.id),
    )
    assert error.code == "previous_response_not_found"


def check_items_can_be_named(client: openai.OpenAI, other: openai.OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="One.", max_output_tokens=4)
    which: Any = first.output[0].id
    asked: list[Any] = [{"type": "item_reference", "id": which}, {"role": "user", "content": "Go on."}]
    assert client.responses.create(model=MODEL, input=asked, max_output_tokens=4).output
    error = refused(openai.BadRequestError, lambda: other.responses.create(model=MODEL, input=asked))
    assert error.code == "item_not_found"


def check_what_is_not_to_be_kept_is_not(client: openai.OpenAI, other: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Say.", max_output_tokens=4, store=False)
    refused(openai.NotFoundError, lambda: client.responses.retrieve(made.id))
    raw = client.responses.with_raw_response.create(
        model=MODEL, input="Say.", max_output_tokens=4, extra_headers={"x-nearfar-class": "confidential"}
    )
    assert "dropped:store" in raw.headers["x-nearfar-deviations"]
    assert raw.http_response.json()["store"] is False
    refused(openai.NotFoundError, lambda: client.responses.retrieve(raw.parse().id))


def check_like_wires(client: openai.OpenAI, other: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model=LIKE, input="Hello.")
    reply = raw.parse()
    assert reply.output_text == WORDS
    assert reply.usage is not None
    assert reply.usage.input_tokens_details.cached_tokens == 4
    assert raw.headers["x-nearfar-deployment"] == LIKE
    client.responses.delete(reply.id)


def check_a_cut_stream_never_completes(client: openai.OpenAI, other: openai.OpenAI) -> None:
    for model in (CUT, "like-cut"):
        kinds = []
        try:
            for event in client.responses.create(model=model, input="Hello.", stream=True):
                kinds.append(event.type)  # noqa: PERF401  the events before the failure are looked at
        except openai.APIError as error:
            assert error.code == "stream_cut", error  # noqa: PT017  raised from the middle of a loop
        else:
            raise AssertionError(f"{model} ended clean: {kinds}")
        assert kinds[-1] == "response.failed"
        assert "response.completed" not in kinds


def check_a_rate_limit_is_one(client: openai.OpenAI, other: openai.OpenAI) -> None:
    for stream in (False, True):
        ask: Any = {"model": "limited", "input": "Hello.", "stream": stream}
        error = refused(openai.RateLimitError, functools.partial(client.responses.create, **ask))
        # Whoever asked before may have been told already: what is left of the seven seconds is told then.
        assert 0 < int(error.response.headers["retry-after"]) <= 7


def check_images(client: openai.OpenAI, other: openai.OpenAI) -> None:
    picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    picture += "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    asked: Any = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": picture, "detail": "low"},
            ],
        }
    ]
    assert client.responses.create(model="far", input=asked).output_text


def check_refusals(client: openai.OpenAI, other: openai.OpenAI) -> None:
    create: Any = client.responses.create
    assert (
        refused(openai.BadRequestError, lambda: create(model=MODEL, input="x", background=True)).param == "background"
    )
    mcp: Any = [{"type": "mcp", "server_label": "x", "server_url": "https://example.com"}]
    elsewhere = refused(openai.PermissionDeniedError, lambda: create(model=MODEL, input="x", tools=mcp))
    assert (elsewhere.code, elsewhere.param) == ("elsewhere_denied", "tools[0].type")
    assert refused(openai.NotFoundError, lambda: create(model="tinny", input="x")).code == "model_not_found"
    assert refused(openai.BadRequestError, lambda: create(model=MODEL, input="x", previous_response_id="resp_no")).code


def check_what_codex_sends(client: openai.OpenAI, other: openai.OpenAI) -> None:
    """The shape of Codex's requests: a namespace, a web search that is merely offered, its own metadata."""
    tools: Any = [
        WEATHER,
        {"type": "namespace", "name": "files", "description": "Files.", "tools": [{**WEATHER, "name": "read"}]},
        {"type": "custom", "name": "apply_patch", "description": "Patch."},
        {"type": "web_search", "external_web_access": False},
    ]
    items: Any = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
    ]
    raw = client.responses.with_raw_response.create(
        model=MODEL,
        instructions="You are a coding agent.",
        input=items,
        tools=tools,
        tool_choice="auto",
        parallel_tool_calls=False,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        text={"verbosity": "low"},
        max_output_tokens=4,
        stream=True,
        extra_body={"client_metadata": {"x-codex": "1"}},
    )
    told = raw.headers["x-nearfar-deviations"]
    for deviation in ("dropped:tools.web_search", "adapted:tools.namespace", "adapted:tools.custom"):
        assert deviation in told, told
    assert [event.type for event in raw.parse()][-1] in {"response.completed", "response.incomplete"}


def check_completions(client: openai.OpenAI, other: openai.OpenAI) -> None:
    reply = client.completions.create(model=MODEL, prompt="Once upon", max_tokens=5)
    assert reply.choices[0].text
    assert reply.usage is not None
    chat = client.completions.with_raw_response.create(model="far", prompt="Once upon", max_tokens=5)
    assert "adapted:prompt" in chat.headers["x-nearfar-deviations"]
    assert chat.parse().choices[0].text
    error = refused(openai.BadRequestError, lambda: client.completions.create(model="far", prompt="Once", suffix="end"))
    assert error.param == "suffix"


def check_completions_streamed(client: openai.OpenAI, other: openai.OpenAI) -> None:
    # The client's own types allow no piece without a finish reason, which OpenAI's streams are full of.
    lenient = openai.OpenAI(base_url=str(client.base_url), api_key=client.api_key, max_retries=0)
    with lenient:
        for model in (MODEL, "far"):
            pieces = list(lenient.completions.create(model=model, prompt="Once upon", max_tokens=5, stream=True))
            assert "".join(choice.text for piece in pieces for choice in piece.choices)
            assert [choice.finish_reason for piece in pieces for choice in piece.choices][-1] in {"length", "stop"}


def check_transcriptions(client: openai.OpenAI, other: openai.OpenAI) -> None:
    sound = ("a.wav", io.BytesIO(b"RIFF" + bytes(2000)), "audio/wav")
    reply = client.audio.transcriptions.create(model=LIKE, file=sound, language="zh", timestamp_granularities=["word"])
    assert reply.text == WORDS
    words: Any = client.audio.transcriptions.create(model=LIKE, file=sound, response_format="text")
    assert words.strip() == WORDS
    events = list(client.audio.transcriptions.create(model=LIKE, file=sound, stream=True))
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == WORDS
    error = refused(openai.BadRequestError, lambda: client.audio.transcriptions.create(model=MODEL, file=sound))
    assert error.code == "unsupported"


CHECKS: dict[str, Callable[[openai.OpenAI, openai.OpenAI], None]] = {
    name.removeprefix("check_"): value for name, value in sorted(globals().items()) if name.startswith("check_")
}


def client(url: str, key: str) -> openai.OpenAI:
    """The client that every check gets: no retries, every reply validated."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)


def main() -> None:
    """Run all checks against the gateway at argv[1] with the keys argv[2] and argv[3]."""
    found: dict[str, str] = {"version": openai.__version__}
    for name, check in CHECKS.items():
        found[name] = ""
        with client(sys.argv[1], sys.argv[2]) as mine, client(sys.argv[1], sys.argv[3]) as other:
            try:
                check(mine, other)
            except Exception:  # noqa: BLE001 - reported as this check's result
                found[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
