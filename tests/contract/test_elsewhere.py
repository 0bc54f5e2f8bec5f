"""What a request draws on beyond its own words, in every dialect: refused unless named, then at its provider alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import running, stand_in
from tests.server.served import loaded, run, served

OPENAI = "/v1/chat/completions"
RESPONSES = "/v1/responses"
ANTHROPIC = "/v1/messages"
GEMINI = "/v1beta/models/own:generateContent"
OLLAMA = "/api/chat"
BEDROCK = "/model/own/converse"

SAID: dict[str, dict[str, Any]] = {
    OPENAI: {"model": "own", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"model": "own", "prompt": "hi"},
    RESPONSES: {"model": "own", "input": "hi"},
    ANTHROPIC: {"model": "own", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages/count_tokens": {"model": "own", "messages": [{"role": "user", "content": "hi"}]},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "/v1beta/models/own:countTokens": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "/v1beta/models/own:embedContent": {"content": {"parts": [{"text": "hi"}]}},
    OLLAMA: {"model": "own", "stream": False, "messages": [{"role": "user", "content": "hi"}]},
    BEDROCK: {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
}
PROVIDER = {
    OPENAI: "openai",
    "/v1/completions": "openai",
    RESPONSES: "openai",
    ANTHROPIC: "anthropic",
    "/v1/messages/count_tokens": "anthropic",
    GEMINI: "gemini",
    "/v1beta/models/own:countTokens": "gemini",
    "/v1beta/models/own:embedContent": "gemini",
    OLLAMA: "ollama",
    BEDROCK: "bedrock",
}
MARK = "canary-of-a-reference"


def user(*parts: Any, member: str = "content") -> list[Any]:
    return [{"role": "user", member: list(parts)}]


CASES: list[tuple[str, str, dict[str, Any]]] = [
    (OPENAI, "file_id", {"messages": user({"type": "file", "file": {"file_id": MARK}})}),
    (OPENAI, "web_search", {"web_search_options": {"user_location": MARK}}),
    (OPENAI, "web_search", {"tools": [{"type": "web_search", "filter": MARK}]}),
    (OPENAI, "mcp", {"mcp_servers": [{"url": MARK}]}),
    (OPENAI, "cached_content", {"cached_content": MARK}),
    (OPENAI, "data_sources", {"data_sources": [{"type": MARK}]}),
    (OPENAI, "conversation", {"conversation": MARK}),
    ("/v1/completions", "plugins", {"plugins": [{"id": MARK}]}),
    (RESPONSES, "file_id", {"input": user({"type": "input_file", "file_id": MARK})}),
    (RESPONSES, "prompt", {"prompt": {"id": MARK}}),
    (RESPONSES, "mcp", {"tools": [{"type": "mcp", "server_url": MARK}]}),
    (RESPONSES, "file_search", {"tools": [{"type": "file_search", "vector_store_ids": [MARK]}]}),
    (
        RESPONSES,
        "web_search",
        {"tools": [{"type": "web_search", "filters": {"allowed_domains": [MARK]}}], "tool_choice": "required"},
    ),
    (ANTHROPIC, "file_id", {"messages": user({"type": "document", "source": {"type": "file", "file_id": MARK}})}),
    (ANTHROPIC, "container", {"container": MARK}),
    (ANTHROPIC, "mcp", {"mcp_servers": [{"type": "url", "url": MARK}]}),
    (ANTHROPIC, "web_search", {"tools": [{"type": "web_search_20260318", "name": MARK}]}),
    (ANTHROPIC, "web_fetch", {"tools": [{"type": "web_fetch_20260318", "name": MARK}]}),
    ("/v1/messages/count_tokens", "web_search", {"tools": [{"type": "web_search_20260318", "name": MARK}]}),
    ("/v1beta/models/own:countTokens", "cached_content", {"cachedContent": MARK}),
    (GEMINI, "cached_content", {"cachedContent": MARK}),
    (GEMINI, "file_id", {"contents": user({"fileData": {"fileUri": MARK}}, member="parts")}),
    (GEMINI, "storage_url", {"contents": user({"fileData": {"fileUri": "gs://" + MARK}}, member="parts")}),
    (GEMINI, "web_search", {"tools": [{"googleSearch": {"x": MARK}}]}),
    (GEMINI, "url_context", {"tools": [{"urlContext": {"x": MARK}}]}),
    (
        "/v1beta/models/own:embedContent",
        "storage_url",
        {"content": {"parts": [{"fileData": {"fileUri": "gs://" + MARK, "mimeType": "image/png"}}]}},
    ),
    (OLLAMA, "web_search", {"tools": [{"type": "web_search", "name": MARK}]}),
    (
        BEDROCK,
        "storage_url",
        {"messages": user({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://" + MARK}}}})},
    ),
    (BEDROCK, "web_search", {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}, "x": MARK}),
    (BEDROCK, "mcp", {"additionalModelRequestFields": {"mcp_servers": [{"url": MARK}]}}),
]
NAMES = [f"{path}-{name}-{number}" for number, (path, name, _) in enumerate(CASES)]
DIALECTS = "openai", "anthropic", "gemini", "ollama", "bedrock"


def deployment(folder: Path, name: str, provider: str, url: str) -> str:
    base = f"{url}/v1" if provider == "openai" else url
    more = 'options = { region = "eu-west-1" }' if provider == "bedrock" else ""
    key = "" if provider == "ollama" else f'key = "file:{folder}/key"'
    return f"""
