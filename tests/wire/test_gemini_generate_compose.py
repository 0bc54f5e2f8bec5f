import json
from typing import Any

import msgspec
import pytest

from nearfar.core.errors import BadRequestError
from nearfar.wire import gemini_generate, openai_chat
from nearfar.wire.anthropic_messages_conversation import from_anthropic
from nearfar.wire.gemini_generate_compose import to_gemini
from nearfar.wire.openai_chat_conversation import conversation

Sent = tuple[dict[str, Any], tuple[str, ...]]


def sent(found: tuple[dict[str, Any], tuple[str, ...]]) -> Sent:
    return json.loads(msgspec.json.encode(found[0])), found[1]


def compose(model: str = "gemini-2.5-flash", **value: Any) -> Sent:
    """OpenAI request → Gemini request and the deviations."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **value}
    return sent(to_gemini(conversation(openai_chat.parse(json.dumps(body).encode(), "r")), model))


def turns(*messages: dict[str, Any], model: str = "gemini-2.5-flash") -> tuple[list[Any], tuple[str, ...]]:
    found, deviations = compose(model, messages=list(messages))
    return found["contents"], deviations


def call(call_id: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}, **more}


def refused(**value: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        compose(**value)
    assert caught.value.code == "unsupported"
    return caught.value


def test_the_shared_settings() -> None:
    found, deviations = compose(
        max_tokens=7, temperature=0.5, top_p=0.9, top_k=5, seed=1, stop=["a"], n=2, presence_penalty=0.1,
        frequency_penalty=0.2, logprobs=True, top_logprobs=3,
    )  # fmt: skip
    assert found == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {
            "maxOutputTokens": 7,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 5,
            "seed": 1,
            "stopSequences": ["a"],
            "candidateCount": 2,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "responseLogprobs": True,
            "logprobs": 3,
        },
    }
    assert deviations == ()


def test_what_google_has_no_word_for_is_dropped_and_told() -> None:
    found, deviations = compose(user="u", parallel_tool_calls=False, logit_bias={"1": 2}, metadata={}, service_tier="x")
    assert set(found) == {"contents"}
    assert set(deviations) == {
        "dropped:user",
        "dropped:parallel_tool_calls",
        "dropped:logit_bias",
        "dropped:service_tier",
    }
    found, deviations = compose(safetySettings=[{"category": "c", "threshold": "t"}], mediaResolution="x")
    assert found["safetySettings"] == [{"category": "c", "threshold": "t"}]
    assert found["generationConfig"] == {"mediaResolution": "x"}
    assert deviations == ()


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "told"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192}, ()),
        ("gemini-2.5-flash", "xhigh", {"thinkingBudget": 24576}, ("adapted:reasoning_effort",)),
        ("gemini-3-pro", "low", {"thinkingLevel": "LOW"}, ()),
        ("gemini-3-pro", "none", {"thinkingLevel": "MINIMAL"}, ("adapted:reasoning_effort",)),
        ("gemini-flash-latest", "xhigh", {"thinkingLevel": "HIGH"}, ("adapted:reasoning_effort",)),
    ],
)
def test_effort(model: str, effort: str, thinking: dict[str, Any], told: tuple[str, ...]) -> None:
    found, deviations = compose(model, reasoning_effort=effort)
    assert found["generationConfig"]["thinkingConfig"] == thinking
    assert deviations == told


def test_forms_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    shape = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    found, deviations = compose(response_format=shape)
    assert found["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert deviations == ()
    found, _ = compose(response_format={"type": "json_object"})
    assert found["generationConfig"] == {"responseMimeType": "application/json"}
    assert compose(response_format={"type": "text"})[0].keys() == {"contents"}
    shape["json_schema"] = {"name": "n", "schema": schema, "description": "d"}
    assert compose(response_format=shape)[1] == ("dropped:response_format.description",)
    refused(response_format={"type": "grammar"})


def test_tools() -> None:
    schema = {"type": "object", "properties": {}, "$schema": "x", "additionalProperties": False}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
        {"type": "function", "function": {"name": "g"}},
    ]
    found, deviations = compose(tools=tools)
    assert found["tools"] == [
        {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}, {"name": "g"}]}
    ]
    assert "toolConfig" not in found
    assert deviations == ("dropped:strict",)

    def choose(choice: Any) -> Any:
        return compose(tools=tools, tool_choice=choice)[0]["toolConfig"]["functionCallingConfig"]

    assert choose("auto") == {"mode": "AUTO"}
    assert choose("none") == {"mode": "NONE"}
    assert choose("required") == {"mode": "ANY"}
    named = {"type": "function", "function": {"name": "f"}}
    assert choose(named) == {"mode": "ANY", "allowedFunctionNames": ["f"]}
    refused(tools=[{"type": "custom", "custom": {"name": "c"}}])
    refused(tools=tools, tool_choice="validated")
    refused(functions=[{"name": "f"}])


def test_turns_of_one_role_are_one_and_system_goes_to_the_top() -> None:
    found, deviations = compose(
        messages=[
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a", "name": "n"},
            {"role": "user", "content": [{"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c", "refusal": "r"},
            {"role": "developer", "content": "d"},
        ]
    )
    assert found["systemInstruction"] == {"parts": [{"text": "s"}, {"text": "d"}]}
    assert found["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "r"}]},
    ]
    assert set(deviations) == {"dropped:name", "moved:system"}
    found, deviations = compose(messages=[{"role": "system", "content": "s"}])
    assert found == {"contents": [{"role": "user", "parts": [{"text": "s"}]}]}
    assert deviations == ("moved:system",)
    refused(messages=[{"role": "critic", "content": "x"}])


def test_calls_and_their_answers() -> None:
    contents, deviations = turns(
        {"role": "user", "content": "w?"},
        {"role": "assistant", "content": None, "tool_calls": [call("c1", '{"city": "Taipei"}'), call("c2", "")]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": '{"degrees": 3}'},
        {"role": "user", "content": "and?"},
    )
    assert contents[1] == {
        "role": "model",
        "parts": [
            {"functionCall": {"id": "c1", "name": "f", "args": {"city": "Taipei"}}},
            {"functionCall": {"id": "c2", "name": "f", "args": {}}},
        ],
    }
    assert contents[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "rain"}}},
            {"functionResponse": {"id": "c2", "name": "f", "response": {"degrees": 3}}},
            {"text": "and?"},
        ],
    }
    assert deviations == ()
    refused(messages=[{"role": "tool", "tool_call_id": "nobody", "content": "x"}])
    broken = [{"role": "assistant", "tool_calls": [call("c", "[1]")]}]
    refused(messages=broken)


def test_calls_of_other_models_carry_the_word_that_skips_the_check() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "w?"},
        {"role": "assistant", "tool_calls": [call("c1"), call("c2")]},
    ]
    contents, deviations = turns(*messages, model="gemini-3-pro")
    first, second = contents[1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert deviations == ("adapted:thought_signature",)


def test_signatures_come_back_from_where_googles_openai_door_puts_them() -> None:
    extra: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    contents, deviations = turns(
        {"role": "user", "content": "w?"},
        {"role": "assistant", "tool_calls": [call("c1", **extra), call("c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
        {"role": "assistant", "content": "done", **extra},
        model="gemini-3-pro",
    )
    assert [part.get("thoughtSignature") for part in contents[1]["parts"]] == ["c2ln", None]
    assert contents[3]["parts"] == [{"text": "done", "thoughtSignature": "c2ln"}]
    assert deviations == ()
    odd: Any
    for odd in ("x", {"google": []}, {"google": {"thought_signature": 1}}):
        told = turns({"role": "assistant", "tool_calls": [call("c1", extra_content=odd)]}, model="gemini-3-pro")[1]
        assert told == ("adapted:thought_signature",)


def test_reasoning_of_others_says_nothing_to_google() -> None:
    thinking = [{"type": "thinking", "thinking": "t", "signature": "s"}]
    contents, deviations = turns({"role": "assistant", "content": "x", "thinking_blocks": thinking})
    assert contents == [{"role": "model", "parts": [{"text": "x"}]}]
    assert deviations == ("dropped:reasoning",)


def test_media() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "x.pdf"}},
    ]
    contents, deviations = turns({"role": "user", "content": parts})
    assert contents[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "x.pdf"}},
    ]
    assert deviations == ("dropped:detail",)
    for url in ("https://x/y.png", "data:;base64,AAAA"):
        refused(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    refused(messages=[{"role": "user", "content": [{"type": "something", "something": {}}]}])


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro"])
def test_anthropics_tool_results_with_images_and_failures(model: str) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    body = {
        "model": "m",
        "max_tokens": 5,
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": [image]},
                    {"type": "text", "text": ""},
                ],
            },
        ],
    }
    found, deviations = sent(to_gemini(from_anthropic(json.dumps(body).encode()), model))
    inline = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    answer = {"id": "c", "name": "f", "response": {"error": ""}}
    if model == "gemini-3-pro":
        assert found["contents"][1]["parts"] == [{"functionResponse": {**answer, "parts": [inline]}}]
        assert deviations == ("adapted:thought_signature",)
    else:
        assert found["contents"][1]["parts"] == [{"functionResponse": answer}, inline]
        assert deviations == ("moved:media",)


def test_googles_own_history_survives_the_conversation() -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "w?"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "2", "name": "g", "args": {}}},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": "x"}}}]},
            {
                "role": "model",
                "parts": [{"executableCode": {"code": "1"}}, {"text": "end", "thoughtSignature": "ZW5k"}],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
        "generationConfig": {
            "temperature": 0.5,
            "thinkingConfig": {"includeThoughts": True},
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
        "safetySettings": [],
        "labels": {"a": "b"},
    }
    request = gemini_generate.read(json.dumps(body).encode(), "r", model="m", stream=False)
    assert gemini_generate.CLIENT.conversation is not None
    found, deviations = sent(to_gemini(gemini_generate.CLIENT.conversation(request), "gemini-3-pro"))
    assert found == body
    assert deviations == ()
