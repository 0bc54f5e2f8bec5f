"""LMI's JSON lines in SageMaker's parts."""

from tests.aws import GOLDEN

from nearfar.core.chat import Finish, TextDelta
from nearfar.wire import openai_chat
from nearfar.wire.sagemaker_invoke_lines import PROVIDER

REQUEST = openai_chat.parse(b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}', "r")


def test_the_text_is_what_the_last_line_says() -> None:
    data = (GOLDEN / "sagemaker_invoke_lines" / "stream_text.bin").read_bytes()
    decoder = PROVIDER.decoder(REQUEST, True)
    chunks = decoder.feed(data) + decoder.close()
    said = "".join(event.text for chunk in chunks for event in chunk.events if isinstance(event, TextDelta))
    assert f'"generated_text":"{said}"'.encode() in chunks[-1].raw
    assert chunks[-1].events[-1] == Finish("stop", "stop_sequence")
