"""Whether bytes that are about to leave still hold a value of the vault, in whatever form. It masks nothing.

Forms: as it is; with other width, case, spaces or invisible characters; escaped for JSON, URLs or HTML; in base64 or
hexadecimal. A value too short to be told from ordinary words (see ``Needles``) is not looked for. Every step is a pass
over the text in C; how many values there are multiplies only the fastest of them.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import re
from collections.abc import Iterable, Iterator, Mapping

from nearfar.core.errors import MaskingFailed
from nearfar.privacy import vault_escapes, walk
from nearfar.privacy.normal import Normal
from nearfar.privacy.vault import Vault, fold
from nearfar.privacy.walk import Spot

Span = tuple[int, int]

_CODE = "_[BCDFGHJKLMNPQRSTVWXZ2-9]{6,16}"
_MASKS = (re.compile(f"⟦([A-Z]{{2,12}}{_CODE})⟧"), re.compile(f"([A-Z]{{2,12}}{_CODE})"))
_RUN = re.compile(r"\S+")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}+")
_HEX = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{24,}+")
_MANY = 256
"""From this many values of one length on, looking every piece of the text up is quicker than to search for each."""
_ENCODED = 6
"""Bytes from which on a value is looked for in base64: fewer are found in any text."""
_CERTAIN = 8
"""ASCII characters from which on a value is looked for inside of longer words too."""


class Needles:
    """The private values of a vault in their comparable form.

    Not looked for: fewer than two characters, or in ASCII fewer than three letters or four digits. ASCII values of
    less than eight characters count only as whole words.
    """

    def __init__(self, values: Iterable[str]) -> None:
        forms = {value: form for value in values if _told(form := fold(value))}
        self._folded = _by_size(forms.values())
        self._values = _by_size(forms)

    def __bool__(self) -> bool:
        return bool(self._folded)

    def spans(self, text: str) -> list[Span]:
        """Where they stand in ``text``, in no order; they may overlap."""
        lower = "".join((normal := Normal.of(text)).lower.split())
        hits = list(_located(self._folded, lower))
        if not hits:
            return []
        places = _Places(normal.lower, len(lower))
        return [
            normal.original(start, end)
            for at, size in hits
            for start, end in [(places.of(at), places.of(at + size - 1) + 1)]
            if size >= _CERTAIN or _whole(normal.lower, start, end)
        ]

    def exact(self, text: str) -> list[Span]:
        """Where they stand in ``text`` as they are spelt: quicker than ``spans``, which finds these too."""
        return [
            (at, at + size)
            for at, size in _located(self._values, text)
            if size >= _CERTAIN or _whole(text, at, at + size)
        ]

    def escaped(self, text: str) -> list[Span]:
        """Where they stand in ``text`` with characters escaped for JSON (once or twice) or for a URL."""
        found: list[Span] = []
        offsets: list[int] | None = None
        for _ in range(vault_escapes.NESTED):
            if "\\" not in text and "%" not in text:
                break
            text, inner = vault_escapes.plain(text)
            offsets = inner if offsets is None else [offsets[at] for at in inner]
            found += [(offsets[start], offsets[end]) for start, end in self.spans(text)]
        return found

    def encoded(self, text: str) -> bool:
        """Whether ``text`` holds one of the values, spelt as it came, within base64 or hexadecimal digits."""
        plain = text.replace("-", "+").replace("_", "/")
        lower = text.lower()
        for value in (value for group in self._values.values() for value in group):
            data = value.encode("utf-8", "surrogatepass")
            if len(data) >= _ENCODED and (data.hex() in lower or any(part in plain for part in _base64_parts(data))):
                return True
        return False


def _base64_parts(data: bytes) -> Iterator[str]:
    """What ``data`` looks like in the midst of base64, beginning at each of three places, without uncertain ends."""
    for shift in range(3):
        part = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        yield part[(0, 2, 3)[shift] : len(part) if (len(data) + shift) % 3 == 0 else -1]


class _Places:
    """Where the characters of a text without white space stand in that text."""

    def __init__(self, text: str, size: int) -> None:
        self._from: list[int] = []
        self._to: list[int] = []
        at = 0
        for run in _RUN.finditer(text) if size != len(text) else ():
            self._from.append(at)
            self._to.append(run.start())
            at += run.end() - run.start()

    def of(self, at: int) -> int:
        """The place of character ``at``."""
        if not self._from:
            return at
        run = bisect.bisect_right(self._from, at) - 1
        return self._to[run] + at - self._from[run]


def _told(form: str) -> bool:
    if not form.isascii():
        return len(form) > 1
    return len(form) >= (4 if form.isdigit() else 3)


def _by_size(values: Iterable[str]) -> dict[int, frozenset[str]]:
    sizes: dict[int, set[str]] = {}
    for value in values:
        sizes.setdefault(len(value), set()).add(value)
    return {size: frozenset(group) for size, group in sizes.items()}


def _located(groups: Mapping[int, frozenset[str]], text: str) -> Iterator[tuple[int, int]]:
    """Where the values of ``groups`` stand in ``text``, and how long they are; they may overlap."""
    for size, group in groups.items():
        if len(group) > _MANY:
            for at in range(len(text) - size + 1):
                if text[at : at + size] in group:
                    yield at, size
            continue
        for value in group:
            at = text.find(value)
            while at >= 0:
                yield at, size
                at = text.find(value, at + 1)


def _whole(text: str, start: int, end: int) -> bool:
    return not (
        (start > 0 and _word(text[start]) and _word(text[start - 1]))
        or (end < len(text) and _word(text[end - 1]) and _word(text[end]))
    )


def _word(char: str) -> bool:
    return char.isascii() and char.isalnum()


def leaks(body: bytes, vault: Vault) -> list[str]:
    """The paths of what in ``body`` still holds a private value; empty when nothing does.

    A body that is no JSON is looked at as one text, and its path is ``$``. Keys count as texts.
    """
    needles = Needles(vault.private)
    if not needles:
        return []
    spots: list[tuple[str, str]] = []

    def see(spot: Spot) -> str:
        if not walk.is_protocol(spot):
            spots.append((spot.path, spot.text))
        return spot.text

    try:
        walk.body(body, see, [])
    except MaskingFailed:
        spots = [("$", body.decode("utf-8", "replace"))]
    if not _holds("\0".join(text for _, text in spots), needles, vault):
        return []
    return [path for path, text in spots if _holds(text, needles, vault)] or ["$"]


def _holds(text: str, needles: Needles, vault: Vault) -> bool:
    # A value such as "person" would be found in the labels of the masks themselves.
    if "_" in text:
        for form in _MASKS:
            text = form.sub(lambda found: found[0] if vault.value(found[1]) is None else "\0", text)
    return any(needles.spans(form) for form in _forms(text)) or needles.encoded(text)


def _forms(text: str) -> Iterator[str]:
    yield text
    plain = text
    for _ in range(vault_escapes.NESTED):
        if "\\" in plain or "%" in plain:
            plain = vault_escapes.plain(plain)[0]
            yield plain
    if "&" in plain:
        import html  # its table takes time to build

        yield html.unescape(plain)
    yield from _decoded(plain)


def _decoded(text: str) -> Iterator[str]:
    """What stands in long runs of base64 and hexadecimal digits, of which any part may be the encoded one."""
    runs: list[str] = _BASE64.findall(text)
    for start in range(4 if runs else 0):
        yield "\0".join([_base64(run[start:]) for run in runs])
    found = [bytes.fromhex(run[0][: len(run[0]) // 2 * 2]).decode("utf-8", "replace") for run in _HEX.finditer(text)]
    if found:
        yield "\0".join(found)


def _base64(run: str) -> str:
    run = run.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(run[: len(run) // 4 * 4] + _rest(run)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _rest(run: str) -> str:
    rest = run[len(run) // 4 * 4 :]
    return rest + "=" * (4 - len(rest)) if len(rest) > 1 else ""
