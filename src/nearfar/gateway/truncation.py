"""The truncation guard: whether a runtime read less of a prompt than was sent. Pure; it asks nobody.

Local runtimes cut prompts that do not fit and say nothing. What they report afterwards gives them away: fewer tokens
than the text can possibly have. A least count is needed for that, not the estimate, which is on the high side.

Tokenizers split text into words first and words into tokens, so a word of letters or digits is one token at least.
Chinese, Japanese and Korean are written without spaces; over a whole text common vocabularies need at least one token
for two such characters: single tokens hold more, but few of them follow each other. The words of a chat's template,
tools and pictures come on top and are not counted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from nearfar.core.chat import Request, Usage

SURE = 0.75
"""Below this part of the least count a prompt was cut; above it, the runtime may count or write templates otherwise."""
LOW = 0.5
"""Below this part of the estimate it is worth looking at the text: English is usually at 0.7 of it."""
WORTH = 256
"""Tokens at least: a shorter prompt fits every context."""
WIDE_PER_TOKEN = 2
TRUNCATED = "truncated"

_SPEAKING = ("messages", "prompt", "system", "input", "instructions", "contents", "systemInstruction")
"""Members of requests, in any dialect, that hold what a model reads."""

_SILENT = frozenset(
    {
        *("data", "images", "url", "image_url", "input_audio", "file", "file_data", "source", "inlineData"),
        *(
            "signature",
            "thoughtSignature",
            "encrypted_content",
            "tool_calls",
            "arguments",
            "id",
            "call_id",
            "type",
            "role",
        ),
        # Templates leave out the reasoning of earlier turns.
        *("reasoning", "reasoning_content", "thinking", "thinking_blocks"),
    }
)
"""Members in them that hold none, or that templates rewrite."""

# Letters and digits without those of languages that put no spaces between words: Thai and its neighbours, Chinese,
# Japanese and Korean.
_WORD = r"[^\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
_WIDE = r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"


class _Patterns(NamedTuple):
    """Compiled when the first prompt is suspected: at the start that would be a part of the time until readiness."""

    word: re.Pattern[str]
    data: re.Pattern[str]
    """A run longer than 64 characters is no word but data, such as base64, which a template may leave out."""
    wide: re.Pattern[str]


@functools.cache
def _patterns() -> _Patterns:
    return _Patterns(re.compile(_WORD + "+"), re.compile(_WORD + "{65,}"), re.compile(_WIDE))


def least_tokens(text: str) -> int:
    """Tokens that ``text`` has at least, in any common vocabulary.

    >>> least_tokens("three plain words"), least_tokens("四個漢字")
    (3, 2)
    """
    patterns = _patterns()
    words = len(patterns.word.findall(text)) - len(patterns.data.findall(text))
    return words + len(patterns.wide.findall(text)) // WIDE_PER_TOKEN


def least_input(fields: Mapping[str, msgspec.Raw]) -> int:
    """Tokens that a request's prompt has at least. ``fields``: its top-level members, in any dialect."""
    texts: list[str] = []
    for name in _SPEAKING:
        if name in fields:
            _gather(msgspec.json.decode(fields[name]), texts)
    return sum(map(least_tokens, texts))


def _gather(value: object, texts: list[str]) -> None:
    rest = [value]
    while rest:
        found = rest.pop()
        if isinstance(found, str):
            texts.append(found)
        elif isinstance(found, list):
            rest += found
        elif isinstance(found, dict):
            rest += [item for name, item in found.items() if name not in _SILENT]


def suspicious(request: Request, usage: Usage | None) -> int:
    """The least count of tokens when the reported count is below what it can be; 0 when there is nothing to suspect.

    Cheap for prompts that were read: the text is only looked at when the report is low beside the estimate.
    """
    read = None if usage is None else usage.input
    if read is None or request.input_tokens < WORTH or read >= request.input_tokens * LOW:
        return 0
    least = least_input(request.fields)
    return least if least >= WORTH and read < least * SURE else 0


def was_cut(least: int, room: int | None) -> bool:
    """Whether a suspicious prompt was cut. ``room``: tokens of context the model is loaded with, None if nobody says.

    Some versions of Ollama leave tokens out of their report that were in their cache. With room for all of them, a
    low report means that.
    """
    return room is None or room < least
