"""Chat completions in OpenAI's shape for the engines that bring no server of their own: requests in, replies out.

It knows no socket and no engine. What such an engine cannot do is refused by name; nothing is passed over in silence
but what has no effect on an answer. Source: the OpenAI API reference, "Create chat completion", 2026-11.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Collection
from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError, NearfarError
from nearfar.engine.child_tools import Call

_NO_EFFECT = frozenset(
    {
        "metadata",
        "model",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
    }
)
"""Members that say nothing about the answer."""
_READ = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "n",
        "parallel_tool_calls",
        "response_format",
        "seed",
        "stop",
        "stream",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)
_MAX_STOPS = 16
_MAX_BIAS = 1024
_MAX_TOP = 20
_encode = msgspec.json.Encoder().encode


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen; None: as the model's own configuration says."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    seed: int | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request, read and checked."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    sampling: Sampling
    limit: int | None = None
    """Most tokens to write."""
    stops: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    top: int = 0
    """Alternatives to tell of each token."""
    schema: str = ""
    """JSON schema that the answer must follow; empty: none."""
    parallel: bool = True


class Logprob(msgspec.Struct, frozen=True):
    """A token, its natural log-probability, and its likeliest alternatives, itself perhaps among them."""

    token: str
    value: float
    top: tuple[tuple[str, float], ...] = ()


def read(body: bytes, can: Collection[str]) -> Ask:
    """Read a request. ``can``: the members an engine honours besides the common ones, and ``json_schema``.

    Raises BadRequestError.
    """
    try:
        values = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRequestError(f"The body is not a JSON object: {exc}.", code="invalid_json") from exc
    values = {name: value for name, value in values.items() if value is not None}
    for name in values.keys() - _NO_EFFECT - _READ - set(can):
        raise unsupported(name[:80])
    if values.get("n", 1) != 1:
        raise unsupported("n", "more than one answer at a time")
    tools = _tools(values)
    limit = _number(values, "max_completion_tokens", 1, 1 << 31) or _number(values, "max_tokens", 1, 1 << 31)
    options = values.get("stream_options")
    top = _number(values, "top_logprobs", 0, _MAX_TOP)
    return Ask(
        messages=_messages(values.get("messages")),
        tools=tools,
        sampling=_sampling(values),
        limit=None if limit is None else int(limit),
        stops=_stops(values.get("stop")),
        stream=_flag(values, "stream", default=False),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        logprobs=_flag(values, "logprobs", default=False),
        top=int(top or 0),
        schema=_schema(values.get("response_format"), can),
        parallel=_flag(values, "parallel_tool_calls", default=True),
    )


def unsupported(param: str, what: str = "") -> BadRequestError:
    """The refusal of what this engine cannot do."""
    text = f"This engine cannot give {what}." if what else f"This engine does not know {param}."
    return BadRequestError(text, code="unsupported", param=param, hint="Leave it out, or ask another model.")


def _wrong(param: str, wanted: str) -> BadRequestError:
    return BadRequestError(f"{param} must be {wanted}.", code="invalid_value", param=param)


def _messages(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise _wrong("messages", "a list with at least one message")
    return [_message(message, f"messages[{at}]") for at, message in enumerate(value)]


def _message(message: object, where: str) -> dict[str, Any]:
    """One message as chat templates expect it: content is text, a call's arguments are an object."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _wrong(where, "an object with a role")
    role = "system" if message["role"] == "developer" else message["role"]
    out: dict[str, Any] = {"role": role, "content": _content(message.get("content"), f"{where}.content")}
    for name in ("name", "tool_call_id", "reasoning_content"):
        if isinstance(message.get(name), str):
            out[name] = message[name]
    calls = message.get("tool_calls")
    if calls:
        if not isinstance(calls, list):
            raise _wrong(f"{where}.tool_calls", "a list")
        out["tool_calls"] = [_past_call(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(calls)]
    return out


def _content(value: object, where: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise _wrong(where, "text or a list of parts")
    texts = []
    for at, part in enumerate(value):
        if not isinstance(part, dict):
            raise _wrong(f"{where}[{at}]", "an object with a type")
        kind = part.get("type")
        text = part.get("text") if kind == "text" else part.get("refusal") if kind == "refusal" else None
        if not isinstance(text, str):
            raise unsupported(f"{where}[{at}]", "an answer to anything but text")
        texts.append(text)
    return "".join(texts)


def _past_call(call: object, where: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _wrong(where, "a call of a function")
    arguments = function.get("arguments") or "{}"
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise _wrong(f"{where}.function.arguments", "JSON") from exc
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _tools(values: dict[str, Any]) -> list[dict[str, Any]]:
    tools, choice = values.get("tools") or [], values.get("tool_choice", "auto")
    if choice not in ("auto", "none"):  # a tuple: an object cannot be looked up in a set
        raise unsupported("tool_choice", "a promise that a tool is called")
    if not isinstance(tools, list):
        raise _wrong("tools", "a list of tools")
    for at, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("type", "function") != "function":
            raise unsupported(f"tools[{at}]", "tools other than functions")
        if not isinstance(tool.get("function"), dict):
            raise _wrong(f"tools[{at}].function", "an object")
    return [] if choice == "none" else tools


def _schema(value: object, can: Collection[str]) -> str:
    kind = value.get("type", "") if isinstance(value, dict) else "text" if value is None else ""
    if kind == "text":
        return ""
    if kind not in {"json_schema", "json_object"}:
        raise _wrong("response_format", "text, json_object or json_schema")
    if "json_schema" not in can:
        raise unsupported("response_format", "JSON for sure")
    if kind == "json_object":
        return '{"type":"object"}'
    inner = value.get("json_schema") if isinstance(value, dict) else None
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        raise _wrong("response_format.json_schema.schema", "a JSON schema")
    return _encode(schema).decode()


def _sampling(values: dict[str, Any]) -> Sampling:
    bias = values.get("logit_bias") or {}
    if not isinstance(bias, dict) or len(bias) > _MAX_BIAS:
        raise _wrong("logit_bias", f"an object of at most {_MAX_BIAS} tokens")
    read_bias: dict[int, float] = {}
    for token, weight in bias.items():
        if not token.isdecimal() or len(token) > 9 or not isinstance(weight, int | float) or not -100 <= weight <= 100:
            raise _wrong("logit_bias", "token ids with numbers between -100 and 100")
        read_bias[int(token)] = float(weight)
    top_k, seed = _number(values, "top_k", 0, 1 << 20), values.get("seed")
    if seed is not None and type(seed) is not int:
        raise _wrong("seed", "a whole number")
    return Sampling(
        temperature=_number(values, "temperature", 0, 100),
        top_p=_number(values, "top_p", 0, 1),
        top_k=None if top_k is None else int(top_k),
        min_p=_number(values, "min_p", 0, 1),
        repetition_penalty=_number(values, "repetition_penalty", 0.01, 100),
        presence_penalty=_number(values, "presence_penalty", -2, 2) or 0.0,
        frequency_penalty=_number(values, "frequency_penalty", -2, 2) or 0.0,
        logit_bias=read_bias,
        seed=seed,
    )


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > _MAX_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise _wrong("stop", f"a text or at most {_MAX_STOPS} texts")
    return tuple(stops)


def _number(values: dict[str, Any], name: str, low: float, high: float) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(name, f"a number between {low:g} and {high:g}")
    return float(value)


def _flag(values: dict[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


class Reply:
    """Writes the reply to one request, in one piece or as a stream's events."""

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._model = model

    def plain(
        self, text: str, calls: list[Call], logprobs: list[Logprob] | None, finish: str, usage: tuple[int, int]
    ) -> bytes:
        """The whole reply. ``usage``: tokens of the prompt and of the answer."""
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
        if calls:
            message["tool_calls"] = [_rendered(call) for call in calls]
        choice = {"index": 0, "message": message, "logprobs": _logprobs(logprobs), "finish_reason": finish}
        return _encode(self._object("chat.completion", [choice], usage))

    def begin(self) -> bytes:
        """The event that says who speaks."""
        return self._event({"role": "assistant", "content": ""})

    def piece(self, text: str, logprobs: list[Logprob] | None) -> bytes:
        """An event with text."""
        return self._event({"content": text}, logprobs)

    def call(self, at: int, call: Call) -> bytes:
        """An event with a whole call."""
        return self._event({"tool_calls": [{"index": at, **_rendered(call)}]})

    def end(self, finish: str, usage: tuple[int, int] | None) -> bytes:
        """The last events; ``usage`` if it was asked for."""
        events = self._event({}, finish=finish)
        if usage is not None:
            events += b"data: " + _encode(self._object("chat.completion.chunk", [], usage)) + b"\n\n"
        return events + b"data: [DONE]\n\n"

    def _event(self, delta: dict[str, Any], logprobs: list[Logprob] | None = None, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": _logprobs(logprobs), "finish_reason": finish}
        return b"data: " + _encode(self._object("chat.completion.chunk", [choice], None)) + b"\n\n"

    def _object(self, kind: str, choices: list[Any], usage: tuple[int, int] | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if usage is not None:
            made["usage"] = {
                "prompt_tokens": usage[0],
                "completion_tokens": usage[1],
                "total_tokens": usage[0] + usage[1],
            }
        return made


def error_body(error: NearfarError) -> bytes:
    """An error in OpenAI's shape."""
    return _encode({"error": {"message": error.text, "type": error.type, "code": error.code, "param": error.param}})


def _rendered(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs(found: list[Logprob] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"content": [_told(p.token, p.value, p.top) for p in found], "refusal": None}


def _told(token: str, value: float, top: tuple[tuple[str, float], ...] | None) -> dict[str, Any]:
    """``bytes`` is null for a token that is only a part of a character: its bytes are not known."""
    told: dict[str, Any] = {
        "token": token,
        "logprob": max(value, -9999.0) if math.isfinite(value) else -9999.0,
        "bytes": None if "\ufffd" in token else list(token.encode()),
    }
    if top is not None:
        told["top_logprobs"] = [_told(word, number, None) for word, number in top]
    return told
