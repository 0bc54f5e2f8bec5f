"""What ``nearfar verify-egress`` plants, and where: canaries from the rules' own examples, bodies of every dialect.

It sends nothing and reads no reply.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from nearfar.core.places import Class, Place
from nearfar.policy.rules import Rules
from nearfar.privacy import rules as shipped

SHORTEST = 6
"""Characters from which on a value is told from ordinary bytes."""
ROUTE = "ROUTE"
TEXT = "@text@"
ARGUMENTS = "@arguments@"
"""Stands for a tool's arguments as JSON in a string."""

_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|["\\/bfnrt])')
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NAMES = (("病患姓名 陳美玲", "陳美玲"), ("Patient name: Margaret Holloway", "Margaret Holloway"))


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A value that must not leave, in a text that tells what it is."""

    kind: str
    text: str
    values: tuple[str, ...]
    allowed: bool
    """Whether the policy lets this kind leave in clear."""


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """One place of one dialect."""

    dialect: str
    place: str
    path: str
    stream: bool
    body: Any
    """As the dialect has it, with ``TEXT``, ``ARGUMENTS`` and ``ROUTE`` where they belong."""

    def filled(self, route: str, text: str) -> tuple[str, bytes]:
        """(path, body) of a request on ``route``."""
        return self.path.replace(ROUTE, route), msgspec.json.encode(_filled(self.body, route, text))


def _filled(value: Any, route: str, text: str) -> Any:
    if isinstance(value, str):
        known = {TEXT: text, ROUTE: route}
        return json.dumps({"note": text}, ensure_ascii=False) if value == ARGUMENTS else known.get(value, value)
    if isinstance(value, dict):
        return {name: _filled(item, route, text) for name, item in value.items()}
    return [_filled(item, route, text) for item in value] if isinstance(value, list) else value


def canaries(rules: Rules) -> tuple[list[Canary], list[str]]:
    """(one canary for each rule that comes with nearfar and two names; the rules whose examples are too short)."""
    found, short = [], []
    mine = {value for values in rules.harmless.values() for value in values}
    for rule in shipped.shipped():
        text, spans = shipped.marked(rule.row.good[0])
        values = tuple(text[start:end] for start, end in spans)
        if min(map(len, map(folded, values))) < SHORTEST:
            short.append(rule.name)
        elif not mine.intersection(values):
            allowed = may_leave(rules, rule.kind)
            found.append(Canary(kind=rule.name, text=text, values=values, allowed=allowed))
    for text, value in _NAMES:
        found.append(Canary(kind="person", text=text, values=(value,), allowed=may_leave(rules, "person")))
    return found, short


def may_leave(rules: Rules, kind: str) -> bool:
    """Whether a request with this kind alone may go to a cloud in clear."""
    class_ = max(rules.default, rules.kinds.of(kind).class_, Class.PUBLIC)
    return not rules.offline and rules.furthest[class_] >= Place.CLOUD


# What is looked for ------------------------------------------------------------------------------


def folded(text: str) -> str:
    """``text`` without width, case, spaces, hyphens and invisible characters."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in plain if char not in " \t\r\n-" and unicodedata.category(char) != "Cf")


class Haystack:
    """Bytes in the forms in which a value may hide in them; each is made once for all canaries."""

    def __init__(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        plain = urllib.parse.unquote(_unescaped(_unescaped(text)))
        self._raw = data
        self._forms = (folded(text), folded(plain))

    def holds(self, value: str) -> bool:
        """Whether ``value`` stands here: spelt in any way, escaped, percent-encoded, in base64 or hexadecimal."""
        needle = folded(value)
        return any(needle in form for form in self._forms) or any(form in self._raw for form in encoded(value))


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(match: re.Match[str]) -> str:
    name = match[1]
    return chr(int(name[1:], 16)) if len(name) > 1 else _ESCAPED.get(name, name)


def encoded(value: str) -> Iterator[bytes]:
    """``value`` in hexadecimal, and in base64 at each of the three places in which it can begin."""
    data = value.encode()
    yield data.hex().encode()
    yield data.hex().upper().encode()
    for skip in range(3):
        # Only the characters that the value alone decides.
        whole = base64.b64encode(bytes(skip) + data)
        start, end = -(-skip * 8 // 6), (skip + len(data)) * 8 // 6
        yield whole[start:end]
        yield whole[start:end].translate(bytes.maketrans(b"+/", b"-_"))


# Where it is planted -----------------------------------------------------------------------------

_SCHEMA = {"type": "object", "properties": {"note": {"type": "string"}}}


def _chat(part: Mapping[str, Any]) -> dict[str, Any]:
    arguments = part.get("arguments", '{"note": "x"}')
    call = {"id": "call_1", "type": "function", "function": {"name": "record", "arguments": arguments}}
    function = {"name": "record", "description": part.get("description", "x"), "parameters": _SCHEMA}
    return {
        "model": ROUTE,
        "messages": [
            {"role": "system", "content": part.get("system", "x")},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": part.get("history", "x"), "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": part.get("result", "x")},
            {"role": "user", "content": part.get("user", "x")},
        ],
        "tools": [{"type": "function", "function": function}],
        **({"metadata": {"note": part["metadata"]}} if "metadata" in part else {}),
        **({"session_note": part["unknown"]} if "unknown" in part else {}),
    }


def _responses(part: Mapping[str, Any]) -> dict[str, Any]:
    arguments = part.get("arguments", '{"note": "x"}')
    return {
        "model": ROUTE,
        "instructions": part.get("system", "x"),
        "input": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "output_text", "text": part.get("history", "x")}]},
            {"type": "function_call", "call_id": "c", "name": "record", "arguments": arguments},
            {"type": "function_call_output", "call_id": "c", "output": part.get("result", "x")},
            {"role": "user", "content": part.get("user", "x")},
        ],
        "tools": [
            {
                "type": "function",
                "name": "record",
                "description": part.get("description", "x"),
                "parameters": _SCHEMA,
            }
        ],
        **({"metadata": {"note": part["metadata"]}} if "metadata" in part else {}),
        **({"session_note": part["unknown"]} if "unknown" in part else {}),
    }


