"""Findings → masked texts. It finds nothing itself; which kinds are masked is the policy's word.

What it makes is read back before it is used: a mask that would not be restored where it stands (inside a URL, a tag, a
key) grows until it is, to the word, the line, at last the whole text. So restoring what was masked gives exactly what
came (of JSON text: JSON that says the same, because a value that was escaped in it is kept as what it means). A value
found anywhere is masked wherever else it stands, also where nobody found it, and where it is written in another width,
case or spacing, or escaped. Whatever cannot be masked raises MaskingFailed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from nearfar.core.conversation import Conversation
from nearfar.core.errors import MaskingFailed
from nearfar.privacy import mask_form, vault_escapes, walk, walk_conversation
from nearfar.privacy.findings import Finding
from nearfar.privacy.restore import Report
from nearfar.privacy.restore_json import AnyEngine
from nearfar.privacy.vault import LITERAL, Vault
from nearfar.privacy.vault_check import Needles
from nearfar.privacy.walk import FIXED, TEXT, Spot

GROWN = "passage"
"""The kind of a mask that had to grow."""
_WORD = re.compile(r"[^ \t\n\v\f\r<>]*")
_LEVELS = 3
_TELLING = re.compile(
    r"[/\uff0f\\?#&<\[\]{_\uff3f\u3010\u301a\u27e6\u27e7\uff1c]|www\.|mailto:|javascript:", re.IGNORECASE
)
"""Without any of these a text holds no URL, no tag, no link, and nothing that looks like a mask."""
_RUN = re.compile(r"[\w\-]{0,63}")
_HOST = re.compile(r"[.@\uff0e\uff20]\w")


class Spots(NamedTuple):
    """What a request says, in its order."""

    spots: list[Spot]
    media: list[str]
    """Paths of what is no text and cannot be masked."""

    @property
    def first(self) -> str:
        """The first words of the user: by them a conversation is known (``vault.identity``)."""
        return next((spot.text for spot in self.spots if spot.by == "user" and spot.form == TEXT), "")


class _Span(NamedTuple):
    start: int
    end: int
    kind: str


def spots(request: bytes | Conversation) -> Spots:
    """Every text of a body or a Conversation. Raises MaskingFailed for what cannot be walked."""
    found = Spots([], [])

    def see(spot: Spot) -> str:
        found.spots.append(spot)
        return spot.text

    if isinstance(request, bytes):
        walk.body(request, see, found.media)
    else:
        walk_conversation.conversation(request, see, found.media)
    return found


def mask_body(body: bytes, texts: Sequence[str]) -> bytes:
    """``body`` with ``texts``, one for each of its spots."""
    return walk.body(body, _replay(texts), [])


def mask_conversation(conversation: Conversation, texts: Sequence[str]) -> Conversation:
    """``conversation`` with ``texts``, one for each of its spots."""
    return walk_conversation.conversation(conversation, _replay(texts), [])


def _replay(texts: Sequence[str]) -> Callable[[Spot], str]:
    following = iter(texts)

    def say(spot: Spot) -> str:  # noqa: ARG001 - a visitor gets the spot
        return next(following)

    return say


def mask(
    given: Sequence[Spot], findings: Sequence[Sequence[Finding]], vault: Vault, *, kinds: frozenset[str] | None = None
) -> list[str]:
    """The texts of ``given`` with masks, one each. ``findings``: those of each spot; ``kinds``: None for all.

    Raises MaskingFailed for a private value where no mask can stand, and for findings outside of their text.
    """
    found = [
        _merge([_checked(spot.text, item) for item in items if kinds is None or item.kind in kinds])
        for spot, items in zip(given, findings, strict=True)
    ]
    for spot, spans in zip(given, found, strict=True):
        if spans and spot.form == FIXED:
            raise _unmaskable(spot, spans[0].kind)
        for span in spans:
            vault.word(spot.text[span.start : span.end], span.kind)
    if not len(vault):
        return [spot.text for spot in given]
    needles = Needles(vault.private)
    return [_one(spot, spans, vault, needles) for spot, spans in zip(given, found, strict=True)]


def mask_text(text: str, findings: Sequence[Finding], vault: Vault, *, kinds: frozenset[str] | None = None) -> str:
    """One text alone."""
    return mask([Spot("", text)], [findings], vault, kinds=kinds)[0]


def _checked(text: str, item: Finding) -> _Span:
    if not 0 <= item.start < item.end <= len(text):
        message = (
            f"Detector {item.detector!r} found something from {item.start} to {item.end} of {len(text)} characters."
        )
        raise MaskingFailed(message)
    return _Span(item.start, item.end, item.kind)


def _merge(spans: Sequence[_Span]) -> list[_Span]:
    """In order, without overlaps; what overlaps becomes one, of the kind of its longest part."""
    merged: list[_Span] = []
    longest = 0
    for span in sorted(spans):
        size = span.end - span.start
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
            longest = size
            continue
        last = merged[-1]
        merged[-1] = _Span(last.start, max(last.end, span.end), span.kind if size > longest else last.kind)
        longest = max(longest, size)
    return merged


def _unmaskable(spot: Spot, kind: str) -> MaskingFailed:
    return MaskingFailed(
        f"{spot.path} holds a private value ({kind}) where no mask can stand.",
        hint="Move it into a text, or let the request run near.",
    )


def _one(spot: Spot, spans: list[_Span], vault: Vault, needles: Needles) -> str:
    text = spot.text
    if spot.form != TEXT:
        if not spans and not needles.spans(text) and not needles.escaped(text):
            return text
        if spot.form == FIXED:
            # Only what was found there is private for certain.
            return text if walk.is_protocol(spot) else _refuse(spot)
        return vault.word(text, spans[0].kind if spans else "identifier", private=False)
    also = needles.exact(text) + needles.escaped(text)
    if also:
        spans = _merge([*spans, *(_Span(start, end, "") for start, end in also)])
    if spot.by != "model":
        # Only the model may write masks that live: others would have theirs restored.
        literals = _literals(text, vault)
        spans = _merge([*spans, *literals]) if literals else spans
    # Other spellings; and what stood in a longer word stands alone beside a mask.
    while more := needles.spans(_blanked(text, spans) if spans else text):
        spans = _merge([*spans, *(_Span(start, end, "") for start, end in more)])
    return _masked(text, spans, vault, alive=spot.by == "model") if spans else text


def _blanked(text: str, spans: Sequence[_Span]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end, _ in spans:
        pieces += (text[done:start], "\0" * (end - start))
        done = end
    return "".join((*pieces, text[done:]))


def _refuse(spot: Spot) -> str:
    raise _unmaskable(spot, "found elsewhere in the request")


def _literals(text: str, vault: Vault) -> list[_Span]:
    return [
        _Span(found.start(), found.end(), LITERAL)
        for found in mask_form.finds(text)
        if vault.value(mask_form.word(found)) is not None
    ]


def _masked(text: str, spans: list[_Span], vault: Vault, *, alive: bool) -> str:
    """``text`` with masks that come back as what they were. ``alive``: masks that stand in it already are left so."""
    if _simple(text, spans):
        return _put(text, spans, vault)[0]
    aim = _read(text, vault)[0] if alive else text
    same = _json(aim) if any("\\" in text[span.start : span.end] for span in spans) else None
    for level in range(1, _LEVELS + 1):
        out, places = _put(text, spans, vault, escaped=same is not None)
        back, restored = _read(out, vault)
        if back == aim or (same is not None and _json(back) == same):
            return out
        lost = [index for index, at in enumerate(places) if at not in restored]
        # Where all came back and yet something else did too, it stands beside one of them.
        grow = lost or range(len(spans))
        spans = _merge([_grown(text, span, level) if index in grow else span for index, span in enumerate(spans)])
    return _put(text, [_Span(0, len(text), GROWN)], vault)[0]


def _simple(text: str, spans: Sequence[_Span]) -> bool:
    """Whether masks for ``spans`` come back for certain: there is nothing that could keep one from being restored.

    It need not be right about what is not simple: that is read back.
    """
    if _TELLING.search(text) is not None:
        return False
    following = len(text) + 2
    for start, end, _ in reversed(spans):
        # A host name could begin with the mask: a word, a dot, and more, be it another mask.
        run = _RUN.match(text, end)
        assert run is not None  # it may be empty
        if run.end() + 1 >= following or run.end() - end == 63 or _HOST.match(text, run.end()) is not None:
            return False
        following = start
    return True


def _json(text: str) -> bytes | None:
    """``text`` in one spelling of what it says; None when it is no JSON object or list."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return msgspec.json.encode(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _put(text: str, spans: list[_Span], vault: Vault, *, escaped: bool = False) -> tuple[str, list[int]]:
    """The text with masks, and where each of them begins. ``escaped``: in JSON, whose values are what they mean."""
    pieces: list[str] = []
    places: list[int] = []
    size = done = 0
    for start, end, kind in spans:
        value = text[start:end]
        if escaped and "\\" in value:
            value = vault_escapes.plain(value)[0]
        mask_ = vault.mask(value, kind, private=False)  # those that are private are known
        pieces += (text[done:start], mask_)
        places.append(size + start - done)
        size += start - done + len(mask_)
        done = end
    pieces.append(text[done:])
    return "".join(pieces), places


def _read(text: str, vault: Vault) -> tuple[str, set[int]]:
    """``text`` restored, and where the masks stood that were."""
    pieces: list[str] = []
    restored: set[int] = set()
    at = 0
    for stretch, value in AnyEngine(vault, Report()).feed(text, final=True):
        if value is not None:
            restored.add(at)
        pieces.append(stretch if value is None else value)
        at += len(stretch)
    return "".join(pieces), restored


def _grown(text: str, span: _Span, level: int) -> _Span:
    start, end = span.start, span.end
    if level == 1:
        while start and text[start - 1] not in " \t\n\v\f\r<>":
            start -= 1
        found = _WORD.match(text, end)
        assert found is not None  # it may be empty
        end = found.end()
    elif level == 2:
        start = text.rfind("\n", 0, start) + 1
        end = text.find("\n", end)
        end = len(text) if end < 0 else end
    else:
        start, end = 0, len(text)
    if (start, end) == (span.start, span.end):
        return span
    kind = "url" if "://" in text[start:end] and level == 1 else GROWN
    return _Span(start, end, kind)
