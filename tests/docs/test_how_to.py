"""The how-to pages of systems and clients, tried: what they show is run, and what they say of a wire is asked of it.

Systems: each page's configuration is loaded, checked and explained by the real program, and its deployment is tried
against the golden bytes of its wire. Those bytes stand for the system; they prove nothing of the system itself, whose
evidence stands on its page. Clients: commands and snippets run against a gateway with a real engine and a tiny model.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests import running
from tests import stand_in as stand_ins
from tools.docs import blocks, snippets

from nearfar import build
from nearfar.core.errors import BadRequestError
from nearfar.gateway import declared
from nearfar.providers import presets, registry
from nearfar.providers.base import address, door
from nearfar.settings.load import Loaded, load
from nearfar.wire import openai_chat
from nearfar.wire.openai_chat_conversation import conversation
from nearfar.wire.registry import provider_wire

PAGES = blocks.ROOT / "docs" / "en" / "how-to"
SYSTEMS = sorted(path.stem for path in (PAGES / "systems").glob("*.md"))
CLIENTS = sorted(path.stem for path in (PAGES / "clients").glob("*.md"))
GOLDEN = blocks.ROOT / "tests" / "golden"
SDKS = blocks.ROOT / ".build" / "sdk"
NODE = blocks.ROOT / ".build" / "node"
ADDRESS = "http://127.0.0.1:8642"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "HF_TOKEN", "AZURE_OPENAI_API_KEY")


def page(kind: str, name: str) -> str:
    return (PAGES / kind / f"{name}.md").read_text("utf-8")


def shown(kind: str, name: str, language: str) -> list[str]:
    return [item.body for item in snippets.snippets(page(kind, name)) if item.kind == language and not item.mark]


def loaded(name: str, folder: Path, environ: Mapping[str, str]) -> Loaded:
    """All configurations of a system's page together, as its reader would write them."""
    file = folder / "config.toml"
    file.write_text(f'state_dir = "{folder}"\n' + "\n".join(shown("systems", name, "toml")), "utf-8")
    return load(config=file, environ={"HOME": str(folder), **environ}, system=folder / "none.toml")


# Systems -----------------------------------------------------------------------------------------


def test_every_system_has_its_page() -> None:
    told = {name for system in SYSTEMS for name in blocks.names(page("systems", system))}
    rows = set(presets.names())
    assert told == {f"system-{name}" for name in registry.names() if name not in rows and name != "embedded"}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_configuration_holds(name: str, tmp_path: Path) -> None:
    found = loaded(name, tmp_path, dict.fromkeys(KEYS, "unused"))
    providers = registry.load_all()
    assert declared.problems(found.settings, found.origins, providers) == []
    used = {f"system-{item.provider}" for item in found.settings.deployments.values()}
    assert used & set(blocks.names(page("systems", name)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_page_fits_on_a_screen(name: str) -> None:
    assert len(page("systems", name).splitlines()) <= 55


class Claim(NamedTuple):
    """What a page says happens to a chat request in OpenAI's dialect with ``fields``."""

    page: str
    deployment: str
    fields: dict[str, Any]
    told: tuple[str, ...] = ()
    """Deviations, which the page names too."""
    refused: str = ""
    """The member for which it is refused."""


AFTER_A_REFUSAL = {"gemini": {"dropped:thought_signature"}}
"""Page → deviations that only an upstream's refusal leads to; tests/gateway/test_attempt.py holds this one."""

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALLED = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "20"},
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]
ELSEWHERE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}]

