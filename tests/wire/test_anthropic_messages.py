import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nearfar.core.chat import Chunk, Finish, Request, ToolCallDelta
from nearfar.core.conversation import ToolCall
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import anthropic_messages, gemini_generate_compose, openai_chat, sse
from nearfar.wire.openai_chat_conversation import conversation

GOLDEN = Path(__file__).parents[1] / "golden" / "anthropic_messages"
THERE = Deployment(
    name="d",
    provider="anthropic",
    model="claude-sonnet-5-5",
    wire="anthropic.messages",
    base_url="https://api.anthropic.com",
    place=Place.CLOUD,
    max_output=1000,
)


def ask(messages: list[dict[str, Any]], **value: Any) -> Request:
    body = {"model": "near", "messages": messages, **value}
    return openai_chat.parse(json.dumps(body).encode(), "r")


def test_the_request_line_and_headers() -> None:
    request = ask([{"role": "user", "content": "hi"}], stream=True)
    out = anthropic_messages.encode(request, THERE, conversation(request))
    assert (out.method, out.path) == ("POST", "/v1/messages")
    assert dict(out.headers)["anthropic-version"] == "2023-06-01"
    body = json.loads(out.body)
    assert (body["model"], body["stream"], body["max_tokens"]) == ("claude-sonnet-5-5", True, 1000)
    assert out.deviations == ("default:max_tokens=1000",)


def test_drop_and_rename_of_the_deployment() -> None:
    request = ask([{"role": "user", "content": "hi"}], user="u")
    there = replace(THERE, drop=("metadata",), rename={"max_tokens": "limit"})
    out = anthropic_messages.encode(request, there, conversation(request))
    assert json.loads(out.body).keys() == {"model", "messages", "limit"}
    assert out.deviations == ("default:max_tokens=1000", "renamed:max_tokens", "dropped:metadata")


def reply(name: str, request: Request) -> bytes:
    """What an OpenAI client receives for the golden reply."""
    decoder = anthropic_messages.PROVIDER.decoder(request, True)
    renderer = openai_chat.CLIENT.renderer(request, False)
    chunks: list[Chunk] = decoder.feed((GOLDEN / name).read_bytes())
    chunks += decoder.close()
    return b"".join(renderer.render(chunk) for chunk in chunks) + renderer.finish()


def put_together(data: bytes) -> dict[str, Any]:
    """The assistant's message as a client builds it from a stream: text is joined, lists are concatenated."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for event in sse.Splitter().feed(data):
        if event.data == b"[DONE]":
            break
        for choice in json.loads(event.data)["choices"]:
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                if delta.get(name):
                    message[name] = message.get(name, "") + delta[name]
            message.setdefault("thinking_blocks", []).extend(delta.get("thinking_blocks", []))
            for piece in delta.get("tool_calls", []):
                call = calls.setdefault(piece["index"], {"type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] = piece.get("id") or call["id"]
                call["function"]["name"] += piece["function"].get("name", "")
                call["function"]["arguments"] += piece["function"]["arguments"]
    message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


@pytest.mark.parametrize("name", ["stream_thinking.sse", "plain_thinking.json"])
def test_thinking_survives_the_way_through_an_openai_client_and_back(name: str) -> None:
    """Anthropic reply → OpenAI client → the client's next request → Anthropic: the blocks are the same."""
    question = {"role": "user", "content": [{"type": "text", "text": "GCD?", "cache_control": {"type": "ephemeral"}}]}
    first = ask([question], stream=name.endswith(".sse"))
    data = reply(name, first)
    message = put_together(data) if first.stream else json.loads(data)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": "toolu_03", "content": "noted"}
    again = ask([question, message, result])
    sent = json.loads(anthropic_messages.encode(again, THERE, conversation(again)).body)
    original = json.loads((GOLDEN / "plain_thinking.json").read_bytes())["content"]
    assert sent["messages"][1] == {"role": "assistant", "content": original}
    assert sent["messages"][0] == question
    assert sent["messages"][2]["content"][0]["tool_use_id"] == "toolu_03"


