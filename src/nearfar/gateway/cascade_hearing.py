"""Hears a reply that is held to be judged: its words, how it ended, how probable its tokens were. It knows no wire."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from nearfar.core.chat import Chunk, Finish, LogprobsDelta, RefusalDelta, TextDelta, ToolCallDelta
from nearfar.core.errors import UpstreamError
from nearfar.policy.cascade import Answer

MOST = 8 * 1024 * 1024
"""Bytes of a reply that are held to be judged."""
_TOKENS = 20_000
"""Log-probabilities that are kept; more change no quantile."""
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
"""Models that think aloud do so at the beginning."""


class _Top(msgspec.Struct, frozen=True):
    logprob: float | None = None


class _Token(msgspec.Struct, frozen=True):
    logprob: float | None = None
    top_logprobs: tuple[_Top, ...] | None = None


class _Logprobs(msgspec.Struct, frozen=True):
    content: tuple[_Token, ...] | None = None


_decode = msgspec.json.Decoder(_Logprobs).decode


class Hearing:
    """Hears one reply. ``refused`` and ``calls`` tell what it holds besides words."""

    def __init__(self, *, strips: bool = False) -> None:
        """``strips``: log-probabilities were not asked for by the client, who is not to see them."""
        self.changes = strips
        self._texts: list[str] = []
        self._finish = ""
        self._logprobs: list[float] = []
        self._margin: float | None = None
        self._calls: dict[int, list[str]] = {}
        self._size = 0

    def hear(self, chunks: Sequence[Chunk]) -> None:
        """Remember what matters of ``chunks``. Raises UpstreamError, ``reply_too_long``, for what cannot be held."""
        for chunk in chunks:
            self._size += len(chunk.raw)
            if self._size > MOST:
                raise UpstreamError(f"The reply has more than {MOST} bytes, too many to judge.", code="reply_too_long")
            for event in chunk.events:
                if isinstance(event, TextDelta | RefusalDelta):
                    self._texts.append(event.text)
                elif isinstance(event, Finish):
                    self._finish = event.reason
                elif isinstance(event, LogprobsDelta):
                    self._weigh(event.raw)
                elif isinstance(event, ToolCallDelta):
                    self._calls.setdefault(event.call, []).append(event.arguments)
            if self.changes:
                chunk.events = tuple(event for event in chunk.events if not isinstance(event, LogprobsDelta))

    def _weigh(self, raw: msgspec.Raw) -> None:
        try:
            tokens = _decode(raw).content or ()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # a server's oddity: nothing is known then
        if tokens and not self._logprobs:
            tops = sorted(
                (top.logprob for top in tokens[0].top_logprobs or () if top.logprob is not None), reverse=True
            )
            if len(tops) > 1:
                self._margin = tops[0] - tops[1]
        room = _TOKENS - len(self._logprobs)
        self._logprobs += [token.logprob for token in tokens[:room] if token.logprob is not None]

    @property
    def calls(self) -> bool | None:
        """Whether the tools that it calls get arguments that can be read; None where it calls none."""
        if self._finish == "function_call":
            return True  # the older form, which has no events: whoever speaks it reads it
        return all(map(_is_object, self._calls.values())) if self._calls else None

    def answer(self) -> Answer:
        """What was said, without the thinking aloud before it."""
        text = _THOUGHT.sub("", "".join(self._texts)).strip()
        return Answer(text=text, finish=self._finish, logprobs=tuple(self._logprobs), margin=self._margin)


def _is_object(pieces: list[str]) -> bool:
    try:
        return isinstance(msgspec.json.decode("".join(pieces) or "{}"), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
