import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import UpstreamError
from nearfar.wire.sse import Event, Splitter

lines = st.sampled_from(
    [
        b"data: one",
        b"data:two",
        b"data: ",
        b"data:",
        b"data",
        b"data:  spaced",
        b"data: [DONE]",
        b"event: error",
        b": comment",
        b":",
        b"id: 7",
        b"retry: 10",
        b"unknown: x",
        b"",
        b"",
    ]
)
streams = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=14).map(
    lambda pairs: b"".join(line + end for line, end in pairs)
)


def feed(pieces: list[bytes], splitter: Splitter | None = None) -> list[Event]:
    splitter = splitter or Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + splitter.flush()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def by_the_book(data: bytes) -> list[tuple[str, bytes]]:
    """The standard's algorithm over the whole text, with our two liberties: flush at the end, drop empty data."""
    events = []
    name, values = "", list[bytes]()
    for line in [*data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if line:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                values.append(value)
            elif field == b"event":
                name = value.decode()
            continue
        if values and values != [b""]:
            events.append((name, b"\n".join(values)))
        name, values = "", []
    return events


@given(streams, st.lists(st.integers(0, 400), max_size=6))
def test_any_split_gives_the_standards_events(data: bytes, places: list[int]) -> None:
    events = feed(cut(data, places))
    assert [(event.name, event.data) for event in events] == by_the_book(data)
    assert events == feed([data[i : i + 1] for i in range(len(data))])


@given(streams)
def test_raw_is_the_same_event_and_nothing_else(data: bytes) -> None:
    for event in feed([data]):
        again = feed([event.raw])
        assert [(found.name, found.data) for found in again] == [("", event.data)]
        assert b"id:" not in event.raw


NAMED = st.tuples(
    st.sampled_from(
        [b"event: delta\n", b"event: \n", b"event:tight\n", b"event: a\nevent: b\n", b"event: \xe9\n", b""]
    ),
    st.sampled_from([b"data: {}", b"data: ", b"data:x", b"data: a\ndata: b", b"", b": note", b"data: x\nevent: late"]),
).map(lambda pair: pair[0] + pair[1] + b"\n\n")


@given(st.lists(NAMED, min_size=1, max_size=4).map(b"".join))
def test_named_events_are_the_same_whole_and_in_pieces(data: bytes) -> None:
    assert feed([data]) == feed([data[i : i + 1] for i in range(len(data))])


def test_events_named_and_unnamed_in_one_piece() -> None:
    data = b'event: ping\ndata: {}\n\ndata: {"a":1}\n\n'
    assert feed([data]) == [Event("ping", b"{}", b"data: {}\n\n"), Event("", b'{"a":1}', b'data: {"a":1}\n\n')]


def test_common_stream_keeps_its_bytes() -> None:
    data = b'data: {"a":1}\n\ndata: {"b":2}\n\n'
    assert b"".join(event.raw for event in Splitter().feed(data)) == data


def test_a_name_waits_for_its_data() -> None:
    assert feed([b"event: error\n", b"data: x\n\n", b"data: y\n\n"]) == [
        Event("error", b"x", b"data: x\n\n"),
        Event("", b"y", b"data: y\n\n"),
    ]


def test_a_comment_before_an_event_does_not_travel() -> None:
    events = feed([b": ping\n\n: ping\nid: 1\ndata: x\n\n"])
    assert [event.raw for event in events] == [b"data: x\n\n"]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert [event.data for event in feed([b"\xef\xbb\xbfdata: x\n\n"])] == [b"x"]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 90, b"x" * 90, b"data: 12345678\n"])
def test_an_endless_event_is_given_up(piece: bytes) -> None:
    splitter = Splitter(limit=1000)
    with pytest.raises(UpstreamError, match="more than 1000 bytes") as caught:
        feed([piece] * 1000, splitter)
    assert caught.value.code == "event_too_large"


def test_comments_without_end_are_no_event() -> None:
    splitter = Splitter(limit=100)
    for _ in range(1000):
        assert splitter.feed(b": keep-alive\n") == []
