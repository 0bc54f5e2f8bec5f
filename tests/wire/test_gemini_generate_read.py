from typing import Any

import pytest

from nearfar.core.errors import BadRequestError
from nearfar.wire.gemini_generate_read import FILES, Body, read_body

HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def read(**values: Any) -> Body:
    return read_body({"contents": HI, **values})


def part(**value: Any) -> Body:
    return read(contents=[{"parts": [value]}])


def refused(**values: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read(**values)
    return caught.value


def test_plain_text_needs_nothing() -> None:
    found = read(system_instruction={"parts": {"text": "s"}}, contents={"parts": {"text": "x"}})
    assert (found.needs, found.max_output, found.choices) == (set(), None, 1)
    assert found.tokens(b"x" * 300) == 100


def test_what_is_needed() -> None:
    functions = {"functionDeclarations": [{"name": "f"}]}
    assert read(tools=[functions]).needs == {"tools"}
    assert read(tools=functions, toolConfig={"functionCallingConfig": {"mode": "ANY"}}).needs == {
        "tools",
        "tool_choice",
    }
    assert "offers none" in refused(tools=[], toolConfig={"functionCallingConfig": {"mode": "ANY"}}).message
    found = read(
        generation_config={
            "max_output_tokens": 9,
            "candidateCount": 2,
            "responseLogprobs": True,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "STRING"},
        }
    )
    assert (found.needs, found.max_output, found.choices) == ({"choices", "logprobs", "json_schema"}, 9, 2)
    assert read(generationConfig={"responseMimeType": "application/json"}).needs == {"json_mode"}


@pytest.mark.parametrize(
    ("mime", "need"),
    [("image/png", "images"), ("audio/wav", "audio"), ("video/mp4", "video"), ("application/pdf", "documents")],
)
def test_media(mime: str, need: str) -> None:
    found = part(inline_data={"mime_type": mime, "data": "AAAA" * 1000})
    assert found.needs == {need}
    assert found.media_bytes == 4000
    assert found.media_tokens >= 20
    inside = {"name": "f", "response": {}, "parts": [{"inlineData": {"mimeType": mime, "data": "AAAA"}}]}
    assert part(functionResponse=inside).needs == {need}


@pytest.mark.parametrize(
    ("values", "reference"),
    [
        ({"cachedContent": "cachedContents/x"}, ("cached_content", "cachedContent")),
        ({"cached_content": "x"}, ("cached_content", "cachedContent")),
        ({"modelArmorConfig": {}}, ("model_armor", "modelArmorConfig")),
        ({"outputConfig": {}}, ("output_config", "outputConfig")),
        ({"continuationToken": "x"}, ("continuation_token", "continuationToken")),
        ({"tools": [{"googleSearch": {}}]}, ("web_search", "tools[0].googleSearch")),
        ({"tools": [{"google_search_retrieval": {}}]}, ("web_search", "tools[0].googleSearchRetrieval")),
        ({"tools": [{"codeExecution": {}}]}, ("code_execution", "tools[0].codeExecution")),
        ({"tools": [{"urlContext": {}}]}, ("url_context", "tools[0].urlContext")),
        (
            {"tools": [{"functionDeclarations": [], "somethingNew": {}}]},
            ("somethingNew", "tools[0].somethingNew"),
        ),
        (
            {"contents": [{"parts": [{"fileData": {"fileUri": "gs://x"}}]}]},
            ("storage_url", "contents[0].parts[0].fileData"),
        ),
        (
            {"contents": [{"parts": [{"functionResponse": {"parts": [{"file_data": {"file_uri": "x"}}]}}]}]},
            ("file_id", "contents[0].parts[0].functionResponse.parts[0].fileData"),
        ),
        (
            {"systemInstruction": {"parts": [{"fileData": {"fileUri": FILES + "v1beta/files/x"}}]}},
            ("file_id", "systemInstruction.parts[0].fileData"),
        ),
    ],
)
def test_what_reaches_elsewhere_is_noted(values: dict[str, Any], reference: tuple[str, str]) -> None:
    assert tuple(read(**values).elsewhere.items()) == (reference,)


def test_a_file_elsewhere_is_a_medium_too() -> None:
    assert part(fileData={"fileUri": "gs://b/k", "mimeType": "image/png"}).needs == {"images"}
    assert part(fileData={"fileUri": "gs://b/k"}).needs == {"documents"}


def test_the_model_is_not_chosen_by_the_request() -> None:
    assert refused(generationConfig={"routingConfig": {"manualMode": {}}}).code == "steering_parameter"
    assert refused(generationConfig={"model_selection_config": {}}).code == "steering_parameter"


@pytest.mark.parametrize(
    "values",
    [
        {"contents": None},
        {"contents": []},
        {"contents": "hi"},
        {"contents": ["hi"]},
        {"contents": [{"role": 7}]},
        {"contents": [{"role": "system", "parts": []}]},
        {"contents": [{"parts": "x"}]},
        {"contents": [{"parts": ["x"]}]},
        {"contents": [{"parts": [{"text": 1}]}]},
        {"contents": [{"parts": [{"text": "x", "inlineData": {}}]}]},
        {"contents": [{"parts": [{"inlineData": "x"}]}]},
        {"contents": [{"parts": [{"inlineData": {"data": "x"}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": 1}}]}]},
        {"contents": [{"parts": [{"functionCall": []}]}]},
        {"contents": HI, "system_instruction": {}, "systemInstruction": {}},
        {"systemInstruction": "s"},
        {"tools": "x"},
        {"tools": [1]},
        {"tools": [{"functionDeclarations": 1}]},
        {"toolConfig": 1},
        {"toolConfig": {"functionCallingConfig": 1}},
        {"generationConfig": []},
        {"generationConfig": {"maxOutputTokens": "9"}},
        {"generationConfig": {"candidateCount": 0}},
    ],
)
def test_wrong_shapes_are_a_400(values: dict[str, Any]) -> None:
    assert refused(**values).status == 400


def test_unknown_parts_and_the_clients_own_tools_travel() -> None:
    assert part(toolCall={"id": "x"}).needs == set()
    assert part(thought=True, thoughtSignature="x").needs == set()
    assert read(tools=[{"computerUse": {"environment": "ENVIRONMENT_BROWSER"}, "googleSearch": None}]).needs == set()
