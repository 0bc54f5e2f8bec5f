import json

import pytest
from anthropic.types import MessageTokensCount

from nearfar.core.chat import Usage
from nearfar.core.conversation import Conversation
from nearfar.core.errors import BadRequestError, StreamCut, UpstreamError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.anthropic_count_tokens import CLIENT, PROVIDER, counted, parse

BODY = {"model": "near", "messages": [{"role": "user", "content": "hi"}], "thinking": {"type": "adaptive"}}
THERE = Deployment(
    name="d", provider="p", model="claude-x", wire="anthropic.messages", base_url="http://x", place=Place.LAN
)


def test_the_request_travels_as_it_came() -> None:
    request = parse(json.dumps(BODY).encode(), "r")
    request.headers = (("anthropic-beta", "b"),)
    out = PROVIDER.encode(request, THERE, None)
    assert (out.method, out.path) == ("POST", "/v1/messages/count_tokens")
    assert json.loads(out.body) == {**BODY, "model": "claude-x"}
    assert dict(out.headers)["anthropic-beta"] == "b"
    with pytest.raises(BadRequestError):
        PROVIDER.encode(request, THERE, Conversation(messages=[]))


def test_the_number_is_the_answer_and_costs_nothing() -> None:
    request = parse(json.dumps(BODY).encode(), "r")
    decoder = PROVIDER.decoder(request, False)
    [chunk] = decoder.feed(b'{"input_tokens": 2095}') + decoder.close()
    assert chunk.usage == Usage(input=0, output=0)
    made = CLIENT.renderer(request, True)
    assert made.render(chunk) + made.finish() == b'{"input_tokens": 2095}'


def test_our_own_number_looks_the_same() -> None:
    assert MessageTokensCount.model_validate_json(counted(7)).input_tokens == 7


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", StreamCut),
        (b"{}", UpstreamError),
        (b'{"error":{"type":"api_error","message":"x"},"input_tokens":1}', UpstreamError),
    ],
)
def test_replies_that_count_nothing(body: bytes, kind: type[Exception]) -> None:
    decoder = PROVIDER.decoder(parse(json.dumps(BODY).encode(), "r"), False)
    assert decoder.feed(body) == []
    with pytest.raises(kind):
        decoder.close()


def test_who_cannot_count_may_still_chat() -> None:
    for status in (404, 405, 501):
        error = PROVIDER.error(status, {}, b"")
        assert (type(error), error.code, error.cools_down) == (BadRequestError, "unsupported", False)
    assert PROVIDER.error(529, {}, b"").cools_down
