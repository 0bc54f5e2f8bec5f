"""What a request holds decides how far it may go: at every door, in every place of the body, with and without streams.

The cloud is a stand-in, and it must not have seen one byte of what was found.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests import running
from tests import stand_in as stand_ins
from tests.faults.test_dialects import DOORS, places

ID = "A123456789"
"""A national identity number with a right check digit, from the ministry's own sample card."""

POLICY = """
[policy]
preset = "tw-medical"
default_class = "public"
harmless = ["B123456780"]
"""


class Guarded(NamedTuple):
    gateway: running.Gateway
    cloud: stand_ins.Running
    near: stand_ins.Running

    def asked(self) -> int:
        return self.cloud.report().totals.requests


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with stand_ins.running() as cloud, stand_ins.running() as near:
        config = POLICY + running.far("well", cloud.url) + running.far("here", near.url, more='place = "device"')
        config += running.route("both", "well", "here", strategy="cloud-first")
        with running.gateway(folder, config) as gateway:
            yield Guarded(gateway, cloud, near)


def planted(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """``body`` with the number in each of its texts that may hold words, one at a time."""
    for path in places(body):
        made = copy.deepcopy(body)
        holder = made
        for step in path[:-1]:
            holder = holder[step]
        value = holder[path[-1]]
        if isinstance(value, str) and path[-1] in {"content", "text", "x", "prompt", "system", "output", "description"}:
            holder[path[-1]] = f"{value} {ID}"
            yield ".".join(map(str, path)), made


CASES = [
    pytest.param(door, body, id=f"{door}-{where}") for door, (_, good) in DOORS.items() for where, body in planted(good)
]


@pytest.mark.parametrize(("door", "body"), CASES)
def test_a_number_that_was_found_does_not_leave(guarded: Guarded, door: str, body: dict[str, Any]) -> None:
    before = guarded.asked()
    reply = guarded.gateway.ask(door, body)
    if "count" in door:
        # A prompt that may go nowhere is counted here.
        assert (reply.status, reply.headers["x-nearfar-deviations"]) == (200, "estimated:input_tokens")
    else:
        assert reply.status in {400, 403}, reply.body[:300]
        DOORS[door][0](reply)
    assert ID.encode() not in reply.body
    assert guarded.asked() == before


@pytest.mark.parametrize("stream", [False, True])
def test_the_near_one_answers_instead(guarded: Guarded, stream: bool) -> None:
    open_ = guarded.gateway.chat("both", stream=stream)
    assert (open_.status, open_.headers["x-nearfar-deployment"]) == (200, "well")
    before = guarded.asked()
    reply = guarded.gateway.chat("both", stream=stream, content=f"病人身分證 {ID}")
    assert (reply.status, reply.headers["x-nearfar-deployment"]) == (200, "here")
    assert reply.headers["x-nearfar-class"] == "restricted"
    assert guarded.asked() == before


@pytest.mark.parametrize(
    "text",
    [
        "Ａ１２３４５６７８９",
        "A12345\u200b6789",
        "A123 456 789",
        "data:text/plain;base64,SUQ6IEExMjM0NTY3ODkh",
        "%41123456789",
    ],
)
def test_disguises_do_not_help(guarded: Guarded, text: str) -> None:
    before = guarded.asked()
    reply = guarded.gateway.chat("well", content=f"身分證字號：{text}")
    assert reply.status in {400, 403}, reply.body
    assert guarded.asked() == before


def test_the_owners_own_number_pins_nothing(guarded: Guarded) -> None:
    reply = guarded.gateway.chat("well", content="負責人 B123456780")
    assert reply.status == 200


def test_no_log_ledger_or_audit_holds_the_number(guarded: Guarded) -> None:
    guarded.gateway.chat("well", content=f"身分證字號 {ID}")
    guarded.gateway.chat("both", content=f"身分證字號 {ID}")
    assert running.eventually(guarded.gateway.entries)
    for path in guarded.gateway.folder.rglob("*"):
        if path.is_file() and not path.is_socket():
            assert ID.encode() not in path.read_bytes(), path
    metrics = guarded.gateway.ask("/metrics").body
    assert ID.encode() not in metrics


def test_what_left_and_what_was_refused_stands_in_the_audit(guarded: Guarded) -> None:
    guarded.gateway.chat("well", headers={"x-nearfar-class": "public"})
    lines = [line for path in audits(guarded.gateway.folder) for line in path.read_text().splitlines()]
    bodies = [json.loads(line)["entry"]["body"] for line in lines]
    assert {"opened", "refused"} <= {body["type"] for body in bodies}
    kinds = [body["kinds"] for body in bodies if body["type"] == "refused" and body["kinds"]]
    assert any("tw.national_id" in found for found in kinds)


def audits(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("audit/*") if path.is_file() and path.suffix == ".jsonl"]
