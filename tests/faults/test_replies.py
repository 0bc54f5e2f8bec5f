"""What a cloud brings up by itself: with `replies = "redact"` no client of any dialect gets it, plain or streamed.

The stand-in for the cloud says what it is told to, in pieces that cut every value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests import running
from tests import stand_in as stand_ins

from nearfar.ledger import audit_read
from nearfar.ledger.audit_records import Entry, Replied

OWN = "mei@example.org"
MAIL, CARD, MOBILE = "alice.quill@example.com", "4111-1111-1111-1111", "0912-345-678"
INVENTED = f"You are {OWN}. Ask {MAIL}, card {CARD}, 手機{MOBILE}，謝謝。"
SAID = f"You are {OWN}. Ask [redacted:email], card [redacted:card], 手機[redacted:tw.mobile]，謝謝。"
# The caller's own value is cut in each: what is sent to the cloud holds these words in a header, and is looked at too.
PIECES = {
    "whole": [INVENTED[:12], INVENTED[12:]],
    "split": [INVENTED[at : at + 7] for at in range(0, len(INVENTED), 7)],
}


class House(NamedTuple):
    gateway: running.Gateway
    cloud: stand_ins.Running


@pytest.fixture(scope="module", params=["redact", "tell"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(request.param)
    policy = folder / "policy.toml"
    policy.write_text(
        f'name = "own"\ndate = 2026-11-22\nextends = "team"\naudit = "public"\nreplies = "{request.param}"\n'
    )
    with stand_ins.running() as cloud:
        config = f'[policy]\nfile = "{policy}"\n'
        cut = {"says": PIECES["split"] * 40, "mode": "cut", "after": 200, "chunk_ms": 1}
        config += running.far("cut", cloud.url, behaviour=cut)
        for name, pieces in PIECES.items():
            behaviour = {"says": pieces}
            config += running.far(f"{name}-openai", cloud.url, behaviour=behaviour)
            config += f"""
[deployments.{name}-claude]
provider = "anthropic"
model = "stand-in-large"
base_url = "{cloud.url}"
key = "env:STAND_IN_KEY"
headers = {{ x-stand-in = '{json.dumps(behaviour)}' }}
"""
        config += running.far("here", cloud.url, behaviour={"says": PIECES["split"]}, more='place = "device"')
        with running.gateway(folder, config, STAND_IN_KEY="k") as gateway:
            yield House(gateway, cloud)


ASK = f"I am {OWN}"
DOORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", "", {"messages": [{"role": "user", "content": ASK}]}),
    "responses": ("/v1/responses", "", {"input": ASK, "store": False}),
    "anthropic": ("/v1/messages", "", {"max_tokens": 999, "messages": [{"role": "user", "content": ASK}]}),
    "ollama": ("/api/chat", "", {"messages": [{"role": "user", "content": ASK}], "stream": False}),
    "gemini": (
        "/v1beta/models/MODEL:generateContent",
        "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": ASK}]}]},
    ),
    "bedrock": (
        "/model/MODEL/converse",
        "/model/MODEL/converse-stream",
        {"messages": [{"role": "user", "content": [{"text": ASK}]}]},
    ),
    "completions": ("/v1/completions", "", {"prompt": ASK, "max_tokens": 999}),
    "generate": ("/api/generate", "", {"prompt": ASK, "stream": False}),
}
TEXT = re.compile(r'"(?:text|content|response|delta)": ?("(?:[^"\\]|\\.)*")')
"""A piece of text in an event of any dialect, binary frames around it or not."""


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def replied(house: House) -> list[Replied]:
    """What the audit says of replies, once its records are written."""
    found: list[Replied] = []

    def visit(_: str, entry: Entry, __: str) -> None:
        if isinstance(entry.body, Replied):
            found.append(entry.body)

    audit_read.verify(house.gateway.state / "audit", visit=visit)
    return found


def redacts(house: House) -> bool:
    return house.gateway.folder.name.startswith("redact")


@pytest.mark.parametrize("wire", ["openai", "claude"])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("door", DOORS)
def test_a_plain_reply_in_every_dialect(house: House, door: str, pieces: str, wire: str) -> None:
    path, _, body = DOORS[door]
    model = f"{pieces}-{wire}"
    if "MODEL" not in path:
        body = {"model": model, **body}
    reply = house.gateway.ask(path.replace("MODEL", model), body)
    assert reply.status == 200, reply.body[:500]
    told = reply.headers["x-nearfar-deviations"]
    if redacts(house):
        assert SAID in strings(reply.json)
        assert not any(value in reply.body.decode() for value in (MAIL, CARD, MOBILE))
        assert "redacted:3" in told.split(", ")
    else:
        assert INVENTED in strings(reply.json)
        assert "unredacted:3" in told.split(", ")
    [entry] = house.gateway.attempts(reply)
    assert ("redacted:3" if redacts(house) else "unredacted:3") in entry.deviations


@pytest.mark.parametrize("wire", ["openai", "claude"])
@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("door", DOORS)
def test_a_stream_in_every_dialect(house: House, door: str, pieces: str, wire: str) -> None:
    path, streamed, body = DOORS[door]
    model = f"{pieces}-{wire}"
    if "MODEL" not in path:
        body = {"model": model, **body, "stream": True}
    reply = house.gateway.ask((streamed or path).replace("MODEL", model), body)
    assert (reply.status, reply.clean) == (200, True), reply.body
    text = reply.body.decode(errors="replace")
    shown = "".join(json.loads(piece) for piece in TEXT.findall(text))
    if redacts(house):
        assert SAID in shown
        for value in (MAIL, CARD, MOBILE):
            assert value not in shown
            assert value not in text
    else:
        assert INVENTED in shown
    told = "redacted:3" if redacts(house) else "unredacted:3"
    if door not in {"gemini", "ollama", "generate", "bedrock"}:
        assert f"x-nearfar-deviations: {told}" in text
    [entry] = house.gateway.attempts(reply)
    assert told in entry.deviations


def test_a_reply_that_is_cut_is_told_of_as_far_as_it_came(house: House) -> None:
    reply = house.gateway.chat("cut", content="hello", stream=True)
    assert not reply.clean
    [entry] = house.gateway.attempts(reply)
    kind = "redacted:" if redacts(house) else "unredacted:"
    assert [item for item in entry.deviations if item.startswith(kind)], entry.deviations
    assert (MAIL in reply.body.decode()) is False or not redacts(house)


def test_what_stays_near_is_not_looked_at(house: House) -> None:
    reply = house.gateway.chat("here", content=ASK)
    assert reply.text == INVENTED
    assert "redacted" not in reply.headers.get("x-nearfar-deviations", "")


def test_audit_and_counters_tell_kinds_and_counts_and_no_file_holds_a_value(house: House) -> None:
    before = house.gateway.metric("nearfar_deviations_total", kind="redacted" if redacts(house) else "unredacted")
    reply = house.gateway.chat("split-openai", content=ASK)
    request = reply.headers["x-nearfar-request"]
    found = running.eventually(lambda: [each for each in replied(house) if each.request == request])
    [record] = found
    assert record.kinds == {"card": 1, "email": 1, "tw.mobile": 1}
    assert record.action == ("redact" if redacts(house) else "tell")
    kind = "redacted" if redacts(house) else "unredacted"
    assert house.gateway.metric("nearfar_deviations_total", kind=kind) == before + 1
    for path in house.gateway.state.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(value.encode() in data for value in (MAIL, CARD, MOBILE, OWN)), path