CLAIMS = [
    Claim("gpt4all", "desk", {"stream": True}, ("adapted:stream", "default:max_tokens=4096")),
    Claim("gpt4all", "desk", {"seed": 1, "presence_penalty": 1}, ("dropped:seed", "dropped:presence_penalty")),
    Claim("gpt4all", "desk", {"tools": [TOOL]}, refused="tools"),
    Claim("gpt4all", "desk", {"response_format": SCHEMA}, refused="response_format"),
    Claim("gpt4all", "desk", {"stop": ["a"]}, refused="stop"),
    Claim("gpt4all", "desk", {"messages": IMAGE}, refused="messages"),
    Claim("llama-cpp", "llama", {"min_p": 0.1, "grammar": 'root ::= "a"', "tools": [TOOL]}),
    Claim("vllm", "lab", {"top_k": 4, "structured_outputs": {}, "chat_template_kwargs": {}}),
    Claim("lm-studio", "studio", {"response_format": SCHEMA}),
    Claim("tgi", "inference", {"n": 2}, refused="n"),
    Claim("tgi", "inference", {"tools": [TOOL], "response_format": SCHEMA}, refused="response_format"),
    Claim("tgi", "inference", {"logit_bias": {"5": 1}, "user": "u"}, ("dropped:logit_bias", "dropped:user")),
    Claim("transformers", "tiny", {"response_format": SCHEMA}, refused="response_format"),
    Claim("transformers", "tiny", {"logprobs": True}, refused="logprobs"),
    Claim("transformers", "tiny", {"n": 2}, refused="n"),
    Claim("transformers", "tiny", {"tools": [TOOL], "tool_choice": "required"}, refused="tool_choice"),
    Claim("transformers", "tiny", {"messages": IMAGE}, refused="messages"),
    Claim(
        "transformers",
        "tiny",
        {"presence_penalty": 1, "frequency_penalty": 1},
        ("dropped:presence_penalty", "adapted:frequency_penalty"),
    ),
    Claim("onnx-runtime", "phi", {"presence_penalty": 1}, ("dropped:presence_penalty",)),
    Claim("onnx-runtime", "phi", {"logit_bias": {"5": 1}, "min_p": 0.1}, ("dropped:logit_bias", "dropped:min_p")),
    Claim("tensorrt-llm", "triton", {"logit_bias": {"5": 1}}, ("dropped:logit_bias",)),
    Claim("tensorrt-llm", "trt", {"logit_bias": {"5": 1}}),
    Claim("openai", "gpt", {"max_tokens": 5}, ("renamed:max_tokens",)),
    Claim("azure-openai", "azure", {"max_tokens": 5}, ("renamed:max_tokens",)),
    Claim("anthropic", "claude", {"seed": 1}, ("default:max_tokens=4096", "dropped:seed")),
    Claim("anthropic", "claude", {"n": 2}, refused="n"),
    Claim("anthropic", "claude", {"logprobs": True}, refused="logprobs"),
    Claim("anthropic", "claude", {"response_format": {"type": "json_object"}}, refused="response_format"),
    Claim("anthropic", "claude", {"temperature": 0.5}, ("dropped:temperature",)),
    Claim("gemini", "gemini", {"messages": CALLED, "tools": [TOOL]}, ("adapted:thought_signature",)),
    Claim(
        "gemini",
        "gemini",
        {"tools": [TOOL], "parallel_tool_calls": False, "user": "u"},
        ("dropped:parallel_tool_calls", "dropped:user"),
    ),
    Claim("gemini", "gemini", {"messages": ELSEWHERE}, refused="messages"),
    Claim("sagemaker", "endpoint", {"tools": [TOOL]}),
    Claim("sagemaker", "older", {}, ("adapted:messages=chatml",)),
    Claim("sagemaker", "older", {"tools": [TOOL]}, refused="tools"),
    Claim("sagemaker", "older", {"response_format": SCHEMA}, refused="response_format"),
    Claim("sagemaker", "older", {"messages": IMAGE}, refused="messages"),
    Claim("bedrock", "bedrock", {"seed": 1, "user": "u"}, ("dropped:seed", "dropped:user")),
    Claim("bedrock", "bedrock", {"messages": CALLED}, ("adapted:tool_history",)),
    Claim("bedrock", "bedrock", {"n": 2}, refused="n"),
    Claim("bedrock", "bedrock", {"logprobs": True}, refused="logprobs"),
    Claim("bedrock", "bedrock", {"temperature": 1.5}, refused="temperature"),
    Claim("bedrock", "bedrock", {"messages": ELSEWHERE}, refused="messages"),
    Claim("ollama", "small", {"n": 2}, refused="n"),
    Claim("ollama", "small", {"tools": [TOOL], "tool_choice": "required"}, refused="tool_choice"),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.page}-{'-'.join(claim.fields) or 'plain'}")
