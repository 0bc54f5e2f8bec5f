import msgspec
import pytest

from nearfar.core.chat import Chunk
from nearfar.core.errors import RateLimitError, StreamCut, UpstreamError
from nearfar.wire.plain import PlainDecoder, decode_reply, refuse_error


def test_one_chunk_when_whole() -> None:
    decoder = PlainDecoder(lambda body: Chunk(raw=body, end=True))
    assert decoder.feed(b"one ") == decoder.feed(b"body") == []
    assert decoder.close() == [Chunk(raw=b"one body", end=True)]


def test_an_endless_reply_is_given_up() -> None:
    decoder = PlainDecoder(lambda body: Chunk(raw=body), limit=10)
    decoder.feed(b"x" * 10)
    with pytest.raises(UpstreamError, match="larger than 10 bytes"):
        decoder.feed(b"x")


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":"\xff"}', b"[" * 100_000])
def test_what_cannot_be_read_was_cut(body: bytes) -> None:
    with pytest.raises(StreamCut):
        decode_reply(msgspec.json.decode, body)


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b"[" * 100_000])
def test_what_a_reader_cannot_decode_is_the_upstreams_failure(body: bytes) -> None:
    def trusting(body: bytes) -> Chunk:
        return Chunk(raw=body, id=str(msgspec.json.decode(body)))

    decoder = PlainDecoder(trusting)
    decoder.feed(body)
    with pytest.raises(StreamCut):
        decoder.close()


def test_an_error_in_the_body_is_raised() -> None:
    refuse_error(None, b"{}")
    with pytest.raises(RateLimitError, match="slow down"):
        refuse_error(True, b'{"error":{"message":"slow down","type":"rate_limit_error"}}')


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"\n <!doctype html>"])
def test_a_web_page_is_called_one(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="web page") as caught:
        decode_reply(msgspec.json.decode, body)
    assert caught.value.code == "malformed_reply"
    assert "base_url" in caught.value.hint
