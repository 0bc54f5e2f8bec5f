"""Our requests by the vendor's own types and documents, and our reading of upstream bytes beside its client's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sdk.test_gemini import sdk

from nearfar.core.chat import (
    Chunk,
    Finish,
    ReasoningDelta,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from nearfar.core.errors import NearfarError
from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire import gemini_count, gemini_embed, openai_chat, openai_embeddings, registry, vertex_embed
from nearfar.wire.gemini_generate_decode import decoder

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[1] / "golden" / "gemini_generate"
PROGRAM = Path(__file__).with_name("google_reading.py")
DISCOVERY = (
    Path(__file__).parents[2]
    / ".build/sdk/google-discovery/googleapiclient/discovery_cache/documents/aiplatform.v1.json"
)
GEMINI = Deployment(
    name="d",
    provider="gemini",
    model="gemini-3-flash",
    wire="gemini.generate",
    base_url="https://x/v1beta",
    place=Place.CLOUD,
)
VERTEX = msgspec.structs.replace(GEMINI, base_url="https://x/v1/projects/p/locations/l")
OLDER = msgspec.structs.replace(VERTEX, model="gemini-2.5-flash")
IMAGE = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}
HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
BODIES: list[dict[str, Any]] = [
    {"messages": HI},
    {"messages": [{"role": "system", "content": "s"}, *HI, {"role": "assistant", "content": "x"}]},
    {
        "messages": HI,
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "seed": 1,
        "stop": ["x"],
        "n": 2,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "medium",
    },
    {"messages": HI, "reasoning_effort": "none", "safetySettings": [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    ]},
    {"messages": HI, "response_format": {"type": "json_object"}},
    {"messages": HI, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
    {
        "messages": HI,
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
            {"type": "function", "function": {"name": "g"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    {"messages": HI, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
    {
        "messages": [
            *HI,
            {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "tool", "tool_call_id": "c2", "content": '{"x": 1}'},
        ]
    },
    {
        "messages": [
            *HI,
            {
                "role": "assistant",
                "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a"}]},
        ]
    },
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": IMAGE}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "x.pdf"}},
                ],
            }
        ]
    },
]  # fmt: skip


def composed(body: dict[str, Any], there: Deployment) -> dict[str, Any]:
    request = openai_chat.parse(json.dumps({"model": "m", **body}).encode(), "r")
    assert openai_chat.CLIENT.conversation is not None
    wire = registry.provider_wire("gemini.generate")
    found: dict[str, Any] = json.loads(wire.encode(request, there, openai_chat.CLIENT.conversation(request)).body)
    return found


def program(what: str, given: str = "") -> Any:
    done = subprocess.run(
        [sys.executable, "-P", str(PROGRAM), what],
        input=given,
        env={"PYTHONPATH": str(sdk("3")), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_our_requests_are_what_the_clients_types_know() -> None:
    """Its types refuse unknown members; and they lose nothing of ours."""
    bodies = [composed(body, there) for body in BODIES for there in (GEMINI, OLDER)]
    again = program("requests", json.dumps(bodies))
    for ours, theirs in zip(bodies, again, strict=True):
        assert plainly(theirs) == plainly(ours)


def plainly(value: Any) -> Any:
    """Base64 of either alphabet, and numbers of either kind, alike."""
    if isinstance(value, dict):
        return {name: plainly(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plainly(item) for item in value]
    if isinstance(value, str):
        return value.replace("-", "+").replace("_", "/").rstrip("=")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Discovery:
    """Checks values by a discovery document of Google's: known members, their types, the words of an enumeration."""

    def __init__(self, path: Path) -> None:
        assert path.is_file(), f"{path} is missing: make sdk"
        self._schemas: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["schemas"]

    def check(self, name: str, value: Any) -> None:
        """Raise AssertionError with the place of what ``name`` does not allow."""
        self._check({"$ref": f"GoogleCloudAiplatformV1{name}"}, value, name)

    def _check(self, schema: dict[str, Any], value: Any, where: str) -> None:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        kind = schema.get("type", "any")
        if kind == "object":
            assert isinstance(value, dict), where
            known = schema.get("properties", {})
            rest = schema.get("additionalProperties")
            for name, item in value.items():
                assert name in known or rest is not None, f"{where}.{name} is unknown"
                self._check(known.get(name, rest), item, f"{where}.{name}")
        elif kind == "array":
            assert isinstance(value, list), where
            for at, item in enumerate(value):
                self._check(schema["items"], item, f"{where}[{at}]")
        elif kind == "string":
            assert isinstance(value, str), where
            assert "enum" not in schema or value in schema["enum"], f"{where}: {value}"
        elif kind in {"number", "integer"}:
            assert isinstance(value, int | float), where
            assert value is not True, where
        elif kind == "boolean":
            assert isinstance(value, bool), where


