"""Google's official client, unmodified, current and previous major, through a gateway as a program."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import running
from tests.sdk import google_upstream, upstreams
from tests.tiny_gguf import write_chat

pytestmark = pytest.mark.slow

SDKS = Path(__file__).parents[2] / ".build" / "sdk"
SCRIPT = Path(__file__).with_name("google_checks.py")
CHECKS = [
    node.name.removeprefix("check_")
    for node in ast.parse(SCRIPT.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
]
GOOGLE = {
    **{name: name for name in ("text", "tools", "thinking", "choices", "cut", "unfinished", "endless")},
    **{name: name for name in ("blocked", "logprobs", "embed")},
    "429": "error_429_rate_limit",
    "503": "error_503_overloaded",
    "context": "error_400_context",
    "key": "error_400_key",
}
OPENAI = ("text", "tools", "cut", "unfinished", "reasoning_vllm", "400", "401", "429")
VERTEX = ("text", "tools", "thinking", "embed")

Served = tuple[running.Gateway, str, google_upstream.Upstream]


def deployment(name: str, provider: str, model: str, base_url: str, more: str = "") -> str:
    return (
        f'\n[deployments."{name}"]\nprovider = "{provider}"\nmodel = "{model}"\nbase_url = "{base_url}"\n'
        f'place = "device"\nkey = "env:UPSTREAM_KEY"\n{more}\n'
    )


def sdk(major: str) -> Path:
    """The folder that holds a major of the client: PYTHONPATH for a child process."""
    folder = SDKS / f"google-{major}"
    assert (folder / "google" / "genai").is_dir(), f"{folder} is missing: make sdk"
    return folder


@pytest.fixture(scope="module")
def house(tiny_gguf: Path, tiny_embedding_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway over the embedded engine and upstreams of three kinds; it wants a key."""
    folder = tmp_path_factory.mktemp("google")
    running.add_model(folder, tiny_gguf, "tiny")
    running.add_model(folder, tiny_embedding_gguf, "tiny-embed")
    running.add_model(folder, write_chat(folder / "endless.gguf", eos_bias=-100.0, context=4096), "endless")
    with google_upstream.upstream() as google, upstreams.upstream() as openai:
        vertex = f"{google.url}/v1/projects/p/locations/l"
        config = "".join(deployment(f"g-{key}", "gemini", name, f"{google.url}/v1beta") for key, name in GOOGLE.items())
        config += "".join(deployment(f"v-{name}", "vertex-ai", name, vertex) for name in VERTEX)
        config += "".join(deployment(f"o-{name}", "openai-compatible", name, f"{openai.url}/v1") for name in OPENAI)
        more = "capabilities = { images = false }"
        config += deployment("o-blind", "openai-compatible", "text", f"{openai.url}/v1", more)
        running.configure(folder, config)
        made = running.command(folder, "keys", "new", "sdk", "--quiet")
        assert made.returncode == 0, made.stderr
        base = running.BASE.replace("context = 512", "context = 4096")
        with running.gateway(folder, config, base=base, UPSTREAM_KEY="sk-upstream") as gateway:
            yield gateway, made.stdout.strip(), google


@pytest.fixture(scope="module", params=["3", "2"])
def found(house: Served, request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """What one major's run of every check found: {name: traceback or ""}."""
    gateway, key, _ = house
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), gateway.url, key],
        env=running.environment(gateway.folder, PYTHONPATH=str(sdk(request.param))),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str] = json.loads(done.stdout)
    return request.param, results


def test_it_is_the_major_that_was_asked_for(found: tuple[str, dict[str, str]]) -> None:
    major, results = found
    assert results["version"].split(".")[0] == major
    assert set(results) == {*CHECKS, "version"}


@pytest.mark.parametrize("name", CHECKS)
def test_check(found: tuple[str, dict[str, str]], name: str) -> None:
    assert not found[1][name], found[1][name]


def test_what_leaves_for_google_is_what_the_client_sent(house: Served, found: tuple[str, dict[str, str]]) -> None:
    """Bytes of the same dialect travel as they came; the caller's key stays here, the deployment's goes."""
    del found
    _, key, google = house
    seen = list(google.requests)
    assert all(headers.get("x-goog-api-key") == "sk-upstream" for path, headers, _ in seen if "/v1beta/" in path)
    assert all(
        headers.get("authorization") == "Bearer sk-upstream" for path, headers, _ in seen if "/projects/" in path
    )
    assert key not in json.dumps([headers for _, headers, _ in seen])
    histories = [body["contents"] for _, _, body in seen if len(body.get("contents", ())) == 3]
    signatures = {part.get("thoughtSignature") for history in histories for part in history[1]["parts"]}
    assert "RXJZRENyTURBWEx1Zg==" in signatures


def test_leaving_a_stream_cancels_the_attempt(house: Served, found: tuple[str, dict[str, str]]) -> None:
    del found
    gateway, key, google = house
    assert google.left.wait(20)

    def cancelled() -> bool:
        return any(entry.outcome == "cancelled" for entry in gateway.entries() if entry.deployment == "g-endless")

    running.eventually(cancelled)
    headers = {"authorization": f"Bearer {key}"}

    def quiet() -> bool:
        rows = gateway.ask("/nearfar/v1/ps", headers=headers).json["models"]
        return all(not row["in_flight"] for row in rows)

    running.eventually(quiet)


def test_the_ledger_knows_what_the_client_was_told(house: Served) -> None:
    gateway, key, _ = house
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    reply = gateway.ask("/v1beta/models/g-tools:generateContent", body, headers={"x-goog-api-key": key})
    (entry,) = gateway.attempts(reply)
    usage = reply.json["usageMetadata"]
    assert entry.input_tokens == usage["promptTokenCount"]
    assert entry.output_tokens == usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert (entry.finish, entry.answered, entry.outcome) == ("tool_calls", "gemini-3-flash", "ok")
    assert entry.caller
