"""Masked content may leave, and only that: in every dialect the cloud sees masks and the client its own words.

The stand-in for the cloud quotes what it was asked, so what it says holds the masks that it saw.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests import running
from tests import stand_in as stand_ins

MAIL = "mei@example.org"
CARD = "4111 1111 1111 1111"

POLICY = """
[policy]
preset = "team"
"""


class Team(NamedTuple):
    gateway: running.Gateway
    cloud: stand_ins.Running

    def seen(self) -> str:
        """Everything that the cloud was sent so far."""
        return "\n".join(seen.body for seen in self.cloud.report().requests)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with stand_ins.running(keep_bodies=True) as cloud:
        # The same stand-in, by two wires: one on which OpenAI's clients could travel as they came, and another one.
        config = POLICY + running.far("well", cloud.url)
        config += f"""
[deployments.claude]
provider = "anthropic"
model = "stand-in-large"
base_url = "{cloud.url}"
key = "env:STAND_IN_KEY"
"""
        with running.gateway(folder, config, STAND_IN_KEY="k") as gateway:
            yield Team(gateway, cloud)


TEXT = f"mail {MAIL} now"
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": TEXT}]}),
    "responses": ("/v1/responses", {"input": TEXT, "store": False}),
    "anthropic": ("/v1/messages", {"max_tokens": 99, "messages": [{"role": "user", "content": TEXT}]}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": TEXT}], "stream": False}),
    "gemini": ("/v1beta/models/MODEL:generateContent", {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}),
    "bedrock": ("/model/MODEL/converse", {"messages": [{"role": "user", "content": [{"text": TEXT}]}]}),
}


@pytest.mark.parametrize("model", ["well", "claude"])
@pytest.mark.parametrize("door", DOORS)
def test_the_cloud_sees_masks_and_the_client_its_own_words(team: Team, door: str, model: str) -> None:
    path, body = DOORS[door]
    if "MODEL" not in path:
        body = {"model": model, **body}
    reply = team.gateway.ask(path.replace("MODEL", model), body)
    assert reply.status == 200, reply.body[:500]
    assert MAIL in json.dumps(reply.json, ensure_ascii=False), "restored"
    assert "masked:1" in reply.headers["x-nearfar-deviations"]
    seen = team.seen()
    assert "stand-in-large" in seen
    assert MAIL not in seen


@pytest.mark.parametrize("model", ["well", "claude"])
def test_streams_are_restored_through_their_pieces(team: Team, model: str) -> None:
    reply = team.gateway.chat(model, stream=True, content=TEXT)
    assert reply.clean
    told = [event["choices"][0]["delta"] for event in reply.events if isinstance(event, dict) and event["choices"]]
    text = "".join(delta.get("content") or "" for delta in told)
    assert f"“{TEXT}”" in text
    assert "masked:1" in reply.headers["x-nearfar-deviations"]
    assert MAIL not in team.seen()


def test_every_place_of_a_request_is_masked(team: Team) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "mail", "arguments": json.dumps({"to": MAIL})}}
    tool = {"type": "function", "function": {"name": "mail", "description": f"as {CARD}", "parameters": {}}}
    body = {
        "model": "well",
        "messages": [
            {"role": "system", "content": f"You serve {MAIL}."},
            {"role": "user", "content": [{"type": "text", "text": f"Pay with {CARD}"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": f"sent to {MAIL}"},
        ],
        "tools": [tool],
        "metadata": {"who": MAIL},
    }
    reply = team.gateway.ask("/v1/chat/completions", body)
    assert reply.status == 200, reply.body
    assert "masked:2" in reply.headers["x-nearfar-deviations"]
    seen = team.seen()
    assert MAIL not in seen
    assert CARD not in seen
    assert "4111" not in seen


def test_a_value_has_the_same_mask_in_the_next_turn(team: Team) -> None:
    first = [{"role": "user", "content": f"turn one {MAIL}"}]
    answer = team.gateway.ask("/v1/chat/completions", {"model": "well", "messages": first}).json
    said = answer["choices"][0]["message"]
    assert MAIL in said["content"]
    after = [*first, said, {"role": "user", "content": f"again {MAIL} and {CARD}"}]
    assert team.gateway.ask("/v1/chat/completions", {"model": "well", "messages": after}).status == 200
    one, two = (json.loads(seen.body) for seen in team.cloud.report().requests[-2:])
    assert two["messages"][0] == one["messages"][0]
    mask = one["messages"][0]["content"].removeprefix("turn one ")
    assert mask in two["messages"][2]["content"]


def test_what_cannot_be_masked_stays(team: Team) -> None:
    before = team.cloud.report().totals.requests
    unreadable = base64.b64encode(bytes(range(128, 248)) * 10).decode()
    refused = team.gateway.chat("well", content=f"{MAIL} {unreadable}")
    assert (refused.status, refused.error["code"]) == (500, "masking_failed")
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {"model": "well", "messages": [{"role": "user", "content": [{"type": "text", "text": MAIL}, image]}]}
    refused = team.gateway.ask("/v1/chat/completions", body)
    assert (refused.status, refused.error["code"]) == (403, "egress_denied")
    embedded = team.gateway.ask("/v1/embeddings", {"model": "well", "input": MAIL})
    assert embedded.status in {400, 403}
    assert team.cloud.report().totals.requests == before


def test_ledger_and_logs_hold_masks_counts_and_no_value(team: Team) -> None:
    reply = team.gateway.chat("well", content=TEXT)
    [entry] = team.gateway.attempts(reply)
    assert "masked:1" in entry.deviations
    for path in team.gateway.folder.rglob("*"):
        if path.is_file():
            assert MAIL.encode() not in path.read_bytes(), path