@pytest.fixture(scope="module")
def discovery() -> Discovery:
    return Discovery(DISCOVERY)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("there", [VERTEX, OLDER], ids=["3", "2.5"])
def test_our_requests_are_what_vertex_says_it_takes(
    discovery: Discovery, body: dict[str, Any], there: Deployment
) -> None:
    discovery.check("GenerateContentRequest", composed(body, there))


def test_the_check_by_the_document_can_fail(discovery: Discovery) -> None:
    wrong: dict[str, Any]
    for wrong in (
        {"contents": {}},
        {"contents": [{"parts": [{"txt": "x"}]}]},
        {"generationConfig": {"topK": "5"}},
        {"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}},
    ):
        with pytest.raises(AssertionError):
            discovery.check("GenerateContentRequest", wrong)


def test_embeddings_and_counting_by_the_document(discovery: Discovery) -> None:
    request = openai_embeddings.parse(b'{"model":"m","input":["a","b"],"dimensions":8}', "r")
    out = vertex_embed.encode(request, VERTEX, openai_embeddings.conversation(request))
    discovery.check("PredictRequest", json.loads(out.body))
    batch = gemini_embed.encode(request, GEMINI, openai_embeddings.conversation(request))
    for item in json.loads(batch.body)["requests"]:  # the Gemini API's own document is not public; the type is shared
        discovery.check("EmbedContentRequest", item)
    whole = {"generateContentRequest": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}}
    count = gemini_count.encode(gemini_count.read(json.dumps(whole).encode(), "r", model="m"), VERTEX, None)
    discovery.check("CountTokensRequest", json.loads(count.body))


def test_golden_replies_by_the_document(discovery: Discovery) -> None:
    for path in sorted(GOLDEN.glob("plain_*.json")):
        discovery.check("GenerateContentResponse", json.loads(path.read_bytes()))
    for path in sorted(GOLDEN.glob("stream_*.sse")):
        for event in path.read_bytes().split(b"\n\n"):
            if event:
                discovery.check("GenerateContentResponse", json.loads(event.removeprefix(b"data: ")))


def ours(data: bytes, choices: int) -> tuple[dict[str, Any], bool]:
    """What we got of ``data``, in the client's words, and whether we took it for whole."""
    request = Request(
        id="r", wire="openai.chat", operation="chat", model="m", body=b"", fields={}, stream=True, choices=choices
    )
    got: dict[str, Any] = {"text": "", "thoughts": "", "calls": [], "finishes": {}, "usage": None}
    found = decoder(request, True)
    clean = True
    try:
        found.feed(data)
        found.close()
    except NearfarError:
        clean = False
    # A last event that lacks its blank line is read, and lost with the error; the client hands it out.
    chunks: list[Chunk] = []
    with contextlib.suppress(NearfarError):
        chunks = decoder(request, True).feed(data + b"\n\n")
    for chunk in chunks:
        for event in chunk.events:
            if isinstance(event, TextDelta | ReasoningDelta):
                got["thoughts" if isinstance(event, ReasoningDelta) else "text"] += event.text
            elif isinstance(event, ToolCallDelta):
                got["calls"].append([event.name, json.loads(event.arguments)])
            elif isinstance(event, Finish):
                got["finishes"][str(event.index)] = event.native
        if chunk.usage is not None:
            got["usage"] = chunk.usage
    return got, clean


def test_the_client_reads_the_same_out_of_the_same_bytes() -> None:
    """Whole streams, and every cut: the same text, calls, finishes and usage. Two things differ: the client takes a cut
    between two events for an end, and for the bill what had been counted before it; we never do."""
    for name, cuts in program("streams").items():
        data = (GOLDEN / f"stream_{name}.sse").read_bytes()
        choices = 2 if name == "choices" else 1
        for end, theirs in cuts.items():
            got, clean = ours(data[: int(end)], choices)
            assert same(got, theirs, choices), (name, end, got, theirs)
            assert clean == (len(theirs["finishes"]) >= choices and not theirs["error"]), (name, end)
        assert clean


def same(got: dict[str, Any], theirs: dict[str, Any], choices: int) -> bool:
    usage = got["usage"]
    if theirs["usage"] is None:
        expected = None
    else:
        prompt, total, thoughts = theirs["usage"]
        expected = Usage(input=prompt, cached=usage and usage.cached)
        if len(theirs["finishes"]) >= choices:  # else what was written is only a beginning, and we take no count of it
            expected = msgspec.structs.replace(expected, output=total - prompt, reasoning=thoughts)
    return usage == expected and all(got[name] == theirs[name] for name in ("text", "thoughts", "calls", "finishes"))
