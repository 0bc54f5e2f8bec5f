"""Legacy text completions: read, told to chats, passed on to servers that have the door."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from tests.examples import examples

from nearfar.core.chat import Chunk, Request, TextDelta
from nearfar.core.conversation import Conversation, Text
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.openai_completions import CLIENT, DEFAULT_MAX_TOKENS, PROVIDER, conversation, parse

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_completions"
THERE = Deployment(
    name="d",
    provider="p",
    model="there",
    wire="openai.chat",
    base_url="x",
    place=Place.CLOUD,
    rename={"max_tokens": "max_completion_tokens"},
)


def read(**members: Any) -> Request:
    return parse(json.dumps({"model": "m", "prompt": "Once", **members}).encode(), "req-1")


@pytest.mark.parametrize(
    ("members", "choices", "limit"),
    [
        ({}, 1, None),
        ({"max_tokens": 9}, 1, 9),
        ({"prompt": ["a", "b"], "n": 3, "max_tokens": 9}, 6, 9),
        ({"best_of": 4, "max_tokens": 5}, 1, 20),
        ({"max_tokens": 0}, 1, 1),
    ],
)
def test_what_it_can_cost(members: dict[str, Any], choices: int, limit: int | None) -> None:
    request = read(**members)
    assert (request.choices, request.max_output) == (choices, limit)


def test_prompts_of_every_kind() -> None:
    assert read(prompt=[1, 2, 3]).input_tokens == 3
    assert read(prompt=[[1, 2], [3]]).choices == 2
    wrong: list[Any] = [None, "", [], [""], [[]], [1, "a"], [[1, "a"]], 7, {"a": 1}]
    for bad in wrong:
        with pytest.raises(BadRequestError) as caught:
            read(prompt=bad)
        assert caught.value.param == "prompt"


def test_what_lies_elsewhere_is_noted() -> None:
    assert read(previous_response_id="resp_1").elsewhere == (("stored_response", "previous_response_id"),)


def test_a_prompt_is_the_message_of_a_chat_and_that_is_told() -> None:
    found = conversation(
        read(prompt=["Once"], stop="\n", temperature=0.5, logprobs=2, n=2, user="u", logit_bias={"1": 2}, suffix="")
    )
    assert [(m.role, m.blocks) for m in found.messages] == [("user", [Text(text="Once")])]
    assert found.deviations == ("adapted:prompt",)
    assert list(found.extra) == ["logit_bias"]
    values = found.settings
    assert (values.max_output, values.stop, values.temperature) == (DEFAULT_MAX_TOKENS, ["\n"], 0.5)
    assert (values.logprobs, values.top_logprobs, values.choices, values.user) == (True, 2, 2, "u")
    none = conversation(read(logprobs=0, stop=["a", "b"], max_tokens=3)).settings
    assert (none.logprobs, none.top_logprobs, none.stop, none.max_output) == (True, None, ["a", "b"], 3)


@pytest.mark.parametrize(
    "members", [{"suffix": "x"}, {"echo": True}, {"best_of": 2}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}]
)
def test_what_no_chat_can_mean_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        conversation(read(**members))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"n": 0}, "n"),
        ({"stream": 1}, "stream"),
        ({"stream_options": 1}, "stream_options"),
        ({"logprobs": -1}, "logprobs"),
        ({"max_tokens": "x"}, "max_tokens"),
        ({"base_url": "http://x"}, "base_url"),
    ],
)
def test_refusals_name_the_place(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**members)
    assert caught.value.param == param


_NAMES = "prompt stop n best_of logprobs max_tokens echo suffix stream stream_options temperature user"
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 30) | st.floats(0, 2) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@examples(200)
@given(st.dictionaries(st.sampled_from(_NAMES.split()), _VALUES))
def test_anything_is_read_or_refused(members: dict[str, Any]) -> None:
    try:
        conversation(read(**members))
    except BadRequestError:
        return


def test_the_clients_bytes_travel() -> None:
    out = PROVIDER.encode(read(suffix="end", max_tokens=4), THERE, None)
    assert out.path == "/completions"
    assert json.loads(out.body) == {"model": "there", "prompt": "Once", "suffix": "end", "max_tokens": 4}
    assert out.deviations == ()
    streamed = json.loads(PROVIDER.encode(read(stream=True), THERE, None).body)
    assert streamed["stream_options"] == {"include_usage": True}
    with pytest.raises(BadRequestError):
        PROVIDER.encode(read(), THERE, Conversation(messages=[]))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("plain_*")) + sorted(GOLDEN.glob("stream_*")), ids=lambda p: p.name)
@pytest.mark.parametrize("like", [True, False])
def test_the_official_client_reads_both_ways(path: Path, like: bool) -> None:
    members = {"stream": path.suffix == ".sse", "n": 2 if "choices" in path.name else 1}
    request = read(**members, **({"stream_options": {"include_usage": True}} if members["stream"] else {}))
    decoder = PROVIDER.decoder(request, not like)
    chunks: list[Chunk] = [*decoder.feed(path.read_bytes()), *decoder.close()]
    out = CLIENT.renderer(request, like)
    data = b"".join(out.render(chunk) for chunk in chunks) + out.finish()
    if not members["stream"]:
        found = [Completion.model_validate_json(data)]
    else:
        *events, done = [block.removeprefix("data: ") for block in data.decode().split("\n\n")[:-1]]
        assert done == "[DONE]"
        found = [Completion.model_construct(**json.loads(event)) for event in events]
    original = path.read_bytes()
    text = "".join(_text(choice) for one in found for choice in one.choices)
    assert text == ("ab" if "choices" in path.name else " a" if "logprobs" in path.name else "\n\nNear and 遠")
    if like:
        assert data == original
    if not like:
        assert any(isinstance(event, TextDelta) for chunk in chunks for event in chunk.events)


def _text(choice: Any) -> str:
    return str(choice["text"] if isinstance(choice, dict) else choice.text)


def test_usage_that_was_not_asked_for_is_not_shown() -> None:
    decoder = PROVIDER.decoder(read(stream=True), False)
    chunks = [*decoder.feed((GOLDEN / "stream_text.sse").read_bytes()), *decoder.close()]
    assert [chunk.raw for chunk in chunks if chunk.usage is not None] == [b""]
