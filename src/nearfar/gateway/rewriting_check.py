"""Whether a question that a model wrote may leave in place of the original. It trusts nothing that a model wrote.

It sees values, texts and kinds, and no wire; what may not leave raises MaskingFailed, so that a near deployment answers
the original instead, or nobody. What a text tells about somebody in other words than these is in no check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nearfar.core.errors import MaskingFailed
from nearfar.core.places import Class, Place, Treatment
from nearfar.core.routing import Decision
from nearfar.policy.classify import FOUND, Seen, verdict
from nearfar.policy.rules import Rules
from nearfar.privacy.normal import Normal
from nearfar.privacy.vault import Vault, fold
from nearfar.privacy.vault_check import Needles, leaks

CODE = "rewriting_failed"
RUN, WIDE_RUN = 96, 32
"""Characters, without white space, that count as the original's own words where those may not leave; the second where
they are not all ASCII, because a Chinese sentence has fewer. A run half as long again is always found."""
WHOLE, WIDE_WHOLE = 24, 8
"""A shorter text of the original counts as a whole, from so many characters on."""
PIECE = 16
"""Characters of a longer ASCII value (a key, a token) that count as the value: models cut off and abridge. A piece half
as long again is always found."""
_SHORT = 8
_QUESTION = "The question that a near model wrote"
_NEAR = "Nothing was sent. A near deployment on the route would answer the request itself."
_CONTENT = frozenset({FOUND, "history"})


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says. It dies with the request."""

    vault: Vault
    """Every value that was found in it."""
    texts: tuple[str, ...]


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What may leave for one place, masked at most."""

    rules: Rules
    place: Place
    purpose: str
    operation: str
    words: bool
    """Whether the original's other words may; where not, their class was said to be too high, whatever they hold."""

    @classmethod
    def of(cls, rules: Rules, decision: Decision, place: Place, *, purpose: str, operation: str) -> Bound:
        """For ``decision``: the values that were found in a request raise its class, and its other words may not."""
        said = [reason.class_ for reason in decision.reasons if reason.source not in _CONTENT]
        class_ = max(said, default=Class.PUBLIC) if decision.reasons else decision.class_
        limits = rules.limits(class_, purpose, operation)
        words = limits.treatment(place, able=Treatment.MASKED) is not None
        return cls(rules=rules, place=place, purpose=purpose, operation=operation, words=words)

    def allows(self, kinds: Mapping[str, int]) -> bool:
        """Whether findings of ``kinds`` may leave, masked."""
        if not kinds:
            return True
        found = verdict(self.rules, route=Class.PUBLIC, caller=Class.PUBLIC, seen=[Seen(kinds=dict(kinds))])
        limits = self.rules.limits(found.class_, self.purpose, self.operation)
        return limits.treatment(self.place, able=Treatment.MASKED) is not None


def check(original: Original, body: bytes, texts: Sequence[str], kinds: Mapping[str, int], bound: Bound) -> None:
    """Raises MaskingFailed unless ``body``, whose texts are ``texts`` and in which ``kinds`` were found, may leave."""
    vault = original.vault
    if vault.private and (leaks(body, vault) or _short(texts, vault) or _pieces(texts, vault)):
        raise MaskingFailed(f"{_QUESTION} still holds a value of the original.", code=CODE, hint=_NEAR)
    if not bound.words and _repeats(texts, original.texts):
        raise MaskingFailed(f"{_QUESTION} repeats words of the original.", code=CODE, hint=_NEAR)
    if not bound.allows(kinds):
        told = ", ".join(sorted(kinds))
        raise MaskingFailed(f"{_QUESTION} holds what may not leave ({told}).", code=CODE, hint=_NEAR)


def _short(texts: Sequence[str], vault: Vault) -> bool:
    """Whether values that are too short to be looked for in any form (two letters, three digits) stand there alone."""
    short = [form for value in vault.private if len(form := fold(value)) < _SHORT and not Needles((value,))]
    if not short:
        return False
    lower = "\0".join(Normal.of(text).lower for text in texts)
    return any(re.search(rf"(?<![a-z0-9]){re.escape(form)}(?![a-z0-9])", lower) for form in short)


def _pieces(texts: Sequence[str], vault: Vault) -> bool:
    """Whether a part of a long value stands there."""
    long = [form for value in vault.private if len(form := fold(value)) > PIECE and form.isascii()]
    if not long:
        return False
    written = "\0".join(fold(text) for text in texts)
    return any(piece in written for form in long for piece in _cut(form, PIECE))


def _repeats(texts: Sequence[str], originals: Sequence[str]) -> bool:
    written = "\0".join(fold(text) for text in texts)
    return any(run in written for text in originals for run in _runs(fold(text)))


def _runs(text: str) -> Iterator[str]:
    size, whole = (RUN, WHOLE) if text.isascii() else (WIDE_RUN, WIDE_WHOLE)
    yield from _cut(text, size)
    if whole <= len(text) < size:
        yield text


def _cut(text: str, size: int) -> Iterator[str]:
    """Pieces of ``size`` characters, each half of one behind the last."""
    return (text[start : start + size] for start in range(0, len(text) - size + 1, size // 2))
