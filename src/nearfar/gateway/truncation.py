"""The truncation guard: whether a runtime read less of a prompt than was sent. Pure; it asks nobody.

Local runtimes cut prompts that do not fit and say nothing. What they report afterwards gives them away: fewer tokens
than the text can possibly have. A least count is needed for that, not the estimate, which is on the high side.

Tokenizers split text into words first and words into tokens, so a word of letters or digits is one token at least.
Chinese, Japanese and Korean are written without spaces; over a whole text common vocabularies need at least one token
for two such characters: single tokens hold more, but few of them follow each other. The words of a chat's template,
tools and pictures come on top and are not counted.
"""

from __future__ import annotations

import asyncio
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
LARGE = 64 * 1024
"""Bytes of body from which on the text is counted beside the event loop."""
PIECE = 16 * 1024
"""Characters of a text looked at in one go: a search in C lets nobody else run, also in a thread."""
_LONGEST_WORD = 64
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
    wide: re.Pattern[str]
    """A run of characters that are written without spaces."""
    blanks: bytes
    """For ``bytes.translate``: what is no letter or digit of ASCII becomes a space. Ten times quicker than a search."""


@functools.cache
def _patterns() -> _Patterns:
    blanks = bytes(code if code < 128 and chr(code).isalnum() else 32 for code in range(256))
    return _Patterns(re.compile(_WORD + "+"), re.compile(_WIDE + "+"), blanks)


def least_tokens(text: str, piece: int = PIECE) -> int:
    """Tokens that ``text`` has at least, in any common vocabulary.

    >>> least_tokens("three plain words"), least_tokens("四個漢字")
    (3, 2)
    """
    words = wide = cuts = start = 0
    while start < len(text):
        end = start + piece
        if end < len(text):
            # Between two words where there is a space: in texts without any a cut word counts once, not twice.
            space = text.rfind(" ", start, end)
            end, cuts = (space + 1, cuts) if space > start else (end, cuts + 1)
        more, broad = _counted(text[start:end])
        words, wide, start = words + more, wide + broad, end
    return max(0, words - cuts) + wide // WIDE_PER_TOKEN


def _counted(text: str) -> tuple[int, int]:
    """(words, characters written without spaces). A run of 65 or more is no word but data, such as base64."""
    patterns = _patterns()
    if text.isascii():
        found: list[bytes] | list[str] = text.encode().translate(patterns.blanks).split()
        wide = 0
    else:
        found = patterns.word.findall(text)
        wide = sum(map(len, patterns.wide.findall(text)))
    words = len(found)
    if words and max(map(len, found)) > _LONGEST_WORD:
        words -= sum(len(word) > _LONGEST_WORD for word in found)
    return words, wide


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


async def suspicious(request: Request, usage: Usage | None) -> int:
    """The least count of tokens when the reported count is below what it can be; 0 when there is nothing to suspect.

    Cheap for prompts that were read: the text is only looked at when the report is low beside the estimate.
    """
    read = None if usage is None else usage.input
    if read is None or request.input_tokens < WORTH or read >= request.input_tokens * LOW:
        return 0
    if len(request.body) > LARGE:
        least = await asyncio.to_thread(least_input, request.fields)
    else:
        least = least_input(request.fields)
    return least if least >= WORTH and read < least * SURE else 0


def was_cut(least: int, room: int | None) -> bool:
    """Whether a suspicious prompt was cut. ``room``: tokens of context the model is loaded with, None if nobody says.

    Some versions of Ollama leave tokens out of their report that were in their cache. With room for all of them, a
    low report means that.
    """
    return room is None or room < least
