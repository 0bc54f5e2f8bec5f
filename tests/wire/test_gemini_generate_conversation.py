import base64
import json
from typing import Any

import msgspec
import pytest

from nearfar.core.conversation import (
    Conversation,
    Media,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.wire import gemini_generate
from nearfar.wire.gemini_generate_members import seal

HI = {"role": "user", "parts": [{"text": "hi"}]}


def read(**values: Any) -> Conversation:
    body = msgspec.json.encode({"contents": [HI], **values})
    request = gemini_generate.read(body, "r", model="m", stream=False)
    assert gemini_generate.CLIENT.conversation is not None
    return gemini_generate.CLIENT.conversation(request)


def blocks(*parts: dict[str, Any], role: str = "model") -> list[Any]:
    return list(read(contents=[{"role": role, "parts": list(parts)}]).messages[0].blocks)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def test_turns_and_roles() -> None:
    found = read(
        model="models/x",
        system_instruction={"parts": [{"text": "be brief"}]},
        contents=[{"parts": {"text": "a"}}, {"role": "model", "parts": [{"text": "b"}]}],
    )
    assert [message.role for message in found.messages] == ["system", "user", "assistant"]
    assert [block for message in found.messages for block in message.blocks] == [
        Text(text="be brief"),
        Text(text="a"),
        Text(text="b"),
    ]
    assert found.extra == {}


def test_calls_without_ids_get_them_and_answers_find_them_by_order_and_name() -> None:
    found = read(
        contents=[
            HI,
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "g"}},
                    {"functionCall": {"name": "f", "id": "own"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "g", "response": {"output": "rain"}}},
                    {"functionResponse": {"name": "f", "response": {"error": "no"}}},
                    {"functionResponse": {"name": "f", "id": "own", "response": {"degrees": 3, "of": "C"}}},
                    {"functionResponse": {"name": "h"}},
                ],
            },
        ]
    )
    calls = found.messages[1].blocks
    assert [(block.id, block.name, block.arguments) for block in calls if isinstance(block, ToolCall)] == [
        ("call_1", "f", '{"a":1}'),
        ("call_2", "g", "{}"),
        ("own", "f", "{}"),
    ]
    first = calls[0]
    assert isinstance(first, ToolCall)
    assert first.extra == {"thoughtSignature": raw("c2ln")}
    results = [block for block in found.messages[2].blocks if isinstance(block, ToolResult)]
    assert [(block.id, block.error, block.content) for block in results] == [
        ("call_2", False, [Text(text="rain")]),
        ("call_1", True, [Text(text="no")]),
        ("own", False, [Text(text='{"degrees":3,"of":"C"}')]),
        ("call_3", False, []),
    ]
    assert read(contents=[{"role": "function", "parts": []}]).messages[0].role == "tool"


def test_thoughts_and_their_signatures() -> None:
    assert blocks(
        {"text": "hm", "thought": True},
        {"text": "so", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "t", "thought": True, "thought_signature": seal("anthropic", "signature", "s:1")},
        {"text": "", "thought": True, "thoughtSignature": seal("anthropic", "redacted", "xx")},
        {"text": "said", "thoughtSignature": "ZW5k"},
        {"thoughtSignature": "ZW5k"},
    ) == [
        Reasoning(text="hm", vendor="google"),
        Reasoning(text="so", signature="c2ln", vendor="google"),
        Reasoning(text="t", signature="s:1", vendor="anthropic"),
        Reasoning(redacted="xx", vendor="anthropic"),
        Text(text="said", extra={"thoughtSignature": raw("ZW5k")}),
        Text(text="", extra={"thoughtSignature": raw("ZW5k")}),
    ]


