"""``nearfar drill``: who would answer if a side failed, on a copy of the configuration that touches nothing."""

from __future__ import annotations

import os
import socket

import msgspec
import pytest
from tests.cli.conftest import Cli
from tests.cli.drilled import FAR, NEAR, ROUTE

from nearfar.cli import drill
from nearfar.cli.drill import Scenario, judged, struck, who, wrong
from nearfar.cli.drill_stage import Reply

ANSWERED = Reply(class_="public", stream=True, status=200, text="x", whole=True, deployment="near", place="device")
REFUSED = Reply(class_="public", stream=True, status=503, error="overloaded")

CONFIG = """
[discovery]
loopback = false
keys = false
[deployments.here]
provider = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
model = "x"
place = "device"
[deployments.there]
provider = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
model = "y"
[deployments.locked]
provider = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
model = "z"
key = "env:A_KEY_THAT_IS_NOT_SET"
[routes.main]
deployments = ["here", "there", "locked"]
[routes.far]
deployments = ["there"]
[routes.nothing]
deployments = ["locked"]
[policy]
restricted = "device"
"""


@pytest.fixture
def trap() -> socket.socket:
    """The owner's upstream, which nobody may call."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.slow
def test_a_rehearsal_says_who_would_answer_and_calls_nobody(cli: Cli, trap: socket.socket) -> None:
    config = cli.write(CONFIG.replace("{port}", str(trap.getsockname()[1])))
    result = cli(
        "drill", "all", "--route", "main", "--slow", "0.2", "--config", config, "--json", PATH=os.environ["PATH"]
    )
    trap.setblocking(False)
    with trap, pytest.raises(BlockingIOError):
        trap.accept()
    told = result.json
    found = {(row["scenario"], row["class"]): row for row in told["rows"]}
    assert len(found) == 16
    assert {key for key, row in found.items() if row["result"] != "answered"} == {
        ("local-down", "confidential"),
        ("local-down", "restricted"),
    }
    assert found["local-down", "restricted"]["result"] == "lost"
    assert found["local-down", "public"]["now"] == "there (cloud)"
    assert found["local-down", "public"]["told"] == ["failover:here:connection_error"]
    assert found["cloud-down", "public"]["now"] == "here (device)"
    assert found["slow", "public"]["milliseconds"] >= 200
    assert (told["ok"], result.code, told["requests"]) == (False, 1, 5 * 24)
    assert [line.partition(":")[0] for line in told["left_out"]] == ["locked"]


@pytest.mark.slow
def test_a_limit_is_told_to_the_client_and_the_cloud_left_alone(cli: Cli, trap: socket.socket) -> None:
    config = cli.write(CONFIG.replace("{port}", str(trap.getsockname()[1])))
    trap.close()
    result = cli("drill", "429", "--route", "far", "--config", config, PATH=os.environ["PATH"])
    assert result.code == 1
    assert "rate_limit_exceeded" in result.out
    assert "refused restricted egress_denied" in " ".join(result.out.split()), (
        "it is not answered on a usual day either"
    )
    assert "Would not be answered: public (429)" in result.out


def test_what_cannot_be_rehearsed_is_said(cli: Cli) -> None:
    config = cli.write(CONFIG.replace("{port}", "1"))
    result = cli("drill", "all", "--route", "nothing", "--config", config)
    assert result.code == 2
    assert "A_KEY_THAT_IS_NOT_SET" in result.err
    assert cli("drill", "earthquake").code == 2


def test_each_scenario_strikes_its_side() -> None:
    def modes(scenario: Scenario, strategy: str = "local-first") -> list[object]:
        route = msgspec.structs.replace(ROUTE, strategy=strategy)
        return [item.behaviour for item in struck(scenario, route, [NEAR, FAR], slow=2)]

    assert modes(Scenario.CLOUD_DOWN) == [{}, None]
    assert modes(Scenario.LOCAL_DOWN) == [None, {}]
    assert modes(Scenario.SLOW) == [{"first_byte_ms": 2000}, {}]
    assert modes(Scenario.SLOW, "cloud-first") == [{}, {"first_byte_ms": 2000}]
    assert modes(Scenario.LIMIT) == [{}, {"mode": "429", "retry_after": drill.RETRY_AFTER}]
    only = struck(Scenario.SLOW, ROUTE, [FAR], slow=2)
    assert only[0].behaviour == {"first_byte_ms": 2000}, "there is nobody before it"


def test_one_row_for_each_class() -> None:
    (row,) = judged(Scenario.SLOW, [ANSWERED, ANSWERED], [ANSWERED, REFUSED])
    assert (row.result, row.usually, row.now) == ("lost", "near (device)", "near (device), overloaded")
    (row,) = judged(Scenario.SLOW, [REFUSED], [REFUSED])
    assert row.result == "refused"
    half = msgspec.structs.replace(ANSWERED, whole=False)
    (row,) = judged(Scenario.SLOW, [ANSWERED], [half])
    assert row.result == "WRONG"


def test_half_an_answer_without_an_error_is_wrong() -> None:
    half = msgspec.structs.replace(ANSWERED, whole=False)
    assert wrong(half)
    assert not wrong(msgspec.structs.replace(half, error="stream_cut"))
    assert wrong(msgspec.structs.replace(ANSWERED, text=""))
    assert wrong(Reply(class_="public", stream=False, status=0))
    assert not wrong(REFUSED)
    assert who([ANSWERED, REFUSED, ANSWERED]) == "near (device), overloaded"
