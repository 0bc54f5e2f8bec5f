"""Who looks at which replies, for what, and what is told of it; nobody looks where the policy does not ask for it."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.gateway.test_guard import Broken

from nearfar.core.chat import Event, Request, TextDelta
from nearfar.core.errors import GuardError
from nearfar.core.places import Place
from nearfar.gateway.guard import Guard
from nearfar.gateway.masking import Masking
from nearfar.gateway.reply_guard import ReplyGuard
from nearfar.policy import presets
from nearfar.policy.rules import Rules
from nearfar.privacy.names import Names
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.scan import Scanner
from nearfar.settings.model import Policy, Settings
from nearfar.wire.openai_chat import CLIENT

MAIL, CARD = "mei@example.org", "4111 1111 1111 1111"


def rules(action: str = "redact") -> Rules:
    policy = Policy(preset="team", replies="redact" if action == "redact" else "tell", harmless=("0800-095-995",))
    return presets.rules(Settings(policy=policy))


def asked(text: str, *, operation: str = "chat") -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    request = CLIENT.parse(json.dumps(body).encode(), "req-1")
    request.operation = operation
    return request


def guard(own: Rules, *detectors: Broken) -> ReplyGuard:
    return ReplyGuard(own, lambda harmless: Scanner(detectors=(*detectors, Names.shipped()), harmless=harmless))


def watched(text: str, *, own: Rules | None = None, request: str = "hi") -> tuple[str, list[str]]:
    """What the client gets for ``text``, and what it is told."""
    restorer = guard(own or rules()).watch(asked(request), "auto", Place.CLOUD, None, "openai.chat")
    assert restorer is not None
    assert restorer.redaction is not None
    events: tuple[Event, ...] = (*restorer.feed((TextDelta(text),)), *restorer.flush())
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    return shown, restorer.redaction.deviations()


def test_what_a_cloud_brings_up_is_redacted_and_told() -> None:
    assert watched(f"Ask Alice Wong, {MAIL}, 10.1.2.3") == (
        "Ask Alice Wong, [redacted:email], 10.1.2.3",
        ["redacted:1"],
    )
    assert watched(f"Ask {MAIL}", own=rules("tell")) == (f"Ask {MAIL}", ["unredacted:1"])
    assert watched("nothing") == ("nothing", [])


def test_what_the_caller_sent_and_what_the_owner_lists_stay() -> None:
    text = f"{MAIL}, call 0800-095-995"
    assert watched(text, request=f"I am {MAIL}") == (text, [])
    assert watched(text) == ("[redacted:email], call 0800-095-995", ["redacted:1"])


@pytest.mark.parametrize(
    ("place", "operation"), [(Place.DEVICE, "chat"), (Place.LAN, "chat"), (Place.CLOUD, "embeddings")]
)
def test_near_replies_and_those_without_words_are_nobodys_business(place: Place, operation: str) -> None:
    assert guard(rules()).watch(asked("hi", operation=operation), "auto", place, None, "openai.chat") is None


def test_restored_masks_stay() -> None:
    request = asked(f"I am {MAIL}")
    own = rules()
    masking = Masking(Guard(own, lambda harmless: Scanner(harmless=harmless)), own, b"k" * 32)
    masked = asyncio.run(masking.apply(request, CLIENT, "auto"))
    mask = json.loads(masked.request.body)["messages"][0]["content"].removeprefix("I am ")
    restorer = guard(own).watch(request, "auto", Place.CLOUD, masked.restorer("openai.chat"), "openai.chat")
    assert isinstance(restorer, Restorer)
    events = (*restorer.feed((TextDelta(f"You are {mask}, not bob@example.com"),)), *restorer.flush())
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text == f"You are {MAIL}, not [redacted:email]"


def test_a_detector_that_fails_lets_nothing_through() -> None:
    for error in (GuardError("gone"), ValueError("garbage")):
        restorer = guard(rules(), Broken(error)).watch(asked("hi"), "auto", Place.CLOUD, None, "openai.chat")
        assert restorer is not None
        restorer.feed((TextDelta("hello"),))
        with pytest.raises(GuardError):
            restorer.flush()
    restorer = guard(rules("tell"), Broken(GuardError("gone"))).watch(
        asked("hi"), "auto", Place.CLOUD, None, "openai.chat"
    )
    assert restorer is not None
    assert restorer.redaction is not None
    assert restorer.feed((TextDelta("hello"),)) == (TextDelta("hello"),)
    restorer.flush()
    assert restorer.redaction.deviations() == ["unscanned:1"]