def test_what_a_page_says_of_its_wire(claim: Claim, tmp_path: Path) -> None:
    found = loaded(claim.page, tmp_path, dict.fromkeys(KEYS, "unused"))
    known = build.gateway(found).fleet.snapshot
    # The model that a page names need not lie here: then its deployment cannot be used, and is known all the same.
    there = (known.unusable.get(claim.deployment) or known.targets[claim.deployment]).deployment
    body = {"model": "m", "messages": running.HELLO, **claim.fields}
    request = openai_chat.parse(json.dumps(body).encode(), "req-1")
    wire = provider_wire(there.wire)
    said = None if "openai.chat" in wire.like else conversation(request)
    if claim.refused:
        with pytest.raises(BadRequestError) as caught:
            wire.encode(request, there, said)
        assert caught.value.code == "unsupported"
        assert (caught.value.param or "").partition("[")[0].partition(".")[0] == claim.refused
        return
    out = wire.encode(request, there, said)
    assert set(claim.told) <= set(out.deviations)
    if not claim.told:
        assert out.deviations == ()
    for deviation in claim.told:
        where = page("systems", claim.page)
        assert deviation in where or deviation.partition(":")[2] in where


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_deviation_on_a_page_is_claimed(name: str) -> None:
    found = set(re.findall(r"`((?:adapted|dropped|default|renamed):[^`]+)`", page("systems", name)))
    claimed = {told for claim in CLAIMS if claim.page == name for told in claim.told}
    assert found == found & (claimed | AFTER_A_REFUSAL.get(name, set()))


