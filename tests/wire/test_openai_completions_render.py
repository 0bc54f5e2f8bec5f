"""A chat's chunks as legacy completions."""

import json
from typing import Any

import msgspec
from openai.types import Completion

from nearfar.core.chat import Chunk, Finish, LogprobsDelta, ReasoningDelta, RefusalDelta, TextDelta, Usage
from nearfar.core.errors import StreamCut
from nearfar.wire.base import Renderer
from nearfar.wire.openai_completions import parse
from nearfar.wire.openai_completions_render import renderer

ENTRY = {"token": "Ne", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Ne", "logprob": -0.5}]}
LOGPROBS = LogprobsDelta(msgspec.Raw(json.dumps({"content": [ENTRY, ENTRY], "refusal": None}).encode()))
CHUNKS = (
    Chunk(events=(ReasoningDelta("hm"),), model="there"),
    Chunk(events=(TextDelta("NeNe"), LOGPROBS)),
    Chunk(events=(RefusalDelta("!"), TextDelta("b", index=1))),
    Chunk(events=(Finish("tool_calls"), Finish("length", index=1)), usage=Usage(input=3, output=2)),
)


def made(*, stream: bool, usage: bool = False) -> Renderer:
    options = {"stream_options": {"include_usage": usage}} if stream else {}
    body = {"model": "m", "prompt": "x", "stream": stream, **options}
    return renderer(parse(json.dumps(body).encode(), "req-1"), False)


def whole(out: Renderer) -> bytes:
    return b"".join(out.render(chunk) for chunk in CHUNKS) + out.finish()


def test_plain() -> None:
    found = Completion.model_validate_json(whole(made(stream=False)))
    assert [(c.text, c.finish_reason) for c in found.choices] == [("NeNe!", "stop"), ("b", "length")]
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert (logprobs.tokens, logprobs.text_offset, logprobs.token_logprobs) == (["Ne", "Ne"], [0, 2], [-0.5, -0.5])
    assert logprobs.top_logprobs == [{"Ne": -0.5}] * 2
    assert found.usage is not None
    assert (found.model, found.usage.total_tokens) == ("there", 5)


def events(data: bytes) -> list[Any]:
    blocks = [block.removeprefix("data: ") for block in data.decode().split("\n\n")[:-1]]
    return [block if block == "[DONE]" else json.loads(block) for block in blocks]


def test_stream() -> None:
    *found, done = events(whole(made(stream=True)))
    assert done == "[DONE]"
    assert all("usage" not in event for event in found)
    texts = {0: "", 1: ""}
    finishes: dict[int, str | None] = {}
    for event in found:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
            finishes[choice["index"]] = choice["finish_reason"] or finishes.get(choice["index"])
    assert texts == {0: "NeNe!", 1: "b"}
    assert finishes == {0: "stop", 1: "length"}


def test_usage_in_the_stream_when_asked_for() -> None:
    *_, last, done = events(whole(made(stream=True, usage=True)))
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 5)


def test_an_error_ends_nothing() -> None:
    out = made(stream=True)
    data = out.render(CHUNKS[1]) + out.error(StreamCut("Cut."))
    assert b"[DONE]" not in data
    assert json.loads(made(stream=False).error(StreamCut("Cut.")))["error"]["code"] == "stream_cut"
    assert out.note("x") == b": x\n"
    assert out.keep_alive().startswith(b":")
    assert made(stream=False).keep_alive() == made(stream=False).note("x") == b""


def test_nothing_said_is_an_empty_completion() -> None:
    assert Completion.model_validate_json(made(stream=False).finish()).choices[0].text == ""