def test_an_openai_client_sees_the_finish_and_the_usage() -> None:
    request = ask([{"role": "user", "content": "x"}], stream=True, stream_options={"include_usage": True})
    values = [json.loads(event.data) for event in sse.Splitter().feed(reply("stream_tools.sse", request))[:-1]]
    assert values[-1]["usage"]["prompt_tokens"] == 602
    assert values[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 30, "cache_write_tokens": 100}
    assert values[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert {value["model"] for value in values} == {"claude-sonnet-5-5"}


def own(body: dict[str, Any], **more: Any) -> Request:
    """A request of a client that speaks Anthropic's dialect."""
    text = json.dumps({"model": "near", "max_tokens": 9, **body}, separators=(",", ":"))
    return replace(anthropic_messages.CLIENT.parse(text.encode(), "r"), **more)


HI: list[Any] = [{"role": "user", "content": "hi"}]
BODY: dict[str, Any] = {
    "messages": HI,
    "context_management": {"edits": []},
    "later": [1.0, 1e2],
    "thinking": {"type": "adaptive"},
}


def test_between_like_wires_only_the_model_changes() -> None:
    request = own(BODY, headers=(("anthropic-version", "2026-10-21"), ("anthropic-beta", "context-management-2025")))
    out = anthropic_messages.encode(request, THERE, None)
    assert out.body == request.body.replace(b'"near"', b'"claude-sonnet-5-5"')
    assert out.headers == (
        ("content-type", "application/json"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "context-management-2025"),
    )
    assert out.deviations == ()
    same = replace(THERE, model="near")
    assert anthropic_messages.encode(request, same, None).body == request.body


@pytest.mark.parametrize(
    ("asked", "sent"), [("", "2023-06-01"), ("2023-01-01", "2023-06-01"), ("newest", "2023-06-01"), ("2027-01-01",) * 2]
)
def test_any_version_is_taken_and_a_usable_one_is_asked_for(asked: str, sent: str) -> None:
    headers = (("anthropic-version", asked),) if asked else ()
    out = anthropic_messages.encode(own(BODY, headers=headers), THERE, None)
    assert dict(out.headers)["anthropic-version"] == sent


def test_the_owners_headers_win_over_the_clients() -> None:
    there = replace(THERE, headers={"Anthropic-Version": "2023-06-01", "anthropic-beta": "x"})
    out = anthropic_messages.encode(own(BODY, headers=(("anthropic-beta", "y"),)), there, None)
    assert out.headers == (("content-type", "application/json"),)


@pytest.mark.parametrize(
    ("base", "path"), [("https://a.example", "/v1/messages"), ("http://127.0.0.1:8000/v1", "/messages")]
)
def test_the_path_fits_the_base(base: str, path: str) -> None:
    assert anthropic_messages.encode(own(BODY), replace(THERE, base_url=base), None).path == path


def test_thoughts_that_anthropic_never_signed_are_left_out() -> None:
    signed = {"type": "thinking", "thinking": 'she said "signature":""', "signature": "EqQBCg=="}
    request = own(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": ""}]},
                {
                    "role": "assistant",
                    "content": [{"thinking": "{b}", "type": "thinking"}, {"type": "text", "text": "c"}],
                },
                {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "d", "signature": "google:s"}, signed],
                },
            ],
            "thinking": {"type": "adaptive"},
        }
    )
    out = anthropic_messages.encode(request, THERE, None)
    assert json.loads(out.body)["messages"] == [
        *HI,
        {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
        {"role": "assistant", "content": [signed]},
    ]
    assert json.loads(out.body)["model"] == THERE.model
    assert out.deviations == ("dropped:reasoning",)
    fine = own({"messages": [*HI, {"role": "assistant", "content": [signed]}]})
    assert anthropic_messages.encode(fine, THERE, None).deviations == ()


def test_drop_and_rename_between_like_wires() -> None:
    there = replace(THERE, drop=("context_management",), rename={"max_tokens": "limit"})
    out = anthropic_messages.encode(own(BODY), there, None)
    assert json.loads(out.body).keys() == {"model", "messages", "later", "thinking", "limit"}
    assert out.deviations == ("renamed:max_tokens", "dropped:context_management")


def test_googles_signature_over_a_call_goes_to_the_client_and_to_google_alone() -> None:
    events = (ToolCallDelta(call=0, id="c", name="f", arguments="{}", signature="s/+="), Finish("tool_calls", "STOP"))
    request = own(BODY)
    plain = anthropic_messages.CLIENT.renderer(request, False)
    plain.render(Chunk(events=events))
    [call] = json.loads(plain.finish())["content"]
    stream = anthropic_messages.CLIENT.renderer(replace(request, stream=True), False)
    values = [json.loads(event.data) for event in sse.Splitter().feed(stream.render(Chunk(events=events)))]
    assert call == values[1]["content_block"]
    assert call["extra_content"] == {"google": {"thought_signature": "s/+="}}
    again = own({"messages": [*HI, {"role": "assistant", "content": [call]}, *HI]})
    assert anthropic_messages.CLIENT.conversation is not None
    back = anthropic_messages.CLIENT.conversation(again).messages[1].blocks[0]
    assert isinstance(back, ToolCall)
    assert gemini_generate_compose.google_signature(back.extra["extra_content"]) == "s/+="
    out = anthropic_messages.encode(again, THERE, None)
    assert json.loads(out.body)["messages"][1]["content"] == [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]
    assert out.deviations == ("dropped:reasoning",)
