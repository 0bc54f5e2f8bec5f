"""Calls of tools in what a model wrote, for the few formats that are known; everything else stays text.

It knows no tokenizer and no request. Formats, from the chat templates of the models that brought them: Hermes and Qwen
``<tool_call>{"name", "arguments"}</tool_call>``; Mistral ``[TOOL_CALLS][{"name", "arguments"}]`` and, since 2025,
``[TOOL_CALLS]name[ARGS]{…}``; Llama 3 ``{"name", "parameters"}`` as the whole answer, with or without
``<|python_tag|>``.
"""

from __future__ import annotations

import re
import secrets
import string

import msgspec

from nearfar.engine.child_text import overlap

HERMES = "<tool_call>"
MISTRAL = "[TOOL_CALLS]"
LLAMA = "<|python_tag|>"
ARGUMENTS = "[ARGS]"
MARKS = (MISTRAL, ARGUMENTS, LLAMA, HERMES, "</tool_call>")
"""Tokens that must stay visible although some vocabularies call them special."""
# No space is looked for around what is found: that would go back over every blank line for each of them.
_HERMES_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_MISTRAL_CALL = re.compile(r"\[TOOL_CALLS\]\s*([A-Za-z0-9_.-]+)\s*\[ARGS\](.*?)(?=\[TOOL_CALLS\]|\Z)", re.DOTALL)
_ALPHABET = string.ascii_letters + string.digits


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    id: str
    name: str
    arguments: str
    """JSON."""


class _Written(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Written).decode
_decode_list = msgspec.json.Decoder(list[_Written]).decode


def known_format(template: str) -> str:
    """The format that a chat template teaches its model; empty when it is none of those known."""
    if HERMES in template:
        return HERMES
    if MISTRAL in template:
        return MISTRAL
    return LLAMA if LLAMA in template or '"parameters"' in template else ""


class ToolReader:
    """Lets text through until a call begins; from there on everything is held to the end."""

    def __init__(self, form: str) -> None:
        """``form``: one of the formats, or empty: then nothing is ever held."""
        self._form = form
        self._held = ""
        self._calling = False
        self._begun = False

    def feed(self, text: str) -> str:
        """What of the text is no call for sure."""
        if not self._form:
            return text
        self._held += text
        if self._calling:
            return ""
        if self._form == LLAMA:
            return self._feed_llama()
        at = self._held.find(self._form)
        if at >= 0:
            self._calling = True
        else:
            at = len(self._held) - overlap(self._held, self._form)
        out, self._held = self._held[:at], self._held[at:]
        return out

    def _feed_llama(self) -> str:
        """The call is the whole answer, or begins with the tag."""
        text = self._held.lstrip()
        if self._begun or not text:
            out, self._held = (self._held, "") if self._begun else ("", self._held)
            return out
        if text[0] == "{" or LLAMA.startswith(text) or text.startswith(LLAMA):
            self._calling = text[0] == "{" or text.startswith(LLAMA)
            return ""
        self._begun = True
        out, self._held = self._held, ""
        return out

    def close(self) -> tuple[str, list[Call]]:
        """(the rest of the text, the calls): one of them is empty. What cannot be read as calls is text."""
        held, self._held = self._held, ""
        if not self._calling:
            return held, []
        try:
            calls = _read(self._form, held)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return held, []
        return ("", calls) if calls else (held, [])


def _read(form: str, text: str) -> list[Call]:
    """The calls in ``text``; ValueError or DecodeError if it is not made of calls alone."""
    if form == HERMES:
        if _HERMES_CALL.sub("", text).strip():
            raise ValueError("there is text between the calls")
        return [_call(_decode(found.strip())) for found in _HERMES_CALL.findall(text)]
    if form == MISTRAL:
        if ARGUMENTS not in text:
            return [_call(found) for found in _decode_list(text.removeprefix(MISTRAL).strip())]
        if _MISTRAL_CALL.sub("", text).strip():
            raise ValueError("there is text between the calls")
        return [_call(_Written(name, msgspec.Raw(raw.strip().encode()))) for name, raw in _MISTRAL_CALL.findall(text)]
    parts = text.strip().removeprefix(LLAMA).split(";")
    try:
        return [_call(_decode(part.strip())) for part in parts]
    except msgspec.DecodeError:
        return [_call(_decode(";".join(parts).strip()))]  # the semicolon stood inside an argument


def _call(written: _Written) -> Call:
    raw = written.arguments or written.parameters or msgspec.Raw(b"{}")
    value = msgspec.json.decode(raw)
    if isinstance(value, str):  # JSON in a string, as in OpenAI's own shape
        raw, value = msgspec.Raw(value.encode()), msgspec.json.decode(value)
    if not isinstance(value, dict) or not written.name:
        raise ValueError("the arguments are no object")
    return Call(id=new_id(), name=written.name, arguments=bytes(raw).decode())


def new_id() -> str:
    """An id for a call: nine letters and digits, the only form that Mistral's templates accept."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(9))
