"""The three dialects as the official clients read them: unmodified, against the running stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import ollama
import openai
import pytest
from tests.stand_in import Running

from nearfar.standin import dialects
from nearfar.standin.answers import Answer

QUESTION = [{"role": "user", "content": "How far is the moon?"}]
TEXT = "This is the stand-in for a cloud model, not a real one. You asked: “How far is the moon?”"
WORDS = len(TEXT.split())
INPUT = 4 + 5  # one message; 20 bytes


@pytest.fixture
def openai_client(stand_in: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stand_in.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_openai_plain(openai_client: openai.OpenAI) -> None:
    reply = openai_client.chat.completions.create(
        model="stand-in-large", messages=[{"role": "user", "content": "How far is the moon?"}]
    )
    assert reply.choices[0].message.content == TEXT
    assert reply.choices[0].finish_reason == "stop"
    assert reply.system_fingerprint == "stand-in"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (INPUT, WORDS)


def test_openai_stream_with_usage(openai_client: openai.OpenAI) -> None:
    chunks = list(
        openai_client.chat.completions.create(
            model="stand-in-large",
            messages=[{"role": "user", "content": "How far is the moon?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (INPUT, WORDS)


def test_openai_logprobs(stand_in: Running, openai_client: openai.OpenAI) -> None:
    stand_in.behave(logprob=-0.5)
    create = openai_client.chat.completions.create
    reply = create(model="stand-in-large", messages=[{"role": "user", "content": "hello"}], logprobs=True)
    said = reply.choices[0].logprobs
    assert said is not None
    assert said.content is not None
    assert {token.logprob for token in said.content} == {-0.5}
    assert "".join(token.token for token in said.content) == reply.choices[0].message.content
    stream = create(model="stand-in-large", messages=[{"role": "user", "content": "hello"}], logprobs=True, stream=True)
    pieces = [chunk.choices[0].logprobs for chunk in stream]
    assert sum(len(piece.content or ()) for piece in pieces if piece is not None) == len(said.content)
    silent = create(model="stand-in-large", messages=[{"role": "user", "content": "hello"}])
    assert silent.choices[0].logprobs is None


def test_openai_limit(openai_client: openai.OpenAI) -> None:
    reply = openai_client.chat.completions.create(
        model="stand-in-large", messages=[{"role": "user", "content": "How far is the moon?"}], max_completion_tokens=3
    )
    assert reply.choices[0].message.content == "This is the"
    assert reply.choices[0].finish_reason == "length"


def test_openai_models_and_embeddings(openai_client: openai.OpenAI) -> None:
    names = [model.id for model in openai_client.models.list()]
    assert "stand-in-embed" in names
    assert openai_client.models.retrieve("stand-in-large").owned_by == "stand-in"
    as_base64 = openai_client.embeddings.create(model="stand-in-embed", input=["near", "far"])
    as_floats = openai_client.embeddings.create(model="stand-in-embed", input=["near", "far"], encoding_format="float")
    assert [len(row.embedding) for row in as_base64.data] == [16, 16]
    for left, right in zip(as_base64.data, as_floats.data, strict=True):
        assert left.embedding == pytest.approx(right.embedding, abs=1e-6)
    assert as_floats.usage.prompt_tokens == 2


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("401", openai.AuthenticationError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("529", openai.InternalServerError),
    ],
)
def test_openai_errors(
    stand_in: Running, openai_client: openai.OpenAI, mode: str, error: type[openai.APIStatusError]
) -> None:
    stand_in.behave(mode)
    with pytest.raises(error, match="asked to fail"):
        openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


def test_openai_error_in_the_stream(stand_in: Running, openai_client: openai.OpenAI) -> None:
    stand_in.behave("error-event", after=2)
    stream = openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    with pytest.raises(openai.APIError, match="asked to fail"):
        list(stream)


def test_anthropic(stand_in: Running) -> None:
    with anthropic.Anthropic(base_url=stand_in.url, api_key="any", max_retries=0) as client:
        reply = client.messages.create(
            model="stand-in-large", max_tokens=100, messages=[{"role": "user", "content": "How far is the moon?"}]
        )
        assert [block.text for block in reply.content if block.type == "text"] == [TEXT]
        assert (reply.stop_reason, reply.usage.input_tokens, reply.usage.output_tokens) == ("end_turn", INPUT, WORDS)
        with client.messages.stream(
            model="stand-in-large", max_tokens=3, messages=[{"role": "user", "content": "How far is the moon?"}]
        ) as stream:
            final = stream.get_final_message()
        assert [block.text for block in final.content if block.type == "text"] == ["This is the"]
        assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 3)
        stand_in.behave("529")
        with pytest.raises(anthropic.APIStatusError, match="asked to fail"):
            client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])


def test_ollama(stand_in: Running) -> None:
    client = ollama.Client(host=stand_in.url)
    reply = client.chat(model="stand-in-large", messages=QUESTION)
    assert reply.message.content == TEXT
    assert (reply.done, reply.prompt_eval_count, reply.eval_count) == (True, INPUT, WORDS)
    parts = list(client.chat(model="stand-in-large", messages=QUESTION, stream=True, options={"num_predict": 3}))
    assert "".join(part.message.content or "" for part in parts) == "This is the"
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("length", 3)
    made = client.generate(model="stand-in-large", prompt="hello", stream=True)
    assert "".join(part.response or "" for part in made) == TEXT.replace(QUESTION[-1]["content"], "hello")
    assert client.generate(model="stand-in-large").response == "", "loaded, and nothing is charged"
    assert stand_in.report().requests[-1].invoice == ""
    assert len(client.embed(model="stand-in-embed", input=["near", "far"]).embeddings) == 2
    assert [model.model for model in client.list().models] == ["stand-in-large", "stand-in-small", "stand-in-embed"]
    assert client.show("stand-in-embed").capabilities == ["embedding"]
    stand_in.behave("503")
    with pytest.raises(ollama.ResponseError, match="asked to fail"):
        client.chat(model="m", messages=QUESTION)
    client._client.close()


@pytest.mark.parametrize("dialect", [dialects.OPENAI, dialects.ANTHROPIC, dialects.OLLAMA], ids=lambda d: d.name)
def test_the_broken_event_is_not_json(dialect: dialects.Dialect) -> None:
    lines = [
        line.removeprefix(b"data: ") for line in dialect.broken.splitlines() if line and not line.startswith(b"event")
    ]
    assert len(lines) == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[0])


@pytest.mark.parametrize("dialect", [dialects.OPENAI, dialects.ANTHROPIC, dialects.OLLAMA], ids=lambda d: d.name)
def test_one_piece_is_one_event(dialect: dialects.Dialect) -> None:
    answer = Answer(id="x", model="m", created=0, pieces=("a\n\nb",), input=1, output=1)
    event = dialect.piece(answer, "a\n\nb")
    end = b"\n" if dialect is dialects.OLLAMA else b"\n\n"
    assert event.endswith(end)
    assert event.count(end) == 1
