"""Between unlike wires too: every dialect's Conversation, masked, leaves with no private value for any wire."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.privacy.masking import ID, NAME, PRIVATE, bodies, find, vault

from nearfar.core.chat import Request
from nearfar.core.conversation import (
    Block,
    Conversation,
    Media,
    Message,
    Opaque,
    Reasoning,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from nearfar.core.errors import BadRequestError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.privacy import mask, walk_conversation
from nearfar.privacy.vault_check import leaks
from nearfar.privacy.walk import Spot
from nearfar.wire import gemini_generate, registry

DIALECTS = ("openai.chat", "openai.responses", "anthropic.messages", "gemini.generate", "ollama.chat")
TARGETS = ("openai.chat", "anthropic.messages", "gemini.generate", "ollama.chat", "bedrock.converse")


def request(dialect: str) -> Request:
    body = bodies()[dialect]
    if dialect == "openai.chat":
        del body["messages"][2]["content"][2], body["prediction"]  # what other wires refuse
    data = json.dumps(body).encode()
    if dialect == "gemini.generate":
        return gemini_generate.read(data, "req-1", model="asked", stream=False)
    return registry.client_wire(dialect).parse(data, "req-1")


def given(dialect: str) -> Conversation:
    convert = registry.client_wire(dialect).conversation
    assert convert is not None
    return convert(request(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whatever_leaves_for_whatever_wire_holds_no_private_value(dialect: str) -> None:
    own = vault()
    found = mask.spots(given(dialect))
    texts = mask.mask(found.spots, [find(spot.text) for spot in found.spots], own)
    encoded = 0
    for target in TARGETS:
        wire = registry.provider_wire(target)
        masked = mask.mask_conversation(given(dialect), texts)
        deployment = Deployment(
            name="far",
            provider="x",
            model="m",
            wire=target,
            base_url="http://127.0.0.1:1",
            place=Place.CLOUD,
            max_output=9,
        )
        try:
            outgoing = wire.encode(request(dialect), deployment, masked)
        except BadRequestError:
            continue
        encoded += 1
        assert not PRIVATE.search(outgoing.body.decode())
        assert leaks(outgoing.body, own) == []
        assert own.word(NAME, "person").encode() in outgoing.body
    assert encoded >= 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_not_changed_is_equal(dialect: str) -> None:
    conversation = given(dialect)
    found = mask.spots(conversation)
    assert mask.mask_conversation(conversation, [spot.text for spot in found.spots]) == given(dialect)
    assert found.first == f"病人{NAME}的身分證是 {ID}。"


def test_every_field_is_seen() -> None:
    count = iter(range(1000))

    def said() -> str:
        return f"v{next(count)}"

    def raw(value: object) -> msgspec.Raw:
        return msgspec.Raw(json.dumps(value).encode())

    def extra() -> dict[str, msgspec.Raw]:
        return {said(): raw([said()]), "metadata": raw({said(): said()})}

    blocks: list[Block] = [
        Text(text=said(), extra=extra()),
        Media(kind="image", url=said(), extra=extra()),
        ToolCall(id=said(), name=said(), arguments=json.dumps({said(): said()}), extra=extra()),
        ToolResult(
            id=said(),
            name=said(),
            content=[
                Text(text=said()),
                Media(kind="image", data="eA=="),
                Opaque(vendor="x", raw=raw({"a_": said()}), text=said()),
            ],
            extra=extra(),
        ),
        Reasoning(text=said(), signature=said(), redacted=said(), extra=extra()),
    ]
    conversation = Conversation(
        messages=[Message(role="user", name=said(), blocks=blocks, extra=extra())],
        tools=[Tool(name=said(), description=said(), schema=raw({"description": said()}), extra=extra())],
        settings=Settings(
            stop=[said()],
            tool_choice=f"tool:{said()}",
            json_schema=raw({"enum": [said()]}),
            json_schema_name=said(),
            user=said(),
        ),
        extra=extra(),
    )
    seen: list[Spot] = []
    media: list[str] = []

    def see(spot: Spot) -> str:
        seen.append(spot)
        return spot.text

    walk_conversation.conversation(conversation, see, media)
    assert {spot.text for spot in seen} >= {f"v{n}" for n in range(next(count))}
    assert len(media) == 2
    assert len({spot.path + spot.form for spot in seen}) == len(seen), "paths tell places apart"
