from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Chunk, Request
from nearfar.wire import (
    anthropic_messages_decode,
    ollama_chat,
    ollama_embed,
    openai_chat_decode,
    openai_embeddings,
    reported,
)


@pytest.mark.parametrize("word", ["", "stop", "length", "tool_calls", "content_filter"])
def test_known_finish_reasons_stay(word: str) -> None:
    assert reported.finish(word) == word


@given(st.text())
def test_no_other_word_is_kept(word: str) -> None:
    assert reported.finish(word + "!") == "other"


@pytest.mark.parametrize("name", ["gpt-5.4-mini", "org/model:7b-q4_K_M", "qwen3@https://ollama.com:443", "x" * 128])
def test_names_of_models_stay(name: str) -> None:
    assert reported.model(name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "two words", "a\n", "a\r\nb", "\x00", "\u4e2d\u6587", None, 5, ["x"]])
def test_what_has_no_name_s_shape_is_dropped(name: object) -> None:
    assert reported.model(name) == ""


ECHO = "the patient said"
REQUEST: dict[str, Any] = {
    "id": "r",
    "wire": "openai.chat",
    "operation": "chat",
    "model": "m",
    "body": b"",
    "fields": {},
}
PLAIN = Request(**REQUEST)
STREAM = Request(**REQUEST, stream=True)


@pytest.mark.parametrize(
    ("decoder", "request_", "data"),
    [
        (
            openai_chat_decode,
            PLAIN,
            b'{"model":"%b","choices":[{"message":{"content":"hi"},"finish_reason":"%b"}]}',
        ),
        (
            openai_chat_decode,
            STREAM,
            b'data: {"model":"%b","choices":[{"index":0,"delta":{},"finish_reason":"%b"}]}\n\n',
        ),
        (anthropic_messages_decode, PLAIN, b'{"type":"message","model":"%b","stop_reason":"%b"}'),
        (
            anthropic_messages_decode,
            STREAM,
            (
                b'data: {"type":"message_start","message":{"model":"%b"}}\n\n'
                b'data: {"type":"message_delta","delta":{"stop_reason":"%b"}}\n\ndata: {"type":"message_stop"}\n\n'
            ),
        ),
        (ollama_chat, PLAIN, b'{"model":"%b","message":{"content":"hi"},"done":true,"done_reason":"%b"}'),
        (ollama_chat, STREAM, b'{"model":"%b","message":{"content":"hi"},"done":true,"done_reason":"%b"}\n'),
        (
            ollama_chat,
            PLAIN,
            b'{"remote_host":"%b","message":{"content":"hi"},"done":true,"done_reason":"%b"}',
        ),
        (ollama_embed, PLAIN, b'{"model":"%b","embeddings":[[1.0]],"ignored":"%b"}'),
        (openai_embeddings, PLAIN, b'{"model":"%b","data":[{"embedding":[1.0]}],"ignored":"%b"}'),
    ],
)
def test_no_decoder_lets_an_echo_into_the_ledger(decoder: Any, request_: Request, data: bytes) -> None:
    reader = decoder.decoder(request_, False)
    words = ECHO.encode()
    chunks: list[Chunk] = reader.feed(data % (words, words)) + reader.close()
    assert chunks
    assert [chunk for chunk in chunks if ECHO in chunk.model or ECHO in chunk.finish] == []
    assert any(ECHO.encode() in chunk.raw for chunk in chunks), "the client still reads the upstream's own words"


WORDS = st.sampled_from(["content", "token", "top_logprobs", "logprob", "x"])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
)


@given(JUNK)
def test_log_probabilities_of_any_shape_can_be_rendered(value: Any) -> None:
    for raw in (value, {"content": value}, {"content": [{"token": value, "top_logprobs": value}]}):
        for entry in reported.logprobs(msgspec.Raw(msgspec.json.encode(raw))):
            assert isinstance(entry["token"], str)
            assert all(isinstance(top["token"], str) for top in entry["top_logprobs"])
