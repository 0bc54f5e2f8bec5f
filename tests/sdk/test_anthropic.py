"""The official anthropic client, unmodified, current and a previous major, through a gateway as a program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from tests import running
from tests.sdk import anthropic_checks as checks
from tests.sdk import upstreams
from tests.tiny_gguf import write_chat

pytestmark = pytest.mark.slow

NAMES = ("text", "tools", "cut", "unfinished", "endless", "late", "400", "401", "404", "413", "429", "500", "529")
ONLY = {"a": ("thinking",), "o": ("reasoning_vllm",)}

Served = tuple[running.Gateway, str, upstreams.Upstream]


def deployment(door: str, name: str, url: str, more: str = "") -> str:
    provider, base = ("anthropic", url) if door == "a" else ("openai-compatible", f"{url}/v1")
    return (
        f'\n[deployments."{door}-{name}"]\nprovider = "{provider}"\nmodel = "{name}"\nbase_url = "{base}"\n'
        f'place = "device"\nkey = "env:UPSTREAM_KEY"\n{more}\n'
    )


@pytest.fixture(scope="module")
def house(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway over the embedded engine and an upstream of two dialects; it wants a key."""
    folder = tmp_path_factory.mktemp("anthropic")
    running.add_model(folder, tiny_gguf, "tiny")
    running.add_model(folder, write_chat(folder / "endless.gguf", eos_bias=-100.0, context=4096), "endless")
    with upstreams.upstream() as upstream:
        config = "".join(
            deployment(door, name, upstream.url) for door in checks.DOORS for name in (*NAMES, *ONLY[door])
        )
        config += deployment("o", "blind", upstream.url, "capabilities = { images = false }")
        running.configure(folder, config)
        made = running.command(folder, "keys", "new", "sdk", "--quiet")
        assert made.returncode == 0, made.stderr
        base = running.BASE.replace("context = 512", "context = 4096")
        with running.gateway(folder, config, base=base, UPSTREAM_KEY="sk-upstream") as gateway:
            yield gateway, made.stdout.strip(), upstream


@pytest.fixture(scope="module")
def setting(house: Served) -> Iterator[checks.Setting]:
    gateway, key, upstream = house
    with anthropic.Anthropic(
        base_url=gateway.url, api_key=key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield checks.Setting(client, upstream.url)


@pytest.fixture(scope="module")
def previous(house: Served, anthropic_previous: Path) -> dict[str, str]:
    """What the previous major's run of every check found: {name: traceback or ""}."""
    gateway, key, upstream = house
    run = subprocess.run(
        [sys.executable, checks.__file__, gateway.url, key, upstream.url],
        env={**running.environment(gateway.folder), "PYTHONPATH": str(anthropic_previous)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(run.stdout)
    return found


def test_the_two_majors_differ(previous: dict[str, str]) -> None:
    assert int(previous["version"].split(".")[0]) < int(anthropic.__version__.split(".")[0])


@pytest.mark.parametrize("name", checks.CHECKS)
def test_current_major(setting: checks.Setting, name: str) -> None:
    checks.CHECKS[name](setting)


@pytest.mark.parametrize("name", checks.CHECKS)
def test_previous_major(previous: dict[str, str], name: str) -> None:
    assert not previous[name], previous[name]


def test_what_a_client_got_stands_in_the_ledger(house: Served, setting: checks.Setting) -> None:
    gateway, _, _ = house
    raw = setting.client.messages.with_raw_response.create(model="a-tools", messages=checks.ASK, max_tokens=9)
    (entry,) = gateway.attempts(raw.headers["x-nearfar-request"])
    message = raw.parse()
    usage = message.usage
    assert entry.input_tokens == usage.input_tokens + 130, "Anthropic leaves the cache out of its input"
    assert (entry.output_tokens, entry.finish) == (usage.output_tokens, "tool_calls")
    assert entry.answered == message.model
    assert entry.caller


def test_counting_is_an_attempt_that_costs_nothing(house: Served, setting: checks.Setting) -> None:
    gateway, _, _ = house
    raw = setting.client.messages.with_raw_response.count_tokens(model="a-text", messages=checks.ASK)
    (entry,) = gateway.attempts(raw.headers["x-nearfar-request"])
    assert (entry.operation, entry.outcome, entry.cost or 0) == ("count_tokens", "ok", 0)


def test_nothing_is_left_in_flight(house: Served) -> None:
    gateway, key, _ = house
    headers = {"authorization": f"Bearer {key}"}

    def quiet() -> bool:
        rows = gateway.ask("/nearfar/v1/ps", headers=headers).json["models"]
        return all(not row["in_flight"] for row in rows)

    running.eventually(quiet)
