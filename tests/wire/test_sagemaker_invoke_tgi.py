"""TGI's server-sent events in SageMaker's parts."""

import json

from tests.aws import GOLDEN

from nearfar.core.chat import TextDelta
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import openai_chat
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.sagemaker_invoke_tgi import PROVIDER

REQUEST = openai_chat.parse(b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}', "r")


def test_the_prompt_goes_to_the_endpoint() -> None:
    there = Deployment(
        name="d", provider="sagemaker", model="ep", wire=PROVIDER.name, base_url="https://h", place=Place.CLOUD
    )
    out = PROVIDER.encode(REQUEST, there, conversation(REQUEST))
    assert out.path == "/endpoints/ep/invocations-response-stream"
    assert json.loads(out.body).keys() == {"inputs", "parameters", "stream"}


def test_the_text_is_what_the_last_event_says() -> None:
    data = (GOLDEN / "sagemaker_invoke_tgi" / "stream_text.bin").read_bytes()
    decoder = PROVIDER.decoder(REQUEST, True)
    chunks = decoder.feed(data) + decoder.close()
    said = "".join(event.text for chunk in chunks for event in chunk.events if isinstance(event, TextDelta))
    assert f'"generated_text":"{said}"'.encode() in chunks[-1].raw
    assert chunks[-1].finish == "stop"