[deployments.{name}]
provider = "{provider}"
model = "stand-in-large"
base_url = "{base}"
{key}
{more}
"""


def config(folder: Path, provider: str, url: str, policy: str) -> str:
    """Route ``own``: other dialects first, then the reference's own, then another provider that speaks it too."""
    others = [item for item in DIALECTS if item != provider]
    (folder / "own.toml").write_text(f'name = "own"\ndate = 2026-11-22\nextends = "default"\n{policy}')
    (folder / "key").write_text("k")
    (folder / "key").chmod(0o600)
    text = f'[policy]\nfile = "{folder}/own.toml"\ndetect = false\n'
    for item in others:
        text += deployment(folder, f"other-{item}", item, url)
    text += deployment(folder, "holder", provider, url) + deployment(folder, "second", provider, url + "/second")
    names = [*(f"other-{item}" for item in others), "holder", "second"]
    return text + running.route("own", *names, strategy="local-first")


def ask(path: str, more: dict[str, Any]) -> bytes:
    return json.dumps({**SAID[path], **more}).encode()


def scene(
    folder: Path, cloud: stand_in.Running, path: str, body: bytes, policy: str, headers: dict[str, str] | None = None
) -> tuple[running.Reply, list[Any]]:
    replies: list[running.Reply] = []

    async def scenario() -> None:
        settings = loaded(folder, config(folder, PROVIDER[path], cloud.url, policy))
        async with served(settings) as app:
            replies.append(await app.ask(path, body, headers=headers))

    run(scenario())
    probes = ("/api/ps", "/api/show", "/api/tags")
    return replies[0], [item for item in cloud.report().requests if not item.path.endswith(probes)]


@pytest.mark.parametrize(("path", "name", "more"), CASES, ids=NAMES)
def test_what_no_policy_names_is_refused_everywhere(
    tmp_path: Path, stand_in: stand_in.Running, path: str, name: str, more: dict[str, Any]
) -> None:
    for policy in ("", "[elsewhere]\nallow = ['something_else']\n"):
        reply, seen = scene(tmp_path, stand_in, path, ask(path, more), policy)
        assert (reply.status, name in reply.body.decode()) == (403, True), reply.body
        assert reply.headers["x-nearfar-error"] == "elsewhere_denied"
        assert seen == []


@pytest.mark.parametrize(("path", "name", "more"), CASES, ids=NAMES)
def test_what_a_policy_names_goes_to_its_provider_alone(
    tmp_path: Path, stand_in: stand_in.Running, path: str, name: str, more: dict[str, Any]
) -> None:
    stand_in.behave("500")
    _, seen = scene(tmp_path, stand_in, path, ask(path, more), f"[elsewhere]\nallow = ['{name}']\n")
    assert seen, "it is allowed, so it is tried"
    assert len({item.path.startswith("/second") for item in seen}) == 1, "no failover to one that holds nothing"
    assert all(MARK in item.body for item in seen)


SEARCHING = {"tools": [{"type": "web_search", "filters": {"allowed_domains": [MARK]}}]}
"""As Codex offers it with every request: the model may search, and can do without."""


@pytest.mark.parametrize(
    ("policy", "class_", "travels"),
    [
        ("", "internal", False),
        ("[elsewhere]\nallow = ['file_id']\n", "internal", False),
        ("[elsewhere]\nallow = ['web_search@openai']\n", "internal", True),
        ("[elsewhere]\nallow = ['*']\n", "internal", True),
        ("[elsewhere]\nallow = ['*']\n[classes.confidential]\nclear = 'lan'\n", "confidential", False),
    ],
)
def test_a_search_that_is_merely_offered_is_left_out_or_goes_along(
    tmp_path: Path, stand_in: stand_in.Running, policy: str, class_: str, travels: bool
) -> None:
    stand_in.behave("500")
    headers = {"x-nearfar-class": class_}
    reply, seen = scene(tmp_path, stand_in, RESPONSES, ask(RESPONSES, SEARCHING), policy, headers)
    assert reply.headers.get("x-nearfar-error") != "elsewhere_denied"
    assert any(MARK in item.body for item in seen) is travels
    if class_ == "internal":
        assert seen, "it is asked either way"
        assert not any(MARK in item.body for item in seen if not item.path.endswith("/responses"))
