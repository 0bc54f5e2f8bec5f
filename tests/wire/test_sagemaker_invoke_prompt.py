"""Conversations as prompts, tokens as chunks: for containers that know no messages."""

import json
from typing import Any

import pytest

from nearfar.core.chat import Chunk, Finish, TextDelta, Usage
from nearfar.core.errors import BadRequestError, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.sagemaker_invoke_prompt import body, read_piece, read_plain

HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b {role}"}]},
    {"role": "assistant", "content": "c"},
    {"role": "user", "content": "d"},
]


def asked(template: str = "", **more: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    value = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, **more}
    request = openai_chat.parse(json.dumps(value).encode(), "r")
    options = {"template": template} if template else {}
    there = Deployment(
        name="d", provider="p", model="m", wire="w", base_url="https://h", place=Place.CLOUD, options=options
    )
    sent, deviations = body(request, there, conversation(request))
    return json.loads(sent), deviations


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("", "system: Be brief.\n\nuser: a\nb {role}\n\nassistant: c\n\nuser: d\n\nassistant:"),
        (
            "chatml",
            (
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\na\nb {role}<|im_end|>\n"
                "<|im_start|>assistant\nc<|im_end|>\n<|im_start|>user\nd<|im_end|>\n<|im_start|>assistant\n"
            ),
        ),
    ],
)
def test_a_template_writes_the_prompt_and_is_told(template: str, prompt: str) -> None:
    value, deviations = asked(template, messages=HISTORY)
    assert value["inputs"] == prompt
    assert deviations == (f"adapted:messages={template or 'plain'}",)


def test_llama_begins_its_text() -> None:
    inputs = asked("llama-3")[0]["inputs"]
    assert inputs.startswith("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>")
    assert inputs.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")


def test_a_template_that_is_none_is_the_owners_fault() -> None:
    with pytest.raises(UpstreamError, match="none of plain"):
        asked("jinja")


def test_the_settings_have_other_names() -> None:
    value, deviations = asked(temperature=0.5, top_p=0.9, top_k=4, seed=7, stop=["x"], stream=True, user="u")
    assert value["stream"] is True
    assert value["parameters"] == {
        "max_new_tokens": 5,
        "return_full_text": False,
        "details": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "do_sample": True,
        "seed": 7,
        "stop": ["x"],
    }
    assert "dropped:user" in deviations
    cold = asked(temperature=0)[0]["parameters"]
    assert (cold["do_sample"], "temperature" in cold) == (False, False)
    assert "default:max_tokens=1024" in asked(max_tokens=None)[1]


@pytest.mark.parametrize(
    "value",
    [
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "grammar"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"functions": [{"name": "f"}]},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
            ]
        },
    ],
)
def test_what_a_prompt_cannot_say_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        asked(**value)
    assert caught.value.code == "unsupported"


def piece(**value: Any) -> Chunk:
    return read_piece(json.dumps(value).encode())


def test_tokens_and_their_end() -> None:
    assert piece(token={"text": "a", "special": False}).events == (TextDelta("a"),)
    assert piece(token={"text": "<|eot|>", "special": True}).events == ()
    last = piece(
        token={"text": "b"},
        generated_text="ab",
        details={"finish_reason": "length", "generated_tokens": 2, "input_length": 3},
    )
    assert last.events == (TextDelta("b"), Finish("length", "length"))
    assert (last.end, last.usage) == (True, Usage(input=3, output=2))


@pytest.mark.parametrize(
    "raw",
    [
        b"no",
        b'{"error":"out of memory","error_type":"generation"}',
        b'{"token":{"text":""},"generated_text":"","details":{"finish_reason":"error"}}',
    ],
)
def test_errors_inside_of_a_stream_are_raised(raw: bytes) -> None:
    with pytest.raises(UpstreamError):
        read_piece(raw)


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"error":"no"}'])
def test_a_plain_reply_without_text_is_an_error(raw: bytes) -> None:
    with pytest.raises(UpstreamError):
        read_plain(raw)
