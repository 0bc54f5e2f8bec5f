"""The official openai client, unmodified, current and previous major, against the embedded engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from tests import running
from tests.sdk import checks

Served = tuple[running.Gateway, str]


@pytest.fixture(scope="session")
def client(served: Served) -> Iterator[openai.OpenAI]:
    gateway, key = served
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="session")
def previous(served: Served, openai_previous: Path) -> dict[str, str]:
    """What the previous major's run of every check found: {name: traceback or ""}."""
    gateway, key = served
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error::ResourceWarning", checks.__file__, gateway.url, key],
        env=running.environment(gateway.folder, PYTHONPATH=str(openai_previous)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_the_two_majors_differ(previous: dict[str, str]) -> None:
    assert int(previous["version"].split(".")[0]) == int(openai.__version__.split(".")[0]) - 1


@pytest.mark.parametrize("name", checks.CHECKS)
def test_current_major(client: openai.OpenAI, name: str) -> None:
    checks.CHECKS[name](client)


@pytest.mark.parametrize("name", checks.CHECKS)
def test_previous_major(previous: dict[str, str], name: str) -> None:
    assert not previous[name], previous[name]


def test_requests_of_the_client_are_in_the_ledger(served: Served, client: openai.OpenAI) -> None:
    gateway, _ = served
    raw = client.chat.completions.with_raw_response.create(model="tiny", messages=checks.ASK, max_tokens=4)
    reply = raw.parse()
    (entry,) = gateway.attempts(raw.headers["x-nearfar-request"])
    assert entry.outcome == "ok"
    assert entry.cost == 0
    assert entry.place == "device"
    assert reply.usage is not None
    assert (entry.input_tokens, entry.output_tokens) == (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    assert entry.caller


def test_leaving_a_stream_is_a_cancelled_attempt(served: Served, client: openai.OpenAI) -> None:
    gateway, _ = served
    stream = client.chat.completions.create(model="endless", messages=checks.ASK, stream=True)
    request = stream.response.headers["x-nearfar-request"]
    next(iter(stream))
    stream.close()
    (entry,) = gateway.attempts(request)
    assert entry.outcome == "cancelled"


def test_nothing_is_left_in_flight(served: Served) -> None:
    gateway, key = served
    headers = {"authorization": f"Bearer {key}"}

    def quiet() -> bool:
        rows = gateway.ask("/nearfar/v1/ps", headers=headers).json["models"]
        return all(not row["in_flight"] for row in rows)

    running.eventually(quiet)
