import json

import pytest
from anthropic.types import ErrorResponse

from nearfar.core import errors
from nearfar.core.chat import Chunk, Event, Finish, ReasoningSeal, RefusalDelta, Request, ToolCallDelta, Usage
from nearfar.core.errors import NearfarError, OutputUnparsed, UpstreamError
from nearfar.wire.anthropic_messages_reply import Ending, error_body, made_id, signature_of, usage_of


def request() -> Request:
    return Request(id="req-ab-1", wire="anthropic.messages", operation="chat", model="asked", body=b"", fields={})


def ending(*events: Event) -> Ending:
    found = Ending(request())
    for event in events:
        found.saw(event)
    return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.BadRequestError("x"), "invalid_request_error"),
        (errors.AuthenticationError("x"), "authentication_error"),
        (errors.EgressDenied("x"), "permission_error"),
        (errors.NoRoute("x"), "not_found_error"),
        (errors.MethodNotAllowedError("x"), "invalid_request_error"),
        (errors.RequestTooLargeError("x"), "request_too_large"),
        (errors.UnprocessableEntityError("x"), "invalid_request_error"),
        (errors.QuotaExhausted("x"), "rate_limit_error"),
        (errors.InternalServerError("x"), "api_error"),
        (errors.UpstreamError("x"), "api_error"),
        (errors.APITimeoutError("x"), "timeout_error"),
        (errors.Overloaded("x"), "overloaded_error"),
        (errors.ModelLoading("x"), "overloaded_error"),
        (errors.EngineError("x"), "api_error"),
    ],
)
def test_errors_have_anthropics_words(error: NearfarError, kind: str) -> None:
    body = json.loads(error_body(error, "req-1"))
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": "x", "details": {"error_code": error.code}},
        "request_id": "req-1",
    }
    if kind != "request_too_large":  # documented, but no type of the official client
        ErrorResponse.model_validate(body)


def test_a_prompt_that_does_not_fit_is_told_in_words_that_agents_know() -> None:
    message = json.loads(error_body(errors.ContextTooLong("9 tokens"), ""))["error"]["message"]
    assert message == "prompt is too long: 9 tokens"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((), "end_turn"),
        ((Finish("stop", "stop"),), "end_turn"),
        ((Finish("length", "length"),), "max_tokens"),
        ((Finish("model_length", "model_length"),), "model_context_window_exceeded"),
        ((Finish("tool_calls", "tool_calls"),), "tool_use"),
        ((ToolCallDelta(call=0, name="f"), Finish("stop", "stop")), "tool_use"),
        ((ToolCallDelta(call=0, name="f"), Finish("length", "length")), "max_tokens"),
        ((Finish("content_filter", "content_filter"),), "refusal"),
        ((RefusalDelta("no"), Finish("stop", "stop")), "refusal"),
        ((Finish("length", "pause_turn"),), "pause_turn"),
        ((Finish("length", "model_context_window_exceeded"),), "model_context_window_exceeded"),
        ((Finish("stop", "stop_sequence"),), "stop_sequence"),
        ((Finish("strange", "strange"),), "end_turn"),
    ],
)
def test_stop_reasons(events: tuple[Event, ...], reason: str) -> None:
    assert ending(*events).stop_reason == reason


def test_the_stop_sequence_is_told_where_it_is_known() -> None:
    assert ending(Finish("stop", "stop_sequence", stop="END")).stop_sequence == "END"
    assert ending(Finish("stop", "stop")).stop_sequence is None
    assert ending().stop_sequence is None


@pytest.mark.parametrize("word", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_was_given_up_does_not_end_clean(word: str) -> None:
    with pytest.raises(UpstreamError, match=word):
        ending(Finish(word, word))


def test_usage_leaves_out_what_the_cache_gave_and_took() -> None:
    assert usage_of(Usage(input=602, output=9, cached=30, cache_write=100, reasoning=4)) == {
        "input_tokens": 472,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 30,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert usage_of(None)["input_tokens"] == usage_of(Usage())["output_tokens"] == 0
    assert usage_of(Usage(input=3, cached=9))["input_tokens"] == 0, "junk gives no negative count"


def test_arguments_are_an_object_or_an_error() -> None:
    assert ending().arguments("f", '{"a": 1}', last=True) == {"a": 1}
    assert ending().arguments("f", "", last=False) == {}
    cut = ending(Finish("length", "length"))
    assert cut.arguments("f", '{"a": "un', last=True) == {}
    for found, last in ((ending(), True), (cut, False)):
        for text in ('{"a": "un', "[1]", "7"):
            with pytest.raises(OutputUnparsed, match="no JSON object"):
                found.arguments("f", text, last=last)


def test_ids_and_signatures() -> None:
    assert made_id("req-ab-1", 2) == "toolu_ab_1_2"
    assert signature_of(ReasoningSeal(signature="s")) == "s"
    assert signature_of(ReasoningSeal(signature="s", vendor="google")) == "google:s"


def test_the_message_names_the_model_that_answered() -> None:
    found = ending()
    assert found.message([], begun=True)["model"] == "asked"
    found.note(Chunk(model="there", usage=Usage(input=1, output=2)))
    message = found.message([{"type": "text", "text": "x"}], begun=False)
    assert (message["id"], message["model"], message["stop_reason"]) == ("msg_ab-1", "there", "end_turn")
    assert message["usage"]["output_tokens"] == 2
