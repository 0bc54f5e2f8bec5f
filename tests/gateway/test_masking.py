"""Masks on the way out and values on the way back, for one request at a time."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from tests.gateway.test_guard import Broken

from nearfar.core.chat import Request, TextDelta, ToolCallDelta
from nearfar.core.errors import GuardError, MaskingFailed
from nearfar.gateway.guard import Guard
from nearfar.gateway.masking import Masked, Masking
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.privacy.scan import Scanner
from nearfar.settings.model import Policy, Settings
from nearfar.wire.openai_chat import CLIENT

RULES = presets.rules(Settings(policy=Policy(preset="team")))
MAIL = "mei@example.org"


def asked(text: str, **more: object) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return CLIENT.parse(json.dumps(body).encode(), "req-1")


def masked(request: Request, *detectors: Broken, rules: Rules = RULES) -> Masked:
    guard = Guard(rules, lambda harmless: Scanner(detectors=detectors, harmless=harmless))
    return asyncio.run(Masking(guard, rules, b"k" * 32).apply(request, CLIENT, "auto"))


def test_the_masked_request_is_the_same_but_for_its_values() -> None:
    before = asked(f"write to {MAIL}", x_unknown={"to": MAIL})
    found = masked(before)
    assert MAIL.encode() not in found.request.body
    assert MAIL.encode() not in b"".join(bytes(raw) for raw in found.request.fields.values())
    assert (found.request.id, found.request.model, len(found.vault)) == ("req-1", "m", 1)
    assert before.body.count(MAIL.encode()) == 2, "the client's own request stays as it was"


def test_a_request_without_findings_travels_as_it_came() -> None:
    before = asked("nothing here")
    found = masked(before)
    assert (found.request, len(found.vault)) == (before, 0)


def test_the_last_look_refuses_the_value_in_any_form() -> None:
    found = masked(asked(f"write to {MAIL}"))
    found.look(found.request.body)
    found.look(b"POST /v1/chat/completions HTTP/1.1")
    for leak in (MAIL, MAIL.upper(), MAIL.replace("@", "%40"), json.dumps({"a": f"x {MAIL} y"})):
        with pytest.raises(MaskingFailed, match="nothing was sent"):
            found.look(leak.encode())


def test_replies_are_restored_and_tools_see_masks_unless_trusted() -> None:
    tools = [{"type": "function", "function": {"name": "mail", "parameters": {}}}]
    request = asked(f"write to {MAIL}", tools=tools)
    mask = json.loads(masked(request).request.body)["messages"][0]["content"].removeprefix("write to ")
    restorer = masked(request).restorer("openai.chat")
    events = (*restorer.feed((TextDelta(text=f"to {mask[:3]}"),)), *restorer.feed((TextDelta(text=mask[3:]),)))
    events += restorer.flush()
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == f"to {MAIL}"

    def called(rules: Rules) -> str:
        restorer = masked(request, rules=rules).restorer("openai.chat")
        call = ToolCallDelta(call=0, id="c", name="mail", arguments=json.dumps({"to": mask}))
        out = (*restorer.feed((call,)), *restorer.flush())
        return "".join(event.arguments for event in out if isinstance(event, ToolCallDelta))

    assert MAIL not in called(RULES)
    assert MAIL in called(msgspec.structs.replace(RULES, trusted_tools=("ma*",)))


def test_whatever_fails_nothing_is_masked_halfway() -> None:
    with pytest.raises(GuardError):
        masked(asked("hello"), Broken(GuardError("gone")))
    with pytest.raises((GuardError, MaskingFailed)):
        masked(asked("hello"), Broken(ValueError("garbage")))
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    body = {"model": "m", "messages": [{"role": "user", "content": image}]}
    with pytest.raises(MaskingFailed):
        masked(CLIENT.parse(json.dumps(body).encode(), "req-1"))
