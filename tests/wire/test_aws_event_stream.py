"""Frames against botocore's own decoder: the same bytes give the same messages, and what it refuses we refuse."""

import itertools
import struct
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.errors import UpstreamError
from nearfar.wire import aws_event_stream as frames
from nearfar.wire.aws_event_stream import Message, Messages

ONE = frames.event("contentBlockDelta", b'{"delta":{"text":"hi"}}')
TWO = frames.exception("throttlingException", b'{"message":"slow down"}')


def theirs(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(event.headers, event.payload) for event in buffer]


def ours(pieces: list[bytes]) -> list[Message]:
    messages = Messages()
    return [message for piece in pieces for message in messages.feed(piece)]


def raw(block: bytes, payload: bytes = b"", *, total: int | None = None, headers: int | None = None) -> bytes:
    """A message with any header bytes, and lengths that may lie under right checksums."""
    sizes = struct.pack("!II", 16 + len(block) + len(payload) if total is None else total, headers or len(block))
    body = sizes + struct.pack("!I", zlib.crc32(sizes)) + block + payload
    return body + struct.pack("!I", zlib.crc32(body))


names = st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256)
texts = st.dictionaries(names, st.text(max_size=40), max_size=6)


@given(st.lists(st.tuples(texts, st.binary(max_size=60)), max_size=4), st.data())
def test_what_we_write_botocore_reads_and_so_do_we_however_it_is_split(
    messages: list[tuple[dict[str, str], bytes]], data: st.DataObject
) -> None:
    wire = b"".join(frames.encode(headers, payload) for headers, payload in messages)
    assert theirs(wire) == messages
    places = data.draw(st.lists(st.integers(0, len(wire)), max_size=6).map(sorted))
    pieces = [wire[start:end] for start, end in itertools.pairwise([0, *places, len(wire)])]
    assert [(dict(message.headers), message.payload) for message in ours(pieces)] == messages


HEADERS = [
    (b"\x00", True),
    (b"\x01", False),
    (b"\x02\xff", -1),
    (b"\x03\xff\xfe", -2),
    (b"\x04\x00\x00\x01\x00", 256),
    (b"\x05" + b"\xff" * 8, -1),
    (b"\x06\x00\x02\x00\xff", b"\x00\xff"),
    (b"\x07\x00\x02\xc3\xa9", "é"),
    (b"\x08" + (1_795_305_600_000).to_bytes(8, "big"), 1_795_305_600_000),
    (b"\x09" + bytes(range(16)), bytes(range(16))),
]


@pytest.mark.parametrize(("value", "meaning"), HEADERS)
def test_every_type_of_header_is_read_as_botocore_reads_it(value: bytes, meaning: object) -> None:
    data = raw(b"\x01a" + value + b"\x01b\x07\x00\x01x", b"p")
    [message] = ours([data])
    assert message == Message({"a": meaning, "b": "x"}, b"p", data)  # type: ignore[dict-item]  # a value of any type
    assert type(message.headers["a"]) is type(meaning)
    assert theirs(data) == [({"a": meaning, "b": "x"}, b"p")]


def test_headers_that_are_no_text_are_none() -> None:
    message = Message({"a": 1, "b": "x"}, b"")
    assert (message.header("a"), message.header("b"), message.header("c")) == ("", "x", "")


def test_every_flipped_bit_is_found() -> None:
    for place, bit in itertools.product(range(len(ONE)), range(8)):
        wrong = bytearray(ONE)
        wrong[place] ^= 1 << bit
        with pytest.raises(ParserError):
            theirs(bytes(wrong))
        with pytest.raises(UpstreamError) as caught:
            ours([bytes(wrong)])
        assert caught.value.code == "corrupt_stream"


@given(st.binary(min_size=12, max_size=80))
@examples(200)
def test_rubbish_is_refused_before_it_is_collected(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="begin no message"):
        ours([data])


def test_a_cut_message_is_never_a_whole_one() -> None:
    data = ONE + TWO
    for place in range(len(data)):
        messages = Messages()
        found = messages.feed(data[:place])
        rest = messages.flush()
        assert found == ours([ONE])[: len(found)]
        assert len(found) == (place >= len(ONE))
        assert bool(rest) == (place not in {0, len(ONE)})
        assert all(not message.headers for message in rest)


@pytest.mark.parametrize(
    "data",
    [
        raw(b"", total=15),
        raw(b"", total=16, headers=1),
        raw(b"", total=400_000, headers=frames.MAX_HEADERS + 1),
        raw(b"\x01a"),  # no type
        raw(b"\x01a\x0a"),  # an unknown type
        raw(b"\x05a\x00"),  # a name that is too long
        raw(b"\x00\x00"),  # no name
        raw(b"\x01a\x07\x00\x05x"),  # a value that is too long
        raw(b"\x01a\x07\x00\x01\xff"),  # no UTF-8
        raw(b"\x01a\x05\x00"),  # half a number
        raw(b"\x01a\x00\x01a\x00"),  # twice
    ],
)
def test_impossible_messages_are_refused(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        ours([data])
    assert caught.value.code == "corrupt_stream"


def test_lengths_are_bounded_before_the_bytes_come() -> None:
    lengths = struct.pack("!II", 16 + frames.MAX_PAYLOAD + 1, 0)
    with pytest.raises(UpstreamError) as caught:
        ours([lengths + struct.pack("!I", zlib.crc32(lengths))])
    assert caught.value.code == "event_too_large"
    with pytest.raises(UpstreamError, match="more than 4 bytes"):
        Messages(limit=4).feed(ONE)


@pytest.mark.parametrize("split", [False, True])
def test_messages_before_a_fault_are_kept_and_the_fault_stays(split: bool) -> None:
    messages = Messages()
    data = ONE + b"\xff" * 12
    found: list[Message] = []

    def feed(pieces: list[bytes]) -> None:
        for piece in pieces:
            found.extend(messages.feed(piece))

    with pytest.raises(UpstreamError):
        feed([data[at : at + 1] for at in range(len(data))] if split else [data, b""])
    assert found == ours([ONE])
    with pytest.raises(UpstreamError):
        messages.feed(ONE)
    assert [message.headers for message in messages.flush()] == [{}]


@pytest.mark.parametrize("headers", [{"": "x"}, {"x" * 256: "x"}, {"x": "x" * 0x8000}])
def test_what_does_not_fit_the_format_is_not_written(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="fit"):
        frames.encode(headers, b"")


def test_what_is_too_large_is_not_written() -> None:
    with pytest.raises(ValueError, match="larger"):
        frames.encode({f"h{number}": "x" * 0x7FFF for number in range(5)}, b"")