def _messages(part: Mapping[str, Any]) -> dict[str, Any]:
    given = {"note": TEXT} if "arguments" in part else {}
    return {
        "model": ROUTE,
        "max_tokens": 64,
        "system": [{"type": "text", "text": part.get("system", "x")}],
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": part.get("history", "x")},
                    {"type": "tool_use", "id": "t", "name": "record", "input": given},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": part.get("result", "x")},
                    {"type": "text", "text": part.get("user", "x")},
                ],
            },
        ],
        "tools": [{"name": "record", "description": part.get("description", "x"), "input_schema": _SCHEMA}],
        **({"metadata": {"user_id": part["metadata"]}} if "metadata" in part else {}),
        **({"session_note": part["unknown"]} if "unknown" in part else {}),
    }


def _gemini(part: Mapping[str, Any]) -> dict[str, Any]:
    given = {"note": TEXT} if "arguments" in part else {}
    result = {"name": "record", "response": {"note": part.get("result", "x")}}
    declared = {"name": "record", "description": part.get("description", "x"), "parameters": _SCHEMA}
    return {
        "systemInstruction": {"parts": [{"text": part.get("system", "x")}]},
        "contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {
                "role": "model",
                "parts": [{"text": part.get("history", "x")}, {"functionCall": {"name": "record", "args": given}}],
            },
            {"role": "user", "parts": [{"functionResponse": result}]},
            {"role": "user", "parts": [{"text": part.get("user", "x")}]},
        ],
        "tools": [{"functionDeclarations": [declared]}],
        **({"labels": {"note": part["metadata"]}} if "metadata" in part else {}),
        **({"sessionNote": part["unknown"]} if "unknown" in part else {}),
    }


