"""What a deployment really can do: fixed, harmless questions, and what their answers prove.

It asks through a session: every question goes the way of every request, through policy and pipeline into the ledger
(purpose ``probe``). A "no" needs a refusal or an answer that ignores what was asked; a weak answer settles nothing.
"""

from __future__ import annotations

import msgspec

from nearfar.cli.answer import deployment as answered_by
from nearfar.cli.question import message
from nearfar.cli.session import Session, Turn
from nearfar.core.errors import BadRequestError, ContextTooLong, NearfarError, UnprocessableEntityError

PURPOSE = "probe"
CLASS = "public"
WORDS = 1200
"""Words of the long prompt: more than the smallest context that runtimes silently cut to, were it 1,024 tokens."""

_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "number": {"type": "integer"}},
    "required": ["city", "number"],
    "additionalProperties": False,
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried."""

    what: str
    can: bool | None
    """None when the trial did not settle it."""
    detail: str
    """What was seen. It holds nothing of any answer."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was tried of one deployment."""

    deployment: str
    """Who answered: of a route, its first that did."""
    first: Turn
    verdicts: list[Verdict]


def run(session: Session, name: str, *, quick: bool = False) -> Trial:
    """Try the deployment or route ``name``; raises the error of the first question, if that one fails already."""
    first = _ask(session, name, "Answer with one word: ready?", 16)
    deployment = answered_by(first.headers, name)
    verdicts = [_streams(first), _counts(first)]
    if not quick:
        verdicts += [*_calls_tools(session, deployment), _follows_schema(session, deployment)]
        verdicts += [_takes_long_prompt(session, deployment), _stops(session, deployment, first)]
    return Trial(deployment=deployment, first=first, verdicts=verdicts)


def _ask(session: Session, name: str, text: str, limit: int, **more: object) -> Turn:
    return session.ask(_body(name, text, limit, **more), class_=CLASS, show=lambda _: None, purpose=PURPOSE)


def _body(name: str, text: str, limit: int, **more: object) -> dict[str, object]:
    return {
        "model": name,
        "messages": [message("user", text)],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": limit,
        **more,
    }


def _streams(turn: Turn) -> Verdict:
    told = turn.headers.get("x-nearfar-deviations", "")
    can = "adapted:stream" not in told
    return Verdict(what="streaming", can=can, detail="came as a stream" if can else "came as one body")


def _counts(turn: Turn) -> Verdict:
    can = turn.answer.input is not None and turn.answer.output is not None
    return Verdict(what="stream_usage", can=can, detail="tokens were reported" if can else "no tokens were reported")


def _calls_tools(session: Session, name: str) -> list[Verdict]:
    """Told to call a tool; and if it may not be told, whether it calls one by itself."""
    text = "What is the weather in Taipei? Use the tool."
    try:
        turn = _ask(session, name, text, 256, tools=[_TOOL], tool_choice="required")
    except NearfarError as error:
        if not _refused(error):
            return [_unasked("tools", error), _unasked("tool_choice", error)]
        choice = Verdict(what="tool_choice", can=False, detail=f"refused: {error.code}")
        try:
            turn = _ask(session, name, text, 256, tools=[_TOOL])
        except NearfarError as again:
            refused = _refused(again)
            tools = Verdict(what="tools", can=False, detail=f"refused: {again.code}")
            return [tools if refused else _unasked("tools", again), choice]
        return [_called(turn), choice]
    called = _called(turn)
    if called.can:
        return [called, Verdict(what="tool_choice", can=True, detail="called when it was told to")]
    if turn.answer.finish == "length":
        return [called, Verdict(what="tool_choice", can=None, detail="the answer was cut before it was clear")]
    return [called, Verdict(what="tool_choice", can=False, detail="was told to call and answered in words")]


def _called(turn: Turn) -> Verdict:
    for name, arguments in turn.answer.calls.values():
        if name == "get_weather" and isinstance(_json(arguments), dict):
            return Verdict(what="tools", can=True, detail="called the tool with arguments in JSON")
    if turn.answer.calls:
        return Verdict(what="tools", can=None, detail="called something, but not as it was described")
    return Verdict(what="tools", can=None, detail="accepted tools and called none")


def _follows_schema(session: Session, name: str) -> Verdict:
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA, "strict": True}}
    try:
        turn = _ask(session, name, "Name a city and a number.", 256, response_format=shape)
    except NearfarError as error:
        if _refused(error):
            return Verdict(what="json_schema", can=False, detail=f"refused: {error.code}")
        return _unasked("json_schema", error)
    value = _json(turn.text)
    good = isinstance(value, dict) and value.keys() == {"city", "number"} and isinstance(value["city"], str)
    if good:
        return Verdict(what="json_schema", can=True, detail="followed the schema")
    if turn.answer.finish == "length":
        return Verdict(what="json_schema", can=None, detail="the answer was cut before it was clear")
    return Verdict(what="json_schema", can=False, detail="answered without following the schema")


def _takes_long_prompt(session: Session, name: str) -> Verdict:
    """Whether a long prompt is counted whole: runtimes that cut it silently report fewer tokens than it has words."""
    text = " ".join(f"{number % 10} and" for number in range(WORDS // 2)) + " so on. Answer with one word: ready?"
    try:
        turn = _ask(session, name, text, 16)
    except NearfarError as error:
        if error.code == ContextTooLong.default_code:
            return Verdict(what="long_prompt", can=False, detail=f"{WORDS} words do not fit its context")
        return _unasked("long_prompt", error)
    counted = turn.answer.input
    if counted is None:
        return Verdict(what="long_prompt", can=None, detail="no tokens were reported")
    if counted < WORDS:
        return Verdict(what="long_prompt", can=False, detail=f"{WORDS} words were counted as {counted} tokens: cut")
    return Verdict(what="long_prompt", can=True, detail=f"{WORDS} words, {counted} tokens")


def _stops(session: Session, name: str, first: Turn) -> Verdict:
    """Whether a stream that nobody reads any more keeps the next question waiting."""
    try:
        left = session.leave(_body(name, "Count from 1 to 500.", 1000), class_=CLASS, purpose=PURPOSE)
        if not left:
            return Verdict(what="cancel", can=None, detail="the answer was over before it could be left")
        after = _ask(session, name, "Answer with one word: ready?", 16)
    except NearfarError as error:
        return _unasked("cancel", error)
    detail = f"the next answer took {after.milliseconds:.0f} ms, the first {first.milliseconds:.0f} ms"
    quick = after.milliseconds <= 3 * first.milliseconds + 500
    return Verdict(what="cancel", can=True if quick else None, detail=detail)


def _refused(error: NearfarError) -> bool:
    """Whether the deployment said that it cannot do this, and not merely that it cannot now."""
    return isinstance(error, BadRequestError | UnprocessableEntityError) and error.code != ContextTooLong.default_code


def _unasked(what: str, error: NearfarError) -> Verdict:
    return Verdict(what=what, can=None, detail=f"could not be tried: {error.code}")


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