def test_media_of_every_kind_and_base64_of_both_alphabets() -> None:
    data = base64.urlsafe_b64encode(b"\xfb\xff\xfe!").decode().rstrip("=")
    found = blocks(
        {"inlineData": {"mimeType": "image/png", "data": data, "displayName": "x.png"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"fps": 1}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
    )
    assert [block.kind for block in found] == ["image", "audio", "video", "document"]
    assert isinstance(found[0], Media)
    assert base64.b64decode(found[0].data, validate=True) == b"\xfb\xff\xfe!"
    assert found[0].extra == {"displayName": raw("x.png")}
    assert found[2].extra == {"videoMetadata": raw({"fps": 1})}
    [result] = blocks(
        {"functionResponse": {"name": "f", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}}
    )
    assert result.content == [Media(kind="image", mime="image/png", data="AAAA")]


def test_what_only_google_understands_stays_whole() -> None:
    [found] = blocks({"executable_code": {"code": "1"}})
    assert isinstance(found, Opaque)
    assert (found.vendor, json.loads(bytes(found.raw))) == ("google.part", {"executableCode": {"code": "1"}})


def test_settings() -> None:
    found = read(
        generationConfig={
            "maxOutputTokens": 9,
            "temperature": 1,
            "top_p": 0.5,
            "topK": 40.0,
            "seed": 7,
            "stopSequences": ["x"],
            "candidateCount": 2,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "responseLogprobs": True,
            "logprobs": 3,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
        },
        safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        labels=None,
    )
    settings = found.settings
    assert (settings.max_output, settings.temperature, settings.top_p, settings.top_k) == (9, 1.0, 0.5, 40)
    assert (settings.seed, settings.stop, settings.choices) == (7, ["x"], 2)
    assert (settings.presence_penalty, settings.frequency_penalty) == (0.1, 0.2)
    assert (settings.logprobs, settings.top_logprobs, settings.reasoning_effort) == (True, 3, "low")
    assert set(found.extra) == {"mediaResolution", "includeThoughts", "safetySettings"}


@pytest.mark.parametrize(
    ("thinking", "effort", "left"),
    [
        ({"thinkingBudget": 0}, "none", set()),
        ({"thinkingBudget": 4096}, None, {"thinkingConfig"}),
        ({"thinkingBudget": -1, "thinking_level": "HIGH"}, "high", {"thinkingConfig"}),
        ({"thinkingLevel": "EXTREME"}, None, {"thinkingConfig"}),
        ({"includeThoughts": False}, None, set()),
    ],
)
def test_thinking(thinking: dict[str, Any], effort: str | None, left: set[str]) -> None:
    found = read(generationConfig={"thinkingConfig": thinking})
    assert found.settings.reasoning_effort == effort
    assert set(found.extra) == left


def test_forms_of_the_answer() -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    plain = read(generationConfig={"responseMimeType": "text/plain", "responseSchema": schema}).settings
    assert (plain.json_mode, plain.json_schema) == (False, None)
    found = read(generationConfig={"responseMimeType": "application/json", "responseSchema": schema}).settings
    assert json.loads(bytes(found.json_schema or b"")) == {"type": "object", "properties": {"a": {"type": "string"}}}
    found = read(generationConfig={"responseMimeType": "application/json", "responseJsonSchema": {"x": 1}}).settings
    assert (found.json_schema, found.json_mode) == (raw({"x": 1}), False)
    assert read(generationConfig={"responseMimeType": "application/json"}).settings.json_mode
    for config in ({"responseMimeType": "text/x.enum"}, {"responseModalities": ["TEXT", "IMAGE"]}):
        with pytest.raises(BadRequestError) as caught:
            read(generationConfig=config)
        assert caught.value.code == "unsupported"
    assert read(generationConfig={"responseModalities": ["TEXT"]}).extra == {}


def test_tools_and_their_choice() -> None:
    declared: list[dict[str, Any]] = [
        {"name": "f", "description": "d", "parameters": {"type": "OBJECT"}, "behavior": "BLOCKING"},
        {"name": "g", "parametersJsonSchema": {"type": "object", "additionalProperties": False}},
        {"name": "h"},
    ]
    found = read(tools=[{"functionDeclarations": declared}, {"computerUse": {}}])
    assert [(tool.name, tool.schema) for tool in found.tools] == [
        ("f", raw({"type": "object"})),
        ("g", raw({"type": "object", "additionalProperties": False})),
        ("h", None),
        ("", None),
    ]
    assert found.tools[0].extra == {"behavior": raw("BLOCKING")}
    assert (found.tools[3].vendor, found.tools[3].extra) == ("google", {"computerUse": raw({})})

    def choose(**calling: Any) -> Conversation:
        config = {"functionCallingConfig": calling}
        return read(tools=[{"functionDeclarations": declared}], toolConfig=config)

    assert choose(mode="AUTO").settings.tool_choice == "auto"
    assert choose(mode="NONE").settings.tool_choice == "none"
    assert choose(mode="ANY").settings.tool_choice == "required"
    assert choose(mode="ANY", allowedFunctionNames=["g"]).settings.tool_choice == "tool:g"
    some = choose(mode="ANY", allowedFunctionNames=["g", "h"])
    assert some.settings.tool_choice == "required"
    assert [tool.name for tool in some.tools] == ["g", "h"]
    assert some.extra == {}
    checked = choose(mode="VALIDATED")
    assert checked.settings.tool_choice is None
    assert checked.extra == {"toolConfig": raw({"functionCallingConfig": {"mode": "VALIDATED"}})}


@pytest.mark.parametrize(
    "values",
    [
        {"generationConfig": {"temperature": "warm"}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": "much"}}},
        {"contents": [{"parts": [{"functionCall": {}}]}]},
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]},
        {"contents": [{"parts": [{"text": "x", "thought": "yes"}]}]},
        {"tools": [{"functionDeclarations": [{"description": "no name"}]}]},
    ],
)
def test_wrong_types_are_a_400_that_names_its_place(values: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**values)
    assert caught.value.param


def test_a_member_of_another_dialect_keeps_its_name() -> None:
    found = read(logit_bias={"2": 100}, safety_settings=[1])
    assert set(found.extra) == {"logit_bias", "safetySettings"}
