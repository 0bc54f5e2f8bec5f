"""Reads the gateway's chat stream piece by piece: text to show, counts, and whether it ended as it should.

It does not know where the bytes come from: a socket, or a gateway in this process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from nearfar.core.errors import InternalServerError, NearfarError, StreamCut

DEVIATIONS = "x-nearfar-deviations"
COST = "x-nearfar-cost-usd"
UNKNOWN = "unknown"
"""The cost of what has no known price."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Top(msgspec.Struct):
    logprob: float | None = None


class _Token(msgspec.Struct):
    logprob: float | None = None
    top_logprobs: list[_Top] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Error(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Error | None = None
    model: str = ""


class Answer:
    """One streamed answer. ``feed`` what comes, then ``close``; only a stream that says ``[DONE]`` closes clean."""

    def __init__(self) -> None:
        self.text = ""
        self.finish = ""
        self.model = ""
        self.input: int | None = None
        """Input tokens as the upstream reported them; None when it did not."""
        self.output: int | None = None
        self.calls: dict[int, tuple[str, str]] = {}
        """Tool calls by their number: name and arguments as far as they came."""
        self.logprobs: list[float] = []
        """Of its tokens, where they were asked for."""
        self.margin: float | None = None
        """Log-probability of the first token less that of the runner-up."""
        self.done = False
        self.told: dict[str, str] = {}
        """What the gateway said beside the stream, by header name: what it could not know when it sent the headers."""
        self._before = ""
        """What had been told under the name of the last part."""
        self._rest = b""
        self._decode = msgspec.json.Decoder(_Event).decode

    def feed(self, data: bytes) -> str:
        """The visible text that ``data`` completes. Raises the gateway's error if it sent one in the stream."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b": x-nearfar-"):
                self._note(line[2:].decode("ascii", "replace"))
        return "".join([self._line(line) for line in lines if line.startswith(b"data:")])

    def _note(self, text: str) -> None:
        for part in re.split(r"; (?=x-nearfar-)", text.strip()):
            name, _, value = part.partition(": ")
            if name == f"{DEVIATIONS}-encoded":
                # It says in full what the part before it could only say in ASCII.
                name, value, before = DEVIATIONS, unquote(value), self._before
            else:
                before = self.told.get(name, "")
                self._before = before
            self.told[name] = f"{before}, {value}" if before and name == DEVIATIONS else value

    def close(self) -> None:
        """The stream is over; raises StreamCut when its end was missing."""
        if not self.done:
            raise StreamCut(
                "The answer broke off: its end never came.", hint="What was shown is incomplete. Ask again."
            )

    def _line(self, line: bytes) -> str:
        payload = line[5:].strip()
        if payload == b"[DONE]":
            self.done = True
            return ""
        try:
            event = self._decode(payload)
        except msgspec.DecodeError as error:
            raise InternalServerError("The gateway sent an event that is not a chat chunk.") from error
        if event.error is not None:
            raise NearfarError(event.error.message or "The stream ended with an error.", code=str(event.error.code))
        if event.usage is not None:
            self.input, self.output = event.usage.prompt_tokens, event.usage.completion_tokens
        self.model = event.model or self.model
        shown = ""
        for choice in event.choices:
            shown += (choice.delta.content or "") + (choice.delta.refusal or "")
            for call in choice.delta.tool_calls or ():
                name, arguments = self.calls.get(call.index, ("", ""))
                made = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
                self.calls[call.index] = made
            self.finish = choice.finish_reason or self.finish
            if choice.logprobs is not None:
                self._weigh(choice.logprobs.content or [])
        self.text += shown
        return shown

    def _weigh(self, tokens: list[_Token]) -> None:
        if tokens and not self.logprobs:
            tops = [top.logprob for top in tokens[0].top_logprobs or () if top.logprob is not None]
            best, *others = sorted(tops, reverse=True) or [0.0]
            self.margin = best - others[0] if others else None
        self.logprobs += [token.logprob for token in tokens if token.logprob is not None]


def together(headers: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    """What the headers said and what came later, which knows better; deviations add up."""
    deviations = ", ".join(filter(None, (whole(headers, DEVIATIONS), told.get(DEVIATIONS))))
    both = {name: value for name, value in {**headers, **told}.items() if name != f"{DEVIATIONS}-encoded"}
    return {**both, **({DEVIATIONS: deviations} if deviations else {})}


def facts(answer: Answer, headers: Mapping[str, str], milliseconds: float) -> dict[str, object]:
    """What happened, by name; what is not known is None."""
    return {
        "request": headers.get("x-nearfar-request", ""),
        "route": whole(headers, "x-nearfar-route"),
        "deployment": deployment(headers, ""),
        "place": headers.get("x-nearfar-place", ""),
        "class": headers.get("x-nearfar-class", ""),
        "reason": whole(headers, "x-nearfar-reason"),
        "attempts": int(headers.get("x-nearfar-attempts", "0") or 0),
        "deviations": [item.strip() for item in whole(headers, DEVIATIONS).split(",") if item.strip()],
        "model": answer.model,
        "finish_reason": answer.finish,
        "input_tokens": answer.input,
        "output_tokens": answer.output,
        "cost_usd": _usd(headers),
        "milliseconds": round(milliseconds, 1),
    }


def deployment(headers: Mapping[str, str], unsaid: str) -> str:
    """Who answered, by its whole name."""
    return whole(headers, "x-nearfar-deployment") or unsaid


def whole(headers: Mapping[str, str], name: str) -> str:
    """What the header ``name`` says: it holds only ASCII, so a second one carries the others' letters."""
    return unquote(headers.get(f"{name}-encoded", "")) or headers.get(name, "")


def summary(answer: Answer, headers: Mapping[str, str], milliseconds: float) -> str:
    """One line of what happened: where it ran, why, tokens, cost, time, and every deviation."""
    where = deployment(headers, "?")
    parts = [
        f"{where} ({headers.get('x-nearfar-place', '?')})",
        whole(headers, "x-nearfar-reason"),
        f"{_count(answer.input)} → {_count(answer.output)} tokens",
        _cost(headers),
        f"{milliseconds:,.0f} ms",
    ]
    if deviations := whole(headers, DEVIATIONS):
        parts.append(f"deviations: {deviations}")
    if answer.finish == "length":
        parts.append("cut at the output limit")
    return " · ".join(part for part in parts if part)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _usd(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers[COST])
    except (KeyError, ValueError):
        return None


def _cost(headers: Mapping[str, str]) -> str:
    usd = _usd(headers)
    if usd is not None:
        return f"${usd:.6f}"
    return "cost unknown" if headers.get(COST) == UNKNOWN else "cost: in the ledger"
