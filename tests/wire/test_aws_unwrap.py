"""A stream inside of AWS's event stream, cut anywhere: botocore's parts put together, and the honest end."""

import json

import pytest
from tests import aws
from tests.aws import GOLDEN, SAGEMAKER

from nearfar.core.chat import Chunk, TextDelta
from nearfar.core.errors import NearfarError, RateLimitError, StreamCut
from nearfar.wire import aws_event_stream as frames
from nearfar.wire import openai_chat
from nearfar.wire.aws_unwrap import Unwrapped
from nearfar.wire.sagemaker_invoke import part

REQUEST = openai_chat.parse(b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}', "r")
INSIDE = "".join(
    json.loads(line)[1] for line in (GOLDEN / "sagemaker_invoke" / "frames_stream_text.jsonl").read_text().splitlines()
).encode()


def unwrapped() -> Unwrapped:
    return Unwrapped(openai_chat.PROVIDER.decoder(REQUEST, True), part)


def parts(*pieces: bytes) -> bytes:
    return b"".join(frames.event("PayloadPart", piece, "application/octet-stream") for piece in pieces)


def text(chunks: list[Chunk]) -> str:
    return "".join(event.text for chunk in chunks for event in chunk.events if isinstance(event, TextDelta))


def test_parts_cut_anywhere_say_the_same_and_what_botocore_joins() -> None:
    plain = openai_chat.PROVIDER.decoder(REQUEST, True)
    whole = text(plain.feed(INSIDE) + plain.close())
    assert whole
    for place in range(1, len(INSIDE), 7):
        data = parts(INSIDE[:place], INSIDE[place:])
        joined = aws.events(SAGEMAKER, "InvokeEndpointWithResponseStream", [data])
        assert b"".join(event["PayloadPart"]["Bytes"] for event in joined) == INSIDE
        decoder = unwrapped()
        assert text(decoder.feed(data) + decoder.close()) == whole


@pytest.mark.parametrize("place", range(0, len(INSIDE), 11))
def test_a_stream_cut_inside_of_whole_frames_is_no_clean_end(place: int) -> None:
    decoder = unwrapped()
    decoder.feed(parts(INSIDE[:place]))
    if b'"finish_reason":"stop"' in INSIDE[: max(0, place - 2)]:
        return
    with pytest.raises(StreamCut):
        decoder.close()


def test_half_a_frame_is_no_clean_end_unless_all_was_said() -> None:
    for inside, clean in ((INSIDE[:200], False), (INSIDE, True)):
        decoder = unwrapped()
        decoder.feed(parts(inside) + parts(b"more")[:-1])
        if clean:
            decoder.close()
        else:
            with pytest.raises(StreamCut):
                decoder.close()


def test_an_exception_is_raised_after_what_came_before_it() -> None:
    decoder = unwrapped()
    error = frames.exception("throttlingException", b'{"message":"slow"}')
    assert text(decoder.feed(parts(INSIDE[:430]) + error)) == "It is "
    with pytest.raises(RateLimitError):
        decoder.feed(b"")
    with pytest.raises(RateLimitError):
        decoder.close()
    with pytest.raises(NearfarError):
        unwrapped().feed(error)


def test_what_comes_after_the_end_counts_for_nothing() -> None:
    decoder = unwrapped()
    decoder.feed(parts(INSIDE))
    assert decoder.feed(frames.exception("throttlingException", b"{}")) == []
    decoder.close()


def test_messages_without_a_part_say_nothing() -> None:
    decoder = unwrapped()
    assert decoder.feed(frames.event("initial-response", b"{}") + parts(INSIDE))
    decoder.close()