class Upstream(ThreadingHTTPServer):
    """Answers every POST with ``data``; what was asked is remembered."""

    daemon_threads = True

    def __init__(self, data: bytes, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.data = data
        self.kind = kind
        self.paths: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("content-type", self.server.kind)
        self.send_header("content-length", str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read no log."""


@contextlib.contextmanager
def golden(folder: str) -> Iterator[Upstream]:
    """An upstream that sends the golden stream of one wire until the block ends."""
    kinds = {".sse": "text/event-stream", ".ndjson": "application/x-ndjson", ".body": "application/json"}
    [file] = (GOLDEN / folder).glob("stream_text.*")
    with Upstream(file.read_bytes(), kinds.get(file.suffix, "application/vnd.amazon.eventstream")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


TRIED = [
    # (page, deployment, golden folder, path that must be asked)
    ("anthropic", "claude", "anthropic_messages", "/v1/messages"),
    ("azure-openai", "azure", "openai_chat", "/openai/v1/chat/completions"),
    ("bedrock", "bedrock", "bedrock_converse", "/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream"),
    ("gemini", "gemini", "gemini_generate", "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"),
    ("gpt4all", "desk", "gpt4all_chat", "/v1/chat/completions"),
    ("huggingface-endpoints", "mine", "huggingface_chat", "/v1/chat/completions"),
    ("llama-cpp", "llama", "openai_chat", "/v1/chat/completions"),
    ("lm-studio", "studio", "openai_chat", "/v1/chat/completions"),
    ("ollama", "small", "ollama_chat", "/api/chat"),
    ("openai", "gpt", "openai_chat", "/v1/chat/completions"),
    ("openai-compatible", "mine", "openai_chat", "/v1/chat/completions"),
    ("sagemaker", "endpoint", "sagemaker_invoke", "/endpoints/my-endpoint/invocations-response-stream"),
    ("sagemaker", "older", "sagemaker_invoke_tgi", "/endpoints/my-tgi-endpoint/invocations-response-stream"),
    ("tensorrt-llm", "trt", "openai_chat", "/v1/chat/completions"),
    ("tensorrt-llm", "triton", "openai_chat", "/v1/chat/completions"),
    ("tgi", "inference", "tgi_chat", "/v1/chat/completions"),
    ("transformers", "tiny", "transformers_chat", "/v1/chat/completions"),
    (
        "vertex-ai",
        "vertex",
        "gemini_generate",
        "/v1/projects/my-project/locations/europe-west4/publishers/google/models/gemini-3-flash:streamGenerateContent?alt=sse",
    ),
    (
        "vertex-ai",
        "vertex-claude",
        "vertex_anthropic",
        "/v1/projects/my-project/locations/global/publishers/anthropic/models/claude-sonnet-5-5:streamRawPredict",
    ),
    ("vllm", "lab", "openai_chat", "/v1/chat/completions"),
]
IN_A_CHILD = {"onnx-runtime"}
"""Their engine is no server: tests/stages adds a folder as the page does and asks the model."""


def test_every_system_is_tried() -> None:
    assert {name for name, *_ in TRIED} | IN_A_CHILD == set(SYSTEMS)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys as the pages name them, and a Google service account that signs its tokens itself."""
    made = rsa.generate_private_key(65537, 2048)
    secret = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("google") / "account.json"
    account = {"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key_id": "1"}
    token_uri = "https://oauth2.googleapis.com/token"
    file.write_text(json.dumps({**account, "private_key": secret.decode(), "token_uri": token_uri}))
    return {
        **dict.fromkeys(KEYS, "unused"),
        "AWS_ACCESS_KEY_ID": "AKIDPAGE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("name", "deployment", "folder", "path"), TRIED, ids=[f"{row[0]}-{row[1]}" for row in TRIED])
def test_the_commands_of_a_page(
    name: str, deployment: str, folder: str, path: str, tmp_path: Path, credentials: dict[str, str]
) -> None:
    """check, explain and test, as the page has them, but for the address and for ``--quick``."""
    secret = tmp_path / "lab-key"
    secret.write_text("unused")
    written = "\n".join(shown("systems", name, "toml")).replace("/run/secrets/lab-key", str(secret))
    running.configure(tmp_path, written)
    commands = [shlex.split(line) for text in shown("systems", name, "sh") for line in text.splitlines()]
    asked = [words[1:] for words in commands if words[:2] in (["nearfar", "config"], ["nearfar", "route"])]
    for words in asked or [["config", "check"]]:
        done = running.command(tmp_path, *words, **credentials)
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr
    tests = [words for words in commands if words[:3] == ["nearfar", "providers", "test"]]
    assert len(tests) == 1
    with golden(folder) as server:
        (tmp_path / "again").mkdir()
        setting = loaded(name, tmp_path / "again", credentials).settings.deployments[deployment]
        provider = door(registry.load_all()[setting.provider], setting.options)
        below = urlsplit(setting.base_url or address(provider, setting.options)).path
        sets = ["--set", f"deployments.{deployment}.base_url=http://127.0.0.1:{server.server_port}{below}"]
        sets += ["--set", f"deployments.{deployment}.place=cloud"]
        done = running.command(tmp_path, "providers", "test", deployment, "--quick", *sets, **credentials)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("ok: ")
        assert server.paths[-1] == path
        assert set(server.paths[:-1]) <= {"/api/show"}, "Ollama is first asked what the model is"


# Clients -----------------------------------------------------------------------------------------

RUNS = {"curl", "openai-sdk", "anthropic-sdk", "gemini-sdk", "ollama", "boto3", "langchain"}
KEYLESS = {"boto3"}
"""Their page says that they reach a gateway that wants no key."""
PATHS = {"gemini-sdk": "google-3", "langchain": "langchain"}
"""Clients that are installed apart."""


def test_every_command_of_a_client_is_run_or_replayed() -> None:
    for name in CLIENTS:
        for item in snippets.snippets(page("clients", name)):
            if item.kind in {"sh", "python", "js"}:
                assert item.mark in {"run", "replayed"}, f"{name}: {item.body}"
    assert set(CLIENTS) == RUNS | {"claude-code", "codex", "open-webui"}


Doors = tuple[running.Gateway, str]


@pytest.fixture(scope="module")
def closed(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A gateway over the real engine that wants a key, and the key."""
    folder = tmp_path_factory.mktemp("closed")
    running.add_model(folder, tiny_gguf, "tiny")
    running.configure(folder, "")
    made = running.command(folder, "keys", "new", "page", "--quiet")
    assert made.returncode == 0, made.stderr
    with running.gateway(folder, "") as gateway:
        yield gateway, made.stdout.strip()


@pytest.fixture(scope="module")
def open_(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """The same without keys."""
    folder = tmp_path_factory.mktemp("open")
    running.add_model(folder, tiny_gguf, "tiny")
    with running.gateway(folder, "") as gateway:
        yield gateway, "unused"


def command(kind: str, body: str) -> list[str]:
    if kind == "sh":
        return ["bash", "-euo", "pipefail", "-c", body]
    if kind == "python":
        return [sys.executable, "-W", "error", "-c", body]
    node = NODE / "node"
    assert node.exists(), f"{node} is missing: make node"
    return [node.read_text().strip(), "--input-type=module", "-e", body]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_snippets_of_a_client(name: str, closed: Doors, open_: Doors) -> None:
    gateway, key = open_ if name in KEYLESS else closed
    environ = running.environment(gateway.folder)
    if name in PATHS:
        assert (SDKS / PATHS[name]).is_dir(), f"{SDKS / PATHS[name]} is missing: make sdk"
        environ["PYTHONPATH"] = str(SDKS / PATHS[name])
    ran = 0
    for item in snippets.snippets(page("clients", name)):
        if item.mark != "run":
            continue
        body = re.sub(r"\bKEY\b", key, item.body.replace(ADDRESS, gateway.url))
        exported = re.findall(r"(\w+)=(\S+)", "\n".join(re.findall(r"^export (.*)$", body, re.MULTILINE)))
        environ.update(exported)
        if item.kind == "sh":
            body = body.replace("curl -sS", "curl -fsS")
        done = subprocess.run(
            command(item.kind, body),
            env=environ,
            cwd=NODE if item.kind == "js" else gateway.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{item.body}\n{done.stdout}\n{done.stderr}"
        if not exported:
            assert done.stdout.strip(), item.body
            ran += 1
    assert ran
    if name == "curl":
        assert ran == 5


@pytest.mark.slow
def test_boto3_sends_a_key_over_https_alone(tiny_gguf: Path, tmp_path: Path, closed: Doors) -> None:
    """What its page says of gateways that want a key."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    config = f'[server]\ntls_cert = "{tmp_path}/both.pem"\ntls_key = "{tmp_path}/both.pem"\n'
    running.add_model(tmp_path, tiny_gguf, "tiny")
    running.configure(tmp_path, config)
    made = running.command(tmp_path, "keys", "new", "page", "--quiet")
    [snippet] = [item.body for item in snippets.snippets(page("clients", "boto3")) if item.kind == "python"]
    region = re.findall(r"AWS_DEFAULT_REGION=(\S+)", page("clients", "boto3"))[0]

    def run(url: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environ |= {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url, "AWS_DEFAULT_REGION": region}
        environ |= {"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}
        return subprocess.run(
            command("python", snippet),
            env=running.environment(tmp_path, **environ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    with running.gateway(tmp_path, config) as gateway:
        assert gateway.url.startswith("https://")
        done = run(gateway.url, AWS_BEARER_TOKEN_BEDROCK=made.stdout.strip())
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    plain, key = closed
    assert "InvalidEndpointConfigurationError" in run(plain.url, AWS_BEARER_TOKEN_BEDROCK=key).stderr
    signed = run(plain.url, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any")
    assert signed.returncode != 0, "a signature opens no gateway that wants a key"


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A gateway with a route ``coder`` over the stand-in in OpenAI's dialect, and ``claude`` over Anthropic's."""
    folder = tmp_path_factory.mktemp("coder")
    with stand_ins.running(invoices=folder / "invoices.jsonl") as far:
        head = '\n[deployments.claude]\nprovider = "anthropic"\nmodel = "stand-in-large"\n'
        config = running.far("far", far.url) + f'{head}base_url = "{far.url}"\n' + running.route("coder", "far")
        running.configure(folder, config)
        made = running.command(folder, "keys", "new", "coder", "--quiet")
        with running.gateway(folder, config) as gateway:
            yield gateway, made.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["coder", "claude"])
def test_what_claude_code_sends(coder: Doors, model: str) -> None:
    """Its requests of 2026-11, with the variables of the page; see also tests/server/test_anthropic.py."""
    gateway, key = coder
    exported = dict(re.findall(r"export (\w+)=(\S+)", page("clients", "claude-code")))
    assert exported["ANTHROPIC_BASE_URL"] == ADDRESS
    assert (exported["ANTHROPIC_AUTH_TOKEN"], exported["ANTHROPIC_MODEL"]) == ("KEY", "coder")
    assert gateway.ask("/", method="HEAD").status == 200
    tools = [{"name": f"tool_{n}", "description": "d" * 2500, "input_schema": {"type": "object"}} for n in range(24)]
    cached = {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    body = {
        "model": model,
        "max_tokens": 32000,
        "stream": True,
        "system": [cached, cached, cached],
        "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "mind this"}],
        "tools": tools,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "metadata": {"user_id": "user_1"},
    }
    headers = {
        "authorization": f"Bearer {key}",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,effort-2025-11-24",
    }
    reply = gateway.ask("/v1/messages?beta=true", body, headers=headers)
    assert (reply.status, reply.clean) == (200, True)
    assert b"event: message_stop" in reply.body
    told = re.findall(r"`((?:dropped|adapted):[^`]+)`", page("clients", "claude-code"))
    assert len(told) == 4
    assert set(reply.tried) == (set(told) if model == "coder" else set())


@pytest.mark.slow
def test_what_codex_sends(coder: Doors) -> None:
    """The shape of its requests of 2026-11; its tools are in tests/sdk/responses_checks.py too."""
    gateway, key = coder
    [written] = [item.body for item in snippets.snippets(page("clients", "codex")) if item.mark == "codex"]
    config = tomllib.loads(written)
    there = config["model_providers"][config["model_provider"]]
    assert (there["base_url"], there["wire_api"], config["model"]) == (f"{ADDRESS}/v1", "responses", "coder")
    assert f"export {there['env_key']}=KEY" in page("clients", "codex")
    function = {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object"}}
    body = {
        "model": config["model"],
        "instructions": "You are a coding agent. " * 500,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
        ],
        "tools": [
            function,
            {"type": "namespace", "name": "files", "description": "Files.", "tools": [{**function, "name": "read"}]},
            {"type": "web_search", "external_web_access": False},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
        "client_metadata": {"x": "1"},
    }
    reply = gateway.ask("/v1/responses", body, headers={"authorization": f"Bearer {key}", "session-id": "s"})
    assert (reply.status, reply.clean) == (200, True)
    assert b"event: response.completed" in reply.body
    told = re.findall(r"`((?:dropped|adapted):[^`]+)`", page("clients", "codex"))
    assert len(told) == 4
    assert set(told) <= set(reply.tried)


@pytest.mark.slow
def test_what_open_webui_sends(closed: Doors, open_: Doors) -> None:
    """Its requests as its documentation and Ollama's describe them, for both kinds of connection."""
    gateway, key = closed
    bearer = {"authorization": f"Bearer {key}"}
    listed = gateway.ask("/v1/models", headers=bearer)
    assert {"auto", "local"} <= {row["id"] for row in listed.json["data"]}
    body = {"model": "auto", "messages": running.HELLO, "max_tokens": 8, "stream": True}
    reply = gateway.ask("/v1/chat/completions", {**body, "stream_options": {"include_usage": True}}, headers=bearer)
    assert (reply.status, reply.clean) == (200, True)
    assert reply.body.endswith(b"data: [DONE]\n\n")
    gateway, _ = open_
    for path in ("/api/version", "/api/tags", "/api/ps"):
        assert gateway.ask(path).status == 200
    reply = gateway.ask("/api/chat", {"model": "auto", "messages": running.HELLO, "options": {"num_predict": 8}})
    assert json.loads(reply.body.splitlines()[-1])["done"] is True
    foreign = gateway.ask("/v1/models", headers={"host": "host.docker.internal:8642"})
    assert foreign.status == 403, "why the page lists the name of the machine"


@pytest.mark.slow
def test_what_ollamas_command_line_sends(open_: Doors) -> None:
    """``ollama list``, ``run`` and ``ps`` as Ollama's documentation and sources of 2026-08 describe them."""
    gateway, _ = open_
    assert gateway.ask("/", method="HEAD").status == 200
    assert "auto" in {row["name"] for row in gateway.ask("/api/tags").json["models"]}
    assert gateway.ask("/api/show", {"model": "auto"}).status == 200
    loaded_ = gateway.ask("/api/generate", {"model": "auto", "stream": False})
    assert loaded_.json["done_reason"] == "load"
    reply = gateway.ask("/api/chat", {"model": "auto", "messages": running.HELLO, "options": {"num_predict": 8}})
    lines = [json.loads(line) for line in reply.body.splitlines()]
    assert (lines[-1]["done"], reply.clean) == (True, True)
    assert gateway.ask("/api/ps").json["models"]
    assert gateway.ask("/api/pull", {"model": "llama3.2"}).status >= 400
