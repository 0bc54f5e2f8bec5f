"""How the stand-in behaves for a request: well, or in one of the ways clouds fail. It knows no socket and no dialect.

Two things combine freely: a *mode* (what happens) and the pace (``first_byte_ms``, ``chunk_ms``, ``chunks``).

| mode | what happens |
|---|---|
| `ok` | a whole answer |
| `401`, `429`, `500`, `503`, `529`, … | that status with the dialect's error body; `retry_after` adds the header |
| `cut` | the connection is reset after `after` chunks (a plain reply: halfway) |
| `close` | a clean HTTP ending after `after` chunks, but without the dialect's terminal marker |
| `half-close` | the sending side is shut after `after` chunks in the middle of the body; the stand-in still reads |
| `stall` | nothing more comes after `after` chunks; the connection stays open |
| `never` | no byte of a reply |
| `error-event` | an error object inside the stream after `after` chunks (plain: an error body with status 200) |
| `garbage` | bytes that are not HTTP, after `after` chunks (a plain reply: instead of the head) |
| `invalid-json` | HTTP as it should be, JSON that is not, after `after` chunks |
| `corrupt` | an event with one wrong bit, after `after` chunks: for dialects with checksums |
| `huge` | `size` bytes in one plain reply or in one single stream event |
| `empty` | status 200 without a body |
| `redirect` | 307 to another path of the stand-in, which counts who follows |
| `reset` | the connection is reset instead of a reply |
| `slow-head`, `slow-first` | `first_byte_ms` pass inside the head; between the head and the first piece |
| `http10`, `http10-cut` | a reply of HTTP/1.0, ended by the connection; the second after `after` chunks |
| `no-last-chunk` | all is said, and the connection closes without HTTP's last chunk |
| `cut-character`, `cut-event` | after `after` chunks a reset inside a character; HTTP's proper end inside an event |
| `gzip`, `huge-head`, `html` | a compressed body; a header of 100 kB; a page of HTML with status 200 |
| `wrong-model`, `prompt-cut` | another model's name in the reply; 12 tokens of prompt counted |
| `one-at-a-time` | a second request with this mode resets the first one's connection |
| `crlf`, `comments`, `together`, `in-pieces`, `no-marker` | the usual stream in other bytes (shapes.py) |
| `usage-never`, `reasoning`, `unknown-fields` | the same, in OpenAI's, Gemini's and Bedrock's dialect |
| `no-finish`, `usage-early`, `empty-choices`, `tool-in-pieces`, `parallel-tools` | in OpenAI's dialect alone |
"""

from __future__ import annotations

import email.utils
from typing import Literal

import msgspec

from nearfar.standin.shapes import STREAMS

_NAMED = frozenset(
    {
        "ok",
        "cut",
        "close",
        "half-close",
        "stall",
        "never",
        "error-event",
        "garbage",
        "invalid-json",
        "corrupt",
        "huge",
        "empty",
        "redirect",
        "reset",
        "slow-head",
        "slow-first",
        "http10",
        "http10-cut",
        "no-last-chunk",
        "cut-character",
        "cut-event",
        "gzip",
        "huge-head",
        "html",
        "wrong-model",
        "prompt-cut",
        "one-at-a-time",
        *STREAMS,
    }
)
WHOLE = frozenset({"ok", "slow-first", "http10", "no-last-chunk", "wrong-model", "prompt-cut", "one-at-a-time"})
"""Modes in which all of the usual answer is said."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to answer. Times are in milliseconds, ``retry_after`` in seconds, ``size`` in bytes."""

    mode: str = "ok"
    after: int = 3
    """Chunks sent before the mode strikes."""
    times: int | None = None
    """Requests it lasts when set as the standing behaviour; afterwards `ok` returns. None: until changed."""
    first_byte_ms: float = 0
    chunk_ms: float = 0
    chunks: int | None = None
    """Exactly so many chunks of text instead of the usual answer."""
    says: tuple[str, ...] = ()
    """These pieces of text instead of the usual answer."""
    logprob: float = -0.1
    """Log-probability of each piece, where a request in OpenAI's dialect asks for them."""
    retry_after: float | None = None
    retry_after_form: Literal["seconds", "ms", "date"] = "seconds"
    size: int = 64 * 1024 * 1024
    error: str = ""
    """The words of an error; unset: the stand-in's own."""
    html: bool = False
    """The error's body is a page of HTML."""
    remaining: int | None = None
    """Requests that are left, as OpenAI's headers of limits tell it, in every reply."""
    limit: int | None = None
    reset: str = ""
    """When they are whole again, as such a header says it."""

    def __post_init__(self) -> None:
        if self.status is None and self.mode not in _NAMED:
            raise ValueError(f"unknown mode {self.mode!r}: use a status from 400 to 599 or {', '.join(sorted(_NAMED))}")
        for name in ("after", "first_byte_ms", "chunk_ms", "chunks", "retry_after", "size", "times"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative")

    @property
    def status(self) -> int | None:
        """The HTTP status asked for by a numeric mode; None for a named one."""
        known = self.mode.isascii() and self.mode.isdecimal() and "400" <= self.mode <= "599"
        return int(self.mode) if known and len(self.mode) == 3 else None

    def limit_headers(self) -> list[tuple[str, str]]:
        """The headers that tell what is left of a limit."""
        said = {"remaining": self.remaining, "limit": self.limit, "reset": self.reset or None}
        return [(f"x-ratelimit-{name}-requests", str(value)) for name, value in said.items() if value is not None]

    def retry_headers(self, now: float) -> list[tuple[str, str]]:
        """The header that says when to come back, in the form asked for. ``now``: seconds since the epoch."""
        if self.retry_after is None:
            return []
        if self.retry_after_form == "ms":
            return [("retry-after-ms", f"{self.retry_after * 1000:.0f}")]
        if self.retry_after_form == "date":
            # A date means something beside the reply's own, whatever the reader's clock says.
            return [
                ("date", email.utils.formatdate(now, usegmt=True)),
                ("retry-after", email.utils.formatdate(now + self.retry_after, usegmt=True)),
            ]
        return [("retry-after", f"{self.retry_after:g}")]


def parse(data: bytes | str) -> Behaviour:
    """Behaviour from JSON such as ``{"mode": "cut", "after": 5}``. Raises ValueError with what is wrong."""
    try:
        return msgspec.json.decode(data, type=Behaviour)
    except msgspec.DecodeError as exc:
        raise ValueError(f"not a behaviour: {exc}") from exc
