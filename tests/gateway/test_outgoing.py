"""What leaves for a model: bounded, translated where it can be, and told of what was changed."""

from __future__ import annotations

import msgspec
import pytest
from tests.gateway.house import target

from nearfar.core.chat import Request
from nearfar.core.errors import BadRequestError, SignatureRefused
from nearfar.core.routing import Deployment
from nearfar.gateway.outgoing import OUTPUT_FALLBACK, changed, output_limit, translated
from nearfar.wire.base import Outgoing
from nearfar.wire.registry import client_wire, provider_wire

CHAT = client_wire("openai.chat")
MESSAGES = provider_wire("anthropic.messages")
FAR: Deployment = target("far", 1).deployment


def asked(**members: object) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **members}
    return CHAT.parse(msgspec.json.encode(body), "req-1")


def test_the_upper_bound_counts_every_choice() -> None:
    limited = target("limited", 1, max_output=50).deployment
    assert output_limit(asked(), FAR) == OUTPUT_FALLBACK
    assert output_limit(asked(), limited) == 50
    assert output_limit(asked(max_tokens=7), limited) == 7
    assert output_limit(asked(max_tokens=7, n=3), FAR) == 21
    vectors = client_wire("openai.embeddings").parse(b'{"model": "m", "input": "x"}', "req-2")
    assert output_limit(vectors, FAR) == 0


def test_another_dialect_is_told_of_what_it_lost() -> None:
    outgoing = translated(CHAT, MESSAGES, asked(max_tokens=5, seed=7), FAR)
    assert msgspec.json.decode(outgoing.body)["messages"][0]["role"] == "user"
    assert "dropped:seed" in outgoing.deviations


def test_what_lies_elsewhere_is_not_translated() -> None:
    with pytest.raises(BadRequestError, match="means nothing") as caught:
        translated(CHAT, MESSAGES, asked(previous_response_id="resp_1"), FAR)
    assert (caught.value.code, caught.value.param) == ("unsupported", "previous_response_id")


def test_what_has_no_conversation_is_not_translated() -> None:
    alone = msgspec.structs.replace(CHAT, conversation=None)
    with pytest.raises(BadRequestError, match="cannot be translated") as caught:
        translated(alone, MESSAGES, asked(), FAR)
    assert caught.value.code == "unsupported"


def test_signatures_that_are_not_there_cannot_be_left_out() -> None:
    def drop(body: bytes) -> bytes:
        return body if b"signed" not in body else b"bare"

    wire = msgspec.structs.replace(MESSAGES, unsigned=drop)
    outgoing = Outgoing(path="/", headers=(), body=b"signed")
    bare = changed(wire, outgoing, None, signed=False)
    assert (bare.body, bare.deviations) == (b"bare", ("dropped:thought_signature",))
    assert changed(wire, outgoing, None, signed=True) is outgoing
    with pytest.raises(SignatureRefused):
        changed(wire, bare, None, signed=False)
