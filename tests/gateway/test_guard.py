"""What a request holds raises its class, and what cannot be looked at is told as that."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from nearfar.core.chat import Request
from nearfar.core.errors import GuardError
from nearfar.gateway import guard as guard_module
from nearfar.gateway.guard import Guard, Look
from nearfar.policy import presets
from nearfar.policy.classify import Seen
from nearfar.privacy.findings import Finding
from nearfar.privacy.normal import Normal
from nearfar.privacy.scan import Scanner
from nearfar.settings.model import Policy, Settings
from nearfar.wire.openai_chat import CLIENT

RULES = presets.rules(Settings(policy=Policy(preset="tw-medical", harmless=("02-2345-6789",))))


class Broken:
    """A detector that fails as it is told to."""

    name = "broken"
    version = "1"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def scan(self, text: Normal) -> list[Finding]:
        del text
        raise self.error


def asked(*messages: tuple[str, str], **more: object) -> Request:
    body = {"model": "m", "messages": [{"role": role, "content": text} for role, text in messages], **more}
    return CLIENT.parse(json.dumps(body).encode(), "req-1")


def look(request: Request, *detectors: Broken) -> Look:
    guard = Guard(RULES, lambda harmless: Scanner(detectors=detectors, harmless=harmless))
    return asyncio.run(guard.look(request, "auto"))


def test_kinds_are_counted_and_no_value_is_kept() -> None:
    found = look(
        asked(("user", "身分證字號 A123456789"), ("assistant", "卡號 4111111111111111"), ("user", "A123456789"))
    )
    assert found == Look(
        seen=(Seen(part="found", kinds={"tw.national_id": 2}), Seen(part="history", kinds={"card": 1}))
    )
    assert "A123456789" not in repr(found)


def test_nothing_found_says_nothing() -> None:
    assert look(asked(("user", "What is the capital of France?"))) == Look()


def test_every_place_is_looked_at() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "for A123456789"}}
    assert look(asked(("user", "hi"), tools=[tool])).seen[0].kinds == {"tw.national_id": 1}
    assert look(asked(("user", "hi"), x_unknown={"a": ["A123456789"]})).seen[0].kinds == {"tw.national_id": 1}


def test_the_owners_own_values_are_counted_apart() -> None:
    found = look(asked(("user", "請電 02-2345-6789 或 (02) 8765-4321")))
    assert [(seen.kinds, seen.harmless) for seen in found.seen] == [({"tw.landline": 1}, 1)]


@pytest.mark.parametrize("error", [GuardError("the model is missing"), ValueError("garbage"), RecursionError()])
def test_a_detector_that_fails_is_told(error: Exception) -> None:
    found = look(asked(("user", "hello")), Broken(error))
    assert found.guard
    assert found.seen == ()


def test_what_is_too_large_counts_as_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MOST", 1000)
    assert "1000 are looked at" in look(asked(("user", "x" * 2000))).guard


def test_large_bodies_are_read_beside_the_loop() -> None:
    found = look(asked(("user", "word " * 20_000 + "A123456789")))
    assert found.seen[0].kinds == {"tw.national_id": 1}


def test_the_version_stands_for_the_detectors() -> None:
    one = Guard(RULES, lambda harmless: Scanner(harmless=harmless))
    two = Guard(RULES, lambda harmless: Scanner(detectors=[Broken(ValueError())], harmless=harmless))
    assert one.version != two.version


class Counting:
    """A detector that notes in which thread it was asked, and takes its time once it is told to."""

    name = "counting"
    version = "1"

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.until = 0.0

    def scan(self, text: Normal) -> list[Finding]:
        del text
        self.threads.append(threading.get_ident())
        while time.monotonic() < self.until:
            pass
        return []


def test_slow_detectors_are_asked_beside_the_event_loop_and_all_texts_have_one_deadline() -> None:
    detector = Counting()
    guard = Guard(RULES, lambda harmless: Scanner(detectors=(detector,), harmless=harmless), deadline=2.0)
    assert guard.slow
    request = asked(("user", "one"), ("user", "two"), ("user", "three"))
    assert asyncio.run(guard.look(request, "auto")) == Look()
    assert detector.threads
    assert threading.get_ident() not in detector.threads
    detector.until = time.monotonic() + 2.1
    before = len(detector.threads)
    assert "did not come to an end" in asyncio.run(guard.look(request, "auto")).guard
    assert len(detector.threads) == before + 1, "what comes after the deadline is not asked any more"
    assert not Guard(RULES, lambda harmless: Scanner(harmless=harmless)).slow