def _ollama(part: Mapping[str, Any]) -> dict[str, Any]:
    given = {"note": TEXT} if "arguments" in part else {}
    function = {"name": "record", "description": part.get("description", "x"), "parameters": _SCHEMA}
    return {
        "model": ROUTE,
        "messages": [
            {"role": "system", "content": part.get("system", "x")},
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": part.get("history", "x"),
                "tool_calls": [{"function": {"name": "record", "arguments": given}}],
            },
            {"role": "tool", "tool_name": "record", "content": part.get("result", "x")},
            {"role": "user", "content": part.get("user", "x")},
        ],
        "tools": [{"type": "function", "function": function}],
        **({"session_note": part["unknown"]} if "unknown" in part else {}),
    }


def _converse(part: Mapping[str, Any]) -> dict[str, Any]:
    given = {"note": TEXT} if "arguments" in part else {}
    result = {"toolUseId": "t", "content": [{"text": part.get("result", "x")}]}
    spec = {"name": "record", "description": part.get("description", "x"), "inputSchema": {"json": _SCHEMA}}
    return {
        "system": [{"text": part.get("system", "x")}],
        "messages": [
            {"role": "user", "content": [{"text": "x"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": part.get("history", "x")},
                    {"toolUse": {"toolUseId": "t", "name": "record", "input": given}},
                ],
            },
            {"role": "user", "content": [{"toolResult": result}, {"text": part.get("user", "x")}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": spec}]},
        **({"requestMetadata": {"note": part["metadata"]}} if "metadata" in part else {}),
        **({"sessionNote": part["unknown"]} if "unknown" in part else {}),
    }


def _embeddings(part: Mapping[str, Any]) -> dict[str, Any]:
    extra = {"session_note": part["unknown"]} if "unknown" in part else {}
    return {"model": ROUTE, "input": [part.get("user", "x")], **extra}


_PLACES = ("system", "user", "history", "arguments", "result", "description", "metadata", "unknown")
_DIALECTS: Mapping[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], str, str]] = {
    "chat": (_chat, "/v1/chat/completions", ""),
    "responses": (_responses, "/v1/responses", ""),
    "messages": (_messages, "/v1/messages", ""),
    "gemini": (_gemini, f"/v1beta/models/{ROUTE}:generateContent", f"/v1beta/models/{ROUTE}:streamGenerateContent"),
    "ollama": (_ollama, "/api/chat", ""),
    "converse": (_converse, f"/model/{ROUTE}/converse", f"/model/{ROUTE}/converse-stream"),
    "embeddings": (_embeddings, "/v1/embeddings", ""),
}
_LACKS: Mapping[str, tuple[str, ...]] = {
    "ollama": ("metadata",),
    "embeddings": tuple(place for place in _PLACES if place not in {"user", "unknown"}),
}
"""Places that a dialect has no member for."""


def questions() -> list[Spot]:
    """A question without tools in some dialects: what has tools is never rewritten."""
    message = {"role": "user", "content": TEXT}
    bodies: Mapping[str, tuple[str, str, Any]] = {
        "chat": ("/v1/chat/completions", "", {"model": ROUTE, "messages": [message]}),
        "messages": ("/v1/messages", "", {"model": ROUTE, "max_tokens": 64, "messages": [message]}),
        "gemini": (*_DIALECTS["gemini"][1:], {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}),
    }
    return [
        Spot(
            dialect=dialect,
            place="user",
            path=streamed if stream and streamed else path,
            stream=stream,
            body=body if streamed else {**body, "stream": stream},
        )
        for dialect, (path, streamed, body) in bodies.items()
        for stream in (False, True)
    ]


def spots() -> list[Spot]:
    """Every place of every dialect, plain and as a stream."""
    found = []
    for dialect, (body, path, streamed) in _DIALECTS.items():
        for place in _PLACES:
            if place in _LACKS.get(dialect, ()):
                continue
            spoken = ARGUMENTS if place == "arguments" and dialect in {"chat", "responses"} else TEXT
            for stream in (False,) if dialect == "embeddings" else (False, True):
                made = body({place: spoken})
                if not streamed and dialect != "embeddings":
                    made["stream"] = stream
                where = streamed if stream and streamed else path
                found.append(Spot(dialect=dialect, place=place, path=where, stream=stream, body=made))
    return found
