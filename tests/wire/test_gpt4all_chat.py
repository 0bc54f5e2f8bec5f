"""GPT4All's wire against its own rules, as its server.cpp of 2025-02 states them: see tests/gpt4all.py."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests import gpt4all

from nearfar.core.chat import Finish, Request, TextDelta, Usage
from nearfar.core.errors import APIConnectionError, BadRequestError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.gpt4all_chat import PROVIDER, decoder, error
from nearfar.wire.openai_chat_conversation import conversation

GOLDEN = Path(__file__).parents[1] / "golden" / "gpt4all_chat"
THERE = Deployment(name="d", provider="gpt4all", model="Llama 3 8B", wire="gpt4all.chat", base_url="", place=Place.LAN)


def encoded(there: Deployment = THERE, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """OpenAI request → GPT4All request, which GPT4All's own rules accept, and the deviations."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, **fields}
    request = openai_chat.parse(json.dumps(body).encode(), "r")
    out = PROVIDER.encode(request, there, conversation(request))
    value: dict[str, Any] = json.loads(out.body)
    assert gpt4all.objection(value) == ""
    return value, out.deviations


def test_what_it_knows_goes_out() -> None:
    sent, told = encoded(temperature=0.5, top_p=0.9, min_p=0.1, n=2, user="u")
    assert sent == {
        "model": "Llama 3 8B",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "min_p": 0.1,
        "n": 2,
        "user": "u",
    }
    assert told == ()


def test_a_limit_is_always_sent_because_its_own_is_sixteen_tokens() -> None:
    assert encoded(max_tokens=None) == (
        {"model": "Llama 3 8B", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4096},
        ("default:max_tokens=4096",),
    )
    short = msgspec.structs.replace(THERE, max_output=100)
    assert encoded(short, max_tokens=None)[0]["max_tokens"] == 100
    assert encoded(max_tokens=None, max_completion_tokens=7)[0]["max_tokens"] == 7


def test_a_stream_is_asked_for_as_one_body_and_told() -> None:
    sent, told = encoded(stream=True, stream_options={"include_usage": True})
    assert "stream" not in sent
    assert told == ("adapted:stream",)


def test_what_it_would_answer_400_to_is_dropped_and_told() -> None:
    _, told = encoded(
        seed=1, presence_penalty=0.5, frequency_penalty=1, logit_bias={"5": 1}, top_k=4, metadata={"a": "b"}
    )
    assert set(told) == {
        "dropped:seed",
        "dropped:presence_penalty",
        "dropped:frequency_penalty",
        "dropped:logit_bias",
        "dropped:top_k",
        "dropped:metadata",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": ["x"]},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"modalities": ["text", "audio"]},
    ],
)
def test_what_an_answer_depends_on_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="GPT4All has no ") as caught:
        encoded(**fields)
    assert caught.value.code == "unsupported"


def test_messages_are_text_of_three_roles() -> None:
    sent, told = encoded(
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
            {"role": "user", "content": "hi", "name": "Ann"},
            {"role": "assistant", "content": "yes", "reasoning_content": "hm"},
            {"role": "user", "content": ""},
        ]
    )
    assert sent["messages"] == [
        {"role": "system", "content": "Be\nbrief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": ""},
    ]
    assert told == ("dropped:name", "dropped:reasoning")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "narrator", "content": "x"},
    ],
)
def test_other_messages_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        encoded(messages=[{"role": "user", "content": "hi"}, message])
    assert caught.value.code == "unsupported"


def test_the_strict_rules_can_say_no() -> None:
    """The check above would be worth nothing if it accepted everything."""
    good = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert gpt4all.objection(good) == ""
    wrong: list[dict[str, Any]] = [
        {"stream": True},
        {"top_k": 1},
        {"tools": []},
        {"seed": 1},
        {"messages": []},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": "x", "name": "y"}]},
        {"messages": [{"role": "developer", "content": "x"}]},
        {"temperature": 3},
    ]
    for bad in wrong:
        assert gpt4all.objection(good | bad)


@pytest.mark.parametrize("stream", [False, True])
def test_one_body_is_the_whole_reply(stream: bool) -> None:
    found = decoder(ask(stream), typed=False)
    assert found.feed((GOLDEN / "plain_text.json").read_bytes()) == []
    (chunk,) = found.close()
    assert chunk.events == (TextDelta("Hello there.\nHow are you?"), Finish("stop", "stop"))
    assert (chunk.end, chunk.content, chunk.usage) == (True, True, Usage(input=9, output=6))
    assert chunk.model == "Llama-3.2-1B-Instruct", "the model that really answered, in a word"


def ask(stream: bool) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return openai_chat.parse(json.dumps(body).encode(), "r")


def test_half_a_body_is_cut_and_an_odd_name_harms_nobody() -> None:
    found = decoder(ask(True), typed=True)
    found.feed((GOLDEN / "plain_text.json").read_bytes()[:-20])
    with pytest.raises(StreamCut):
        found.close()
    body = json.loads((GOLDEN / "plain_text.json").read_bytes())
    for name in (7, None, "x" * 400, "one two\nthree"):
        odd = decoder(ask(False), typed=True)
        odd.feed(json.dumps({**body, "model": name}).encode())
        assert " " not in odd.close()[0].model


def test_its_errors() -> None:
    off = error(401, {}, b"")
    assert isinstance(off, APIConnectionError)
    assert off.moves_on
    assert "Local API Server" in off.hint
    failed = error(500, {}, b"")
    assert isinstance(failed, UpstreamError)
    assert failed.moves_on
    unknown = error(400, {}, (GOLDEN / "error_400_param.json").read_bytes())
    assert (type(unknown), unknown.code) == (BadRequestError, "unsupported")
