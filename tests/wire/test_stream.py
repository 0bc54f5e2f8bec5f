import msgspec
import pytest

from nearfar.core.chat import Chunk
from nearfar.core.errors import Overloaded, StreamCut, UpstreamError
from nearfar.wire.ndjson import Lines
from nearfar.wire.stream import MALFORMED, StreamDecoder


def read(line: bytes) -> Chunk | None:
    if line == b"skip":
        return None
    if line == b"error":
        raise Overloaded("busy")
    if line != b"end" and not line.startswith(b"say"):
        raise UpstreamError("what?", code=MALFORMED)
    return Chunk(raw=line, end=line == b"end")


def decoder(*, complete: bool = False) -> StreamDecoder[bytes]:
    return StreamDecoder(Lines(), read, lambda: complete)


def raws(chunks: list[Chunk]) -> list[bytes]:
    return [chunk.raw for chunk in chunks]


def test_pieces_become_chunks() -> None:
    found = decoder()
    assert raws(found.feed(b"say 1\nskip\nsay")) == [b"say 1"]
    assert raws(found.feed(b" 2\nend\n")) == [b"say 2", b"end"]
    assert found.feed(b"error\nrubbish\n") == found.close() == []


def test_the_last_piece_may_lack_its_newline() -> None:
    found = decoder()
    found.feed(b"say 1\nend")
    assert raws(found.close()) == [b"end"]


def test_a_stream_that_just_stops_is_cut() -> None:
    found = decoder()
    found.feed(b"say 1\n")
    with pytest.raises(StreamCut):
        found.close()


def test_unless_it_was_complete() -> None:
    found = decoder(complete=True)
    found.feed(b"say 1\n")
    assert found.close() == [Chunk(end=True)]


def test_half_a_piece_at_the_end_is_a_cut_and_no_error() -> None:
    found = decoder(complete=True)
    found.feed(b"say 1\nen")
    with pytest.raises(StreamCut):
        found.close()


def test_a_piece_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(UpstreamError) as caught:
        decoder().feed(b"rubbish\n")
    assert caught.value.code == MALFORMED


def test_an_error_waits_for_the_chunks_before_it() -> None:
    found = decoder()
    assert raws(found.feed(b"say 1\nerror\nsay 2\n")) == [b"say 1"]
    for _ in range(2):
        with pytest.raises(Overloaded):
            found.feed(b"say 3\n")
        with pytest.raises(Overloaded):
            found.close()


def test_an_error_alone_is_raised_at_once() -> None:
    with pytest.raises(Overloaded):
        decoder().feed(b"error\n")
    found = decoder()
    found.feed(b"error")
    with pytest.raises(Overloaded):
        found.close()


DEEP = b"[" * 100_000


@pytest.mark.parametrize("spoiled", [b'{"a":"\xff"}', b"{", DEEP])
def test_what_a_reader_cannot_decode_is_the_upstreams_failure(spoiled: bytes) -> None:
    def trusting(line: bytes) -> Chunk:
        return Chunk(raw=line, events=(), id=str(msgspec.json.decode(line)))

    found: StreamDecoder[bytes] = StreamDecoder(Lines(), trusting)
    assert raws(found.feed(b"1\n" + spoiled + b"\n")) == [b"1"]
    with pytest.raises(UpstreamError) as caught:
        found.feed(b"2\n")
    assert caught.value.code == MALFORMED
    with pytest.raises(UpstreamError):
        found.close()
