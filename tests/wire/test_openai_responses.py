"""OpenAI's Responses API on both sides: what goes upstream, and the official client's view of the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response

from nearfar.core.chat import Chunk, TextDelta, ToolCallDelta
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.openai_responses import CLIENT, PROVIDER
from nearfar.wire.openai_responses_conversation import Seal, sealed

GOLDEN = Path(__file__).parents[1] / "golden" / "openai_responses"
THERE = Deployment(name="d", provider="p", model="there", wire="openai.responses", base_url="x", place=Place.CLOUD)
SEARCH = {"type": "web_search"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def encoded(**members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = json.dumps({"model": "asked", "input": "hi", **members}).encode()
    out = PROVIDER.encode(CLIENT.parse(body, "req-1"), THERE, None)
    assert out.path == "/responses"
    return json.loads(out.body), out.deviations


def test_the_clients_bytes_travel_and_upstream_nothing_is_stored() -> None:
    sent, deviations = encoded(client_metadata={"k": "v"}, include=["reasoning.encrypted_content"], store=False)
    assert sent == {
        "model": "there",
        "input": "hi",
        "client_metadata": {"k": "v"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    assert deviations == ()


@pytest.mark.parametrize(("store", "told"), [(True, ("dropped:store",)), (None, ())])
def test_store_is_false_upstream_and_told_when_it_was_asked_for(store: bool | None, told: tuple[str, ...]) -> None:
    sent, deviations = encoded(**({} if store is None else {"store": store}))
    assert sent["store"] is False
    assert deviations == told


def test_a_search_is_left_out_and_told() -> None:
    sent, deviations = encoded(tools=[FUNCTION, SEARCH], tool_choice="auto")
    assert sent["tools"] == [FUNCTION]
    assert sent["tool_choice"] == "auto"
    assert deviations == ("dropped:tools.web_search",)
    sent, _ = encoded(tools=[SEARCH], tool_choice="auto")
    assert not {"tools", "tool_choice"} & sent.keys()


def test_what_another_vendor_signed_does_not_reach_openai() -> None:
    signed = {"type": "reasoning", "summary": [], "encrypted_content": sealed(Seal(signature="s"))}
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    turn = {"role": "user", "content": "say nearfar: please"}
    only_an_id = {"type": "reasoning", "id": "rs_1", "summary": []}
    open_model = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}
    sent, deviations = encoded(input=[signed, own, turn, only_an_id, open_model])
    assert sent["input"] == [own, turn, open_model]
    assert deviations == ("dropped:reasoning",)
    assert encoded(input="say nearfar: please")[0]["input"] == "say nearfar: please"


def test_a_continued_response_is_no_news_upstream() -> None:
    request = CLIENT.parse(b'{"model":"asked","input":"hi"}', "req-1")
    request.fields["previous_response_id"] = request.fields["model"]
    assert "previous_response_id" not in json.loads(PROVIDER.encode(request, THERE, None).body)


def test_other_dialects_are_refused_here() -> None:
    request = CLIENT.parse(b'{"model":"asked","input":"hi"}', "req-1")
    with pytest.raises(BadRequestError) as caught:
        PROVIDER.encode(request, THERE, Conversation(messages=[]))
    assert caught.value.code == "unsupported"


def read(path: Path, *, like: bool) -> bytes:
    body = {"model": "asked", "input": "hi", "stream": path.suffix == ".sse"}
    request = CLIENT.parse(json.dumps(body).encode(), "req-1")
    decoder = PROVIDER.decoder(request, not like)
    chunks: list[Chunk] = [*decoder.feed(path.read_bytes()), *decoder.close()]
    out = CLIENT.renderer(request, like)
    return b"".join(out.render(chunk) for chunk in chunks) + out.finish()


def final(path: Path, out: bytes) -> Response:
    """The official client's reading of a body, or of a stream's last event."""
    if path.suffix != ".sse":
        return Response.model_validate_json(out)
    last = out.rstrip().rsplit(b"data: ", 1)[1]
    return Response.model_validate(json.loads(last)["response"])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("plain_*")) + sorted(GOLDEN.glob("stream_*")), ids=lambda p: p.name)
def test_like_and_unlike_say_the_same_to_the_official_client(path: Path) -> None:
    as_it_came, translated = (final(path, read(path, like=like)) for like in (True, False))
    assert as_it_came.output_text == translated.output_text
    assert as_it_came.status == translated.status
    assert as_it_came.incomplete_details == translated.incomplete_details
    assert as_it_came.usage == translated.usage

    def calls(response: Response) -> list[tuple[str, str, str]]:
        return [(i.call_id, i.name, i.arguments) for i in response.output if i.type == "function_call"]

    assert calls(as_it_came) == calls(translated)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*_t*")), ids=lambda p: p.name)
def test_as_it_came_is_as_it_came(path: Path) -> None:
    assert read(path, like=True) == path.read_bytes()


def test_our_reading_equals_the_official_clients() -> None:
    body = (GOLDEN / "plain_tools.json").read_bytes()
    theirs = Response.model_validate_json(body)
    request = CLIENT.parse(b'{"model":"asked","input":"hi"}', "req-1")
    decoder = PROVIDER.decoder(request, True)
    decoder.feed(body)
    [chunk] = decoder.close()
    assert theirs.usage is not None
    assert chunk.usage is not None
    assert (chunk.usage.input, chunk.usage.output) == (theirs.usage.input_tokens, theirs.usage.output_tokens)
    ours = [(event.id, event.arguments) for event in chunk.events if isinstance(event, ToolCallDelta)]
    assert ours == [(item.call_id, item.arguments) for item in theirs.output if item.type == "function_call"]
    assert not any(isinstance(event, TextDelta) for event in chunk.events)
