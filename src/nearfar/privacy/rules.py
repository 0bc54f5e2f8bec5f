"""Rules as data: reads ``data/*.toml`` strictly and compiles each rule. It knows no text and finds nothing itself."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.privacy import checks, checks_countries, checks_taiwan, patterns
from nearfar.privacy.patterns import WIDEST

FILES = ("general", "secrets", "taiwan", "countries", "special")
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_MARKED = re.compile("«([^«»]+)»")
AGAINST_REACH = 12
"""Characters before a match in which a word of ``against`` speaks against it."""
LONGEST = 24
"""The most characters of a word."""
CLOSER = 0.02
"""What the nearest word adds to a score, so that of two explanations the nearer one wins."""
FARTHEST = 64
"""The most characters between a value and the word that explains it."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule as it stands in a file. Words are in lower case; offsets count characters of the normal form."""

    kind: str
    pattern: str
    score: float
    good: list[str]
    """Texts in which the rule finds exactly what stands between « and ». A ¦ is left out: a seam in what must not stand
    here in one piece, lest others take an example for a lost key.
    """
    bad: list[str]
    """Texts in which it finds nothing."""
    name: str = ""
    """Tells rules of one kind apart; it becomes the finding's detector. Empty: the kind."""
    caseless: bool = False
    check: str = ""
    """A function of ``checks*.py`` that has to agree with the match."""
    context: list[str] = []
    """Words in the ``before`` characters ahead of a match that explain it."""
    trailing: list[str] = []
    """Words in the ``after`` characters behind it that do."""
    before: int = 20
    after: int = 12
    need: bool = False
    """Whether a match counts only beside one of these words; otherwise they lift ``score`` to ``sure``."""
    sure: float = 0.0
    against: list[str] = []
    """Words shortly before a match after which it does not count."""
    near: list[str] = []
    """Literals (lower case) of which each match contains one: the rule is tried only around them."""
    whole: bool = False
    """Whether Latin letters of these literals are whole words: without its words a text is not searched."""
    lead: int = WIDEST
    """The most characters of a match before the end of such a literal. Of a rule for digits: before the place with
    digits, if that does not begin with the first digit of a match.
    """
    tail: int = WIDEST
    """The characters behind it that are enough to begin a match; the rest of a long one is then read too."""
    has: list[str] = []
    """One of these stands in the digits that a match is made of, or right beside them; with ``near``: in the text."""
    digits: int = 3
    """How long the place with digits is at least, separators included: short numbers are not even looked at."""
    core: str = ""
    """An expression for the shape of the place with digits, from two characters before it to one behind it: a digit is
    0, a letter A, what is not ASCII ?. Only where it is found can a match be. Empty: anywhere. With ``token`` it is
    one for the shape of the token.
    """
    token: bool = False
    """Each match lies in one run of at least 15 characters of the alphabets of keys and of base64."""
    yields: bool = False
    """Whether the finding gives way to any other inside it, as a link does to the number that it holds."""
    source: str = ""
    date: dt.date | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    date: dt.date
    rule: list[Row]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule ready for use. ``explains`` finds the words before a match, ``follows`` those behind it."""

    row: Row
    name: str
    kind: str
    regex: re.Pattern[str]
    width: int
    """Characters of a match, at most; ``least`` of them at the least."""
    least: int
    lead: int
    """The most characters of a match before the end of its literal, or before the place with digits."""
    tail: int
    """The characters behind its literal that are enough to begin a match."""
    solid: bool
    """Whether a match holds its literal and no blank."""
    first: frozenset[str]
    """The characters that may begin a match, and ``barred`` those behind which none begins (``patterns.OTHER``)."""
    barred: frozenset[str]
    core: re.Pattern[bytes] | None
    check: Callable[[str], bool] | None
    explains: re.Pattern[str] | None
    follows: re.Pattern[str] | None
    refutes: re.Pattern[str] | None
    most: float
    """The surest that it can be."""
    holds: re.Pattern[str] | None
    """Finds what ``has`` names."""
    places: re.Pattern[str] | None
    """Finds the literals of ``near``, as one expression where there are many."""
    group: str | int
    """What of a match is the finding: the group ``v`` if the pattern has one, else all of it."""


def words(these: Iterable[str], *, among_latin: bool = False) -> re.Pattern[str] | None:
    """One expression for all of these lower-case words; None for no words.

    A Latin word begins where no letter stands before it, and one of up to four letters ends the same way.
    Ideographs have no such borders. ``among_latin``: all of them are Latin and so is the text; that only changes how
    long a search takes.
    """
    branches: dict[str, list[str]] = {}
    for word in sorted(set(these), key=lambda word: (-len(word), word)):
        ends = "(?![a-z])" if ends_word(word) else ""
        branches.setdefault(word[0], []).append(re.escape(word[1:]) + ends)
    if among_latin and branches:
        # Most letters stand behind another one, which is told sooner than that no word begins with them.
        parts = [f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in branches.items()]
        return re.compile(f"(?<![a-z])(?:{'|'.join(parts)})")
    # Each branch begins with its letter and looks back after it: that is what makes a search fast.
    parts = [
        f"{re.escape(first)}{f'(?<![a-z]{re.escape(first)})' if first.isascii() else ''}(?:{'|'.join(rest)})"
        for first, rest in branches.items()
    ]
    return re.compile("|".join(parts)) if parts else None


def ends_word(word: str) -> bool:
    """Whether no letter may stand behind ``word``: it is short and Latin."""
    return word.isascii() and len(word) <= 4 and word[-1].isalpha()


def any_of(literals: Iterable[str]) -> re.Pattern[str]:
    """One expression for all of these literals, wherever they stand; of those that begin alike the longest."""
    return re.compile(_tree(sorted(set(literals))))


def _tree(literals: Sequence[str]) -> str:
    """As a tree of first letters: side by side, each of them would be tried everywhere."""
    after: dict[str, list[str]] = {}
    for literal in literals:
        if literal:
            after.setdefault(literal[0], []).append(literal[1:])
    parts = [re.escape(first) + _tree(rest) for first, rest in after.items()]
    if not parts:
        return ""
    if "" in literals:
        return f"(?:{'|'.join(parts)})?"
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def compiled(row: Row) -> Rule:
    """``row`` ready for use; ValueError says what is wrong with it."""
    name = row.name or row.kind
    try:
        width = patterns.width(row.pattern)
        regex = re.compile(row.pattern, re.ASCII | (re.IGNORECASE if row.caseless else re.NOFLAG))
        core = re.compile(row.core.encode("ascii"), re.DOTALL) if row.core else None
    except (ValueError, re.error) as error:  # a UnicodeError is a ValueError
        raise ValueError(f"rule {name}: {error}") from error
    _sound(row, name)
    return Rule(
        row=row,
        name=name,
        kind=row.kind,
        regex=regex,
        width=width.most,
        least=width.least,
        lead=min(row.lead, width.most) if row.near or row.lead < WIDEST else width.lead,
        tail=min(row.tail, width.most),
        solid=not width.blank and not row.need,
        first=width.first | {char.swapcase() for char in width.first if row.caseless},
        barred=patterns.before(row.pattern),
        core=core,
        check=CHECKS[row.check] if row.check else None,
        explains=words(row.context),
        follows=words(row.trailing),
        refutes=words(row.against),
        most=min(1.0, max(row.score, row.sure) + CLOSER),
        holds=any_of(row.has) if row.has else None,
        places=any_of(row.near) if row.near and not row.token else None,
        group="v" if "v" in regex.groupindex else 0,
    )


def _sound(row: Row, name: str) -> None:
    spoken = [*row.context, *row.trailing, *row.against, *row.near]
    faults = {
        "its kind is no dotted lower-case name": not _KIND.fullmatch(row.kind),
        "its score is not above 0 and up to 1": not 0 < row.score <= 1 or not 0 <= row.sure <= 1,
        f"no function for the check `{row.check}`": bool(row.check) and row.check not in CHECKS,
        "it needs words, and names none": row.need and not (row.context or row.trailing),
        f"words are in lower case and have 1 to {LONGEST} characters": any(
            not 0 < len(word) <= LONGEST or word != word.lower() for word in spoken
        ),
        "its words are too far": not (0 <= row.before <= FARTHEST and 0 <= row.after <= FARTHEST),
        "it has no good or no bad example": not row.good or not row.bad,
        "a good example marks what is found with « and »": not all(map(_MARKED.search, row.good)),
    }
    for fault, true in faults.items():
        if true:
            raise ValueError(f"rule {name}: {fault}")


def load(text: bytes) -> list[Rule]:
    """Read one file of rules strictly; ValueError names the rule that is wrong, and why."""
    file = decode(text, _File, "not a file of rules")
    if not file.source:
        raise ValueError("a file of rules names its source")
    rules = [compiled(row) for row in file.rule]
    names = [rule.name for rule in rules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two rules are called {', '.join(twice)}")
    return rules


@functools.cache
def shipped() -> tuple[Rule, ...]:
    """The rules that come with nearfar, read once."""
    folder = Path(__file__).parent / "data"
    return tuple(rule for name in FILES for rule in load((folder / f"{name}.toml").read_bytes()))


def version(rules: Iterable[Rule]) -> str:
    """A short name that changes with any of the rules."""
    return hashlib.sha256(msgspec.json.encode([rule.row for rule in rules])).hexdigest()[:12]


def plain(example: str) -> str:
    """An example as the text that it stands for."""
    return example.replace("¦", "").replace("«", "").replace("»", "")


def marked(example: str) -> tuple[str, list[tuple[int, int]]]:
    """A good example as text, and where its marks stood."""
    spans: list[tuple[int, int]] = []
    text = ""
    for part in re.split("(«[^«»]+»)", example):
        inner = plain(part)
        if part.startswith("«"):
            spans.append((len(text), len(text) + len(inner)))
        text += inner
    return text, spans


CHECKS: Mapping[str, Callable[[str], bool]] = {
    function.__name__: function for function in (*checks.ALL, *checks_taiwan.ALL, *checks_countries.ALL)
}
"""Check name in a rule → function."""
