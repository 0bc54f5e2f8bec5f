"""Transcriptions that travel as they came."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import examples

from nearfar.core.chat import Chunk, Request, Usage
from nearfar.core.errors import BadRequestError, NearfarError, RateLimitError, StreamCut
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.openai_audio import CLIENT, PROVIDER, parse

SOUND = bytes(range(256)) * 10
THERE = Deployment(name="d", provider="p", model="there", wire="openai.chat", base_url="x", place=Place.CLOUD)
DONE = {
    "type": "transcript.text.done",
    "text": "Near.",
    "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 2, "total_tokens": 16},
}
STREAM = b"".join(
    b"data: %b\n\n" % json.dumps(event).encode()
    for event in (
        {"type": "transcript.text.delta", "delta": "Near"},
        {"type": "transcript.text.delta", "delta": "."},
        DONE,
    )
)
PLAIN = json.dumps({"text": "Near.", "usage": {"type": "duration", "seconds": 2}}).encode()


def form(*, file: bytes | None = SOUND, filename: bool = True, **fields: str) -> bytes:
    parts = [
        f'--b1\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        name = '; filename="a.wav"' if filename else ""
        head = f'--b1\r\nContent-Disposition: form-data; name="file"{name}\r\nContent-Type: audio/wav\r\n\r\n'
        parts.append(head.encode() + file)
    return b"\r\n".join(parts) + b"\r\n--b1--\r\n"


def read(**fields: str) -> Request:
    return parse(form(file=SOUND, filename=True, **{"model": "m", **fields}), "req-1")


def test_the_few_facts_that_decide() -> None:
    request = read(language="zh", response_format="verbose_json", stream="True")
    assert (request.wire, request.operation, request.model, request.stream) == (
        "openai.audio",
        "transcription",
        "m",
        True,
    )
    assert len(SOUND) // 200 < request.input_tokens < len(SOUND) // 100


def test_only_the_models_name_changes() -> None:
    request = read(prompt="m")
    out = PROVIDER.encode(request, THERE, None)
    assert out.path == "/audio/transcriptions"
    assert out.headers == (("content-type", "multipart/form-data; boundary=b1"),)
    assert out.body == form(model="there", prompt="m")
    assert PROVIDER.encode(read(model="there"), THERE, None).body == form(model="there")
    assert out.deviations == ()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(), "model"),
        (form(model=""), "model"),
        (form(model="m", file=None), "file"),
        (form(model="m", file=b""), "file"),
        (form(model="m", filename=False), "file"),
        (form(model="m", api_base="http://x"), "api_base"),
        (form(model="m", stream="maybe"), "stream"),
        (form(model="m", response_format="xml"), "response_format"),
        (form(model="m").replace(b'name="model"', b'name="model"; filename="x"'), "model"),
        (
            form(model="m", language="\udcff".encode("utf-8", "surrogateescape").decode("latin-1")).replace(
                b"\xc3\xbf", b"\xff"
            ),
            "language",
        ),
    ],
)
def test_refusals_name_the_place(body: bytes, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(body, "req-1")
    assert caught.value.param == param


def test_sound_from_elsewhere_is_noted() -> None:
    assert parse(form(model="m", url="http://x/a.wav"), "req-1").elsewhere == (("media_url", "url"),)
    assert parse(form(model="m", file_id="f"), "req-1").elsewhere == (("file_id", "file_id"),)


@examples(100)
@given(st.integers(0, 3000), st.binary(max_size=20))
def test_damaged_forms_are_read_or_refused(place: int, rubbish: bytes) -> None:
    body = form(model="m", stream="true")
    try:
        parse(body[:place] + rubbish + body[place + len(rubbish) :], "req-1")
    except BadRequestError:
        return


def feed(request: Request, *pieces: bytes) -> list[Chunk]:
    decoder = PROVIDER.decoder(request, False)
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()


def rendered(request: Request, chunks: list[Chunk]) -> bytes:
    out = CLIENT.renderer(request, True)
    return b"".join(out.render(chunk) for chunk in chunks) + out.finish()


@pytest.mark.parametrize(
    ("fields", "reply", "kind"),
    [
        ({}, PLAIN, "application/json"),
        ({"response_format": "verbose_json"}, PLAIN, "application/json"),
        ({"response_format": "srt"}, b"1\n00:00:00,000 --> 00:00:01,000\nNear.\n", "text/plain; charset=utf-8"),
        ({"stream": "true"}, STREAM, "text/event-stream"),
    ],
)
def test_replies_travel_as_they_came(fields: dict[str, str], reply: bytes, kind: str) -> None:
    request = read(**fields)
    assert rendered(request, feed(request, reply)) == reply
    assert CLIENT.renderer(request, True).content_type == kind


def test_usage() -> None:
    *_, last = feed(read(stream="true"), STREAM)
    assert (last.end, last.usage) == (True, Usage(input=14, output=2))
    assert feed(read(), PLAIN)[0].usage is None, "a duration is no count of tokens"


def test_every_split_is_the_same_and_every_cut_an_error() -> None:
    request = read(stream="true")
    whole = [chunk.raw for chunk in feed(request, STREAM)]
    assert [chunk.raw for chunk in feed(request, *(bytes([byte]) for byte in STREAM))] == whole
    for first, second in itertools.pairwise(range(0, len(STREAM), 7)):
        pieces = (STREAM[:first], STREAM[first:second], STREAM[second:])
        assert [chunk.raw for chunk in feed(request, *pieces)] == whole
    end = STREAM.rindex(b"\n\n")
    for place in range(end):
        with pytest.raises(NearfarError):
            feed(request, STREAM[:place])
    for place in range(len(PLAIN)):
        with pytest.raises(StreamCut):
            feed(read(), PLAIN[:place])


def test_errors() -> None:
    error = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}
    with pytest.raises(RateLimitError):
        feed(read(stream="true"), b"data: %b\n\n" % json.dumps(error).encode())
    with pytest.raises(RateLimitError):
        feed(read(), json.dumps(error).encode())
    with pytest.raises(NearfarError):
        feed(read(), b"{}")
    with pytest.raises(StreamCut):
        feed(read(stream="true"), b"data: [DONE]\n\n")
    assert isinstance(PROVIDER.error(429, {}, json.dumps(error).encode()), RateLimitError)


def test_a_stream_that_breaks_never_says_done() -> None:
    request = read(stream="true")
    out = CLIENT.renderer(request, True)
    said = b"".join(out.render(chunk) for chunk in feed(request, STREAM)) + out.error(StreamCut("Cut."))
    assert b"transcript.text.done" not in said
    assert json.loads(said.rsplit(b"data: ", 1)[1])["error"]["code"] == "stream_cut"
    assert (out.keep_alive(), out.note("x")) == (b": keep-alive\n", b": x\n")
    plain = CLIENT.renderer(read(), True)
    assert plain.keep_alive() == plain.note("x") == b""
    assert json.loads(plain.error(StreamCut("Cut.")))["error"]["code"] == "stream_cut"
