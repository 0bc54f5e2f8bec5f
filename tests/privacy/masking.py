"""What the tests of masks share: a vault, splits of a text, and requests of every dialect full of private values.

The bodies are written from each vendor's API reference (2026-11-22); NAME and ID stand wherever text can stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from nearfar.privacy.findings import Finding
from nearfar.privacy.restore import Engine, Report, TextRestorer
from nearfar.privacy.restore_json import AnyEngine
from nearfar.privacy.vault import Vault, identity

KEY = b"a key for tests, of enough bytes"
NAME = "王小明"
ID = "A123456789"
IMAGE = "iVBORw0KGgo" + "A" * 100 + "="
PRIVATE = re.compile(f"{NAME}|{ID}")


def vault(*, caller: str = "clinic", first: str = "hi", key: bytes = KEY, limit: int = 1000) -> Vault:
    return Vault(key, caller=caller, conversation=identity(first), limit=limit)


def find(text: str) -> list[Finding]:
    """A detector that knows two values."""
    return [
        Finding(hit.start(), hit.end(), "person" if hit[0] == NAME else "tw.national_id", 1.0, "test")
        for hit in PRIVATE.finditer(text)
    ]


def restored(
    text: str, own: Vault, cuts: Iterable[int] = (), make: Callable[[Vault, Report], Engine] = AnyEngine
) -> tuple[str, Report]:
    """``text`` restored, fed in pieces of ``cuts`` characters and then the rest."""
    report = Report()
    restorer = TextRestorer(make(own, report))
    out, at = "", 0
    for size in cuts:
        out += restorer.feed(text[at : at + size])
        at += size
    return out + restorer.feed(text[at:]) + restorer.flush(), report


def in_all_splits(text: str, own: Vault, make: Callable[[Vault, Report], Engine] = AnyEngine) -> tuple[str, Report]:
    """``text`` restored, which must come out the same however it is split."""
    whole, report = restored(text, own, make=make)
    splits: list[Sequence[int]] = [[size] * len(text) for size in (1, 2, 3, 5, 7)]
    splits += [[at] for at in range(1, len(text))]
    for cuts in splits:
        assert restored(text, own, cuts, make) == (whole, report), cuts
    return whole, report


SNIPPETS = (
    *(
        "王小明",
        "王 小明",
        "Alice Wong",
        "alice@x.example",
        "A123456789",
        "Ａ１２３",
        "0912-345-678",
        "https://e.example/?q=",
    ),
    *(
        "](",
        "![x](",
        '<a href="',
        '">',
        "<",
        '{"',
        '":"',
        "[",
        "]",
        "⟦",
        "⟧",
        "PERSON_",
        "⟦PERSON_BCDFGH⟧",
        "PERSON_BCDFGH",
    ),
    *(
        " ",
        "\n",
        "\\",
        "\\u27e6",
        "&lt;",
        ".com",
        "/",
        "@",
        ":",
        "_",
        "-",
        "先生",
        ".pdf",
        "{{",
        "}}",
        '"',
        "。",
        "www.",
        "//",
    ),
    *("person", "\u200b", "https:", "<b", "=", "'", ")", "(", "true", "1", ", "),
)
TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=4)), max_size=12).map("".join)
CUTS = st.lists(st.integers(1, 7), max_size=40)


@st.composite
def findings(draw: st.DrawFn, text: str) -> list[Finding]:
    """Anything that a detector may say about ``text``, overlaps included."""
    found = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        found.append(
            Finding(start, end, draw(st.sampled_from(["person", "email", "tw.national_id", "x"])), 1.0, "test")
        )
    return found


def _said(name: str = NAME) -> str:
    return f"病人{name}的身分證是 {ID}。"


def _schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": f"About {NAME}",
        "properties": {"who": {"type": "string", "enum": [NAME, "nobody"], "default": ID, "examples": [NAME]}},
    }


def bodies() -> dict[str, dict[str, Any]]:
    """Dialect → a request with private values in every position that it has."""
    arguments = json.dumps({"who": NAME, "ids": [{"id": ID}], "note": 'escaped: "x"'}, ensure_ascii=False)
    function = {"name": "look_up", "description": _said(), "parameters": _schema()}
    return {
        "openai.chat": {
            "model": "m",
            "messages": [
                {"role": "system", "content": _said()},
                {"role": "developer", "content": [{"type": "text", "text": _said()}]},
                {
                    "role": "user",
                    "name": NAME,
                    "content": [{"type": "text", "text": _said()}, _openai_image(), _openai_file()],
                },
                {"role": "assistant", "content": _said(), "tool_calls": [_openai_call(arguments)], "x_note": _said()},
                {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"name": NAME}, ensure_ascii=False)},
                {"role": "assistant", "content": None, "refusal": f"Not about {NAME}."},
            ],
            "tools": [{"type": "function", "function": function}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": _schema()}},
            "metadata": {"patient": NAME, f"for {NAME}": "x"},
            "stop": [NAME],
            "user": ID,
            "prediction": {"type": "content", "content": _said()},
            "x_unknown": {"deep": [{"er": _said()}]},
        },
        "openai.responses": {
            "model": "m",
            "instructions": _said(),
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": _said()},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"},
                    ],
                },
                {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": arguments},
                {"type": "function_call_output", "call_id": "c1", "output": _said()},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": _said()}]},
            ],
            "tools": [{"type": "function", **function}],
            "metadata": {"patient": NAME},
            "text": {"format": {"type": "json_schema", "name": "s", "schema": _schema()}},
        },
        "openai.completions": {"model": "m", "prompt": [_said(), NAME], "suffix": _said(), "stop": NAME},
        "openai.embeddings": {"model": "m", "input": [_said(), ID]},
        "anthropic.messages": {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": _said()}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": _said()}, _anthropic_image(), _anthropic_document()],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": _said(), "signature": "c2ln"},
                        {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"who": NAME, NAME: ID}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": _said()}]}
                    ],
                },
            ],
            "tools": [{"name": "look_up", "description": _said(), "input_schema": _schema()}],
            "metadata": {"user_id": ID},
            "stop_sequences": [NAME],
        },
        "gemini.generate": {
            "systemInstruction": {"parts": [{"text": _said()}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [{"text": _said()}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}],
                },
                {"role": "model", "parts": [{"functionCall": {"name": "look_up", "args": {"who": NAME}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "look_up", "response": {"result": _said(), NAME: 1}}}],
                },
            ],
            "tools": [{"functionDeclarations": [function]}],
            "generationConfig": {"stopSequences": [NAME]},
            "labels": {"patient": NAME},
        },
        "ollama.chat": {
            "model": "m",
            "messages": [
                {"role": "system", "content": _said()},
                {"role": "user", "content": _said(), "images": [IMAGE]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": _said(),
                    "tool_calls": [{"function": {"name": "look_up", "arguments": {"who": NAME}}}],
                },
                {"role": "tool", "content": _said(), "tool_name": "look_up"},
            ],
            "tools": [{"type": "function", "function": function}],
            "format": _schema(),
        },
        "ollama.generate": {"model": "m", "prompt": _said(), "suffix": _said(), "system": _said(), "template": NAME},
        "bedrock.converse": {
            "system": [{"text": _said()}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"text": _said()},
                        {"document": {"format": "txt", "name": NAME, "source": {"text": _said()}}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": "t1", "name": "look_up", "input": {"who": NAME}}}],
                },
                {
                    "role": "user",
                    "content": [{"toolResult": {"toolUseId": "t1", "content": [{"json": {"name": NAME, ID: 1}}]}}],
                },
            ],
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "look_up", "description": _said(), "inputSchema": {"json": _schema()}}}]
            },
            "requestMetadata": {"patient": NAME},
            "promptVariables": {"who": {"text": NAME}},
        },
    }


def _openai_image() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}


def _openai_file() -> dict[str, Any]:
    return {"type": "file", "file": {"filename": f"{NAME}.pdf", "file_data": f"data:application/pdf;base64,{IMAGE}"}}


def _openai_call(arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}


def _anthropic_image() -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}


def _anthropic_document() -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": _said()}
    return {"type": "document", "title": NAME, "context": _said(), "source": source}
