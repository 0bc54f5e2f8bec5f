import base64
import json
from typing import Any

import pytest
from ollama._types import GenerateRequest

from nearfar.core.chat import Request
from nearfar.core.conversation import Media, Text
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import ollama_generate, openai_chat
from nearfar.wire.ollama_generate import conversation, encode, is_empty, parse
from nearfar.wire.openai_chat_conversation import conversation as from_openai

PNG = base64.b64encode(b"\x89PNG" + bytes(20)).decode()
THERE = Deployment(
    name="d",
    provider="ollama",
    model="llama3.2",
    wire="ollama.chat",
    base_url="http://x",
    place=Place.DEVICE,
    drop=("keep_alive",),
)


def ask(**value: Any) -> Request:
    return parse(json.dumps({"model": "m", "prompt": "hi", **value}).encode(), "r")


def test_a_prompt_is_a_chat_of_one_turn() -> None:
    request = ask(system="be kind", images=[PNG], options={"num_predict": 3, "num_gpu": 1}, keep_alive=5, think="low")
    found = conversation(request)
    assert [message.role for message in found.messages] == ["system", "user"]
    text, picture = found.messages[1].blocks
    assert isinstance(text, Text)
    assert text.text == "hi"
    assert isinstance(picture, Media)
    assert picture.mime == "image/png"
    assert (found.settings.max_output, found.settings.reasoning_effort) == (3, "low")
    assert found.deviations == ("dropped:options.num_gpu", "dropped:keep_alive")
    assert request.needs == {"images"}
    assert request.stream


def test_towards_ollama_the_bytes_travel() -> None:
    request = ask(raw=True, template="{{ .Prompt }}", suffix="end", keep_alive="5m", options={"seed": 1})
    out = encode(request, THERE, None)
    sent = json.loads(out.body)
    GenerateRequest.model_validate(sent)
    assert out.path == "/api/generate"
    assert out.deviations == ("dropped:keep_alive",)
    assert (sent["model"], sent["raw"], sent["suffix"]) == ("llama3.2", True, "end")
    assert sent["options"] == {"seed": 1, "num_ctx": 4096}
    assert sent["truncate"] is False


@pytest.mark.parametrize("only", [{"raw": True}, {"template": "x"}, {"suffix": "x"}, {"width": 512}])
def test_what_only_ollama_can_do_is_refused_elsewhere(only: dict[str, Any]) -> None:
    request = ask(**only)
    with pytest.raises(BadRequestError) as caught:
        conversation(request)
    assert (caught.value.code, caught.value.param) == ("unsupported", next(iter(only)))
    assert conversation(ask(raw=False, template="", suffix=None, context=[])).deviations == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"context": [1, 2]},
        {"prompt": 3},
        {"system": []},
        {"raw": "yes"},
        {"images": "x"},
        {"model": None},
        {"suffix": 1},
    ],
)
def test_wrong_requests(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        ask(**wrong)


def test_without_a_prompt_nothing_is_asked() -> None:
    assert is_empty(ask(prompt=""))
    assert is_empty(ask(prompt=None))
    assert not is_empty(ask())


def test_a_conversation_of_one_turn_is_a_prompt() -> None:
    """The contract of every provider wire; Ollama's chat is what other dialects really travel on."""

    def send(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
        request = openai_chat.parse(json.dumps({"model": "m", "messages": messages, **more}).encode(), "r")
        sent: dict[str, Any] = json.loads(encode(request, THERE, from_openai(request)).body)
        GenerateRequest.model_validate({**sent, "images": None})  # it takes files, not the base64 that it sends
        return sent

    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    sent = send(
        {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}, picture]}
    )
    assert (sent["prompt"], sent["system"], sent["images"], sent["stream"]) == ("hi", "s", [PNG], False)
    with pytest.raises(BadRequestError, match="no conversation"):
        send({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})


def test_it_is_found_by_its_name() -> None:
    assert ollama_generate.CLIENT.name in ollama_generate.PROVIDER.like
