"""A cloud that answers 429 while GPT4All runs: GPT4All answers.

GPT4All is a stand-in (tests/gpt4all.py), as strict as the real program's source; so is the cloud. The gateway, its
ledger and the official client are real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import openai
import pytest
from tests import gpt4all, running, stand_in

ANSWER = "GPT4All answers on this machine."


@pytest.fixture
def near() -> Iterator[gpt4all.Running]:
    with gpt4all.running(ANSWER) as made:
        yield made


@pytest.fixture
def house(
    gateway: Callable[..., running.Gateway], stand_in: stand_in.Running, near: gpt4all.Running
) -> running.Gateway:
    cloud = running.far("cloud", stand_in.url, behaviour={"mode": "429", "retry_after": 20})
    local = f"""
[deployments.gpt4all]
provider = "gpt4all"
model = "{gpt4all.MODEL}"
base_url = "{near.url}/v1"
place = "device"
"""
    return gateway(cloud + local + running.route("assistant", "cloud", "gpt4all"))


@pytest.mark.parametrize("stream", [False, True])
def test_gpt4all_answers_when_the_cloud_is_out_of_rate(
    house: running.Gateway, near: gpt4all.Running, stream: bool
) -> None:
    reply = house.chat("assistant", stream=stream, temperature=0.5, seed=7, user="somebody")
    assert reply.status == 200
    assert reply.clean
    assert reply.text == ANSWER
    assert reply.headers["x-nearfar-deployment"] == "gpt4all"
    assert reply.headers["x-nearfar-place"] == "device"
    told = set(reply.tried)
    assert told >= {"failover:cloud:rate_limit_exceeded", "dropped:seed", "default:max_tokens=4096"}
    assert ("adapted:stream" in told) == stream
    assert near.refused == [], "nothing that its rules refuse was sent"
    (asked,) = near.asked
    assert (asked["temperature"], asked["user"], asked["max_tokens"]) == (0.5, "somebody", 4096)
    failed, answered = house.attempts(reply, count=2)
    assert (failed.outcome, failed.error, failed.provider) == ("error", "rate_limit_exceeded", "openai-compatible")
    assert (answered.outcome, answered.provider, answered.cost) == ("ok", "gpt4all", 0)
    assert (answered.input_tokens, answered.output_tokens) == (9, len(ANSWER.split()))


def test_the_official_client_reads_the_stream_that_gpt4all_never_sent(house: running.Gateway) -> None:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="assistant",
            messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi."}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(ANSWER.split())


def test_what_gpt4all_cannot_do_is_no_answer_of_its(house: running.Gateway, near: gpt4all.Running) -> None:
    """Tools are known to be beyond it: it is not asked, and the cloud's own error is the answer."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    reply = house.chat("assistant", tools=[tool])
    assert reply.status == 429
    assert near.asked == []
    assert near.refused == []
