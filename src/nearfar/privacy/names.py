"""Person names in Chinese and English without a model: labels and titles beside them, surnames, common given names.

It finds what its short lists and the words beside a name tell, and misses other names: how many is measured by
``bench/privacy.py``. It knows no policy, downloads nothing, and is linear in the text.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import re
from pathlib import Path

import msgspec

from nearfar.core.data import decode
from nearfar.privacy.findings import Finding
from nearfar.privacy.names_weighed import Weigher, Weights
from nearfar.privacy.normal import Normal

KIND = "person"
_SIGNS = " .,:;=?!\"'\u2019()[]{}<>*-"
_AT_HOME = re.compile(
    " (?:lives|lived) (?:at|in) | was born (?:in|on) | is married to "
    "| as (?:an? |the |my |our )?(?:guardian|beneficiary|witness|signatory|trustee|executor|next of kin)"
)
"""What only persons do: two words with capitals before it are a name, listed or not."""
_SAYS = re.compile(
    '["\u201d\u2019,] (?:says|said|adds|added|explains|explained|replies|replied|asks|asked|recalls|recalled|wrote) $'
)
"""Who says what stands in quotation marks before it."""
_SAYS_ENDS = ("s ", "d ", "e ")
_OWNS = ("'s", "\u2019s")
_PART = re.compile("[^ ,]+")
_LISTED_PART = re.compile("[^ ,][^,]*")
_APART = re.compile("[^a-z',]+")
_BEFORE = 32
"""Characters before a name in which what leads to it is looked for."""
_PLACE = re.compile(
    "['\u2019-]?[A-Za-z0-9]|[./:_@]\\w| ?[(\\[{=]|['\u2019]s (?:Law|Theorem|Day)"
    "| (?:[Ss]treet|[Rr]oad|[Aa]venue|[Ll]ane|[Bb]each|[Cc]ity|[Cc]ounty|St\\.|Rd\\.|and Sons|[0-9])"
)
"""What stands behind a given name that is none: a street's number, code, an example's law."""
LABELLED, TITLED, LISTED, FREE, DOUBTFUL = 0.85, 0.8, 0.65, 0.55, 0.45
"""How sure each way of finding a name is: by a label, by a title, by two lists that agree, by one list in its place, by
little more than a surname."""
_LABEL_REACH = 14
_SIGNS_BETWEEN = " :=(「『\"'"
_LINKS = f"{_SIGNS_BETWEEN}是為叫"
_DOTS = "·‧・•"
_HAN = "\u4e00-\u9fff"
_CAPITAL = "A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\u017f"
_LETTER = f"{_CAPITAL}a-z\u00df-\u00f6\u00f8-\u00ff"
_WORD = f"(?:[{_CAPITAL}][{_LETTER}'\u2019]{{0,20}}(?:-[{_CAPITAL}][{_LETTER}]{{1,16}}){{0,2}})"


class _Chinese(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    surnames: str
    compound: str
    common: str
    given: str
    labels: str
    titles: str
    goes_on: str
    begins: str
    inside: str
    ends: str
    words: str
    weights: Weights


class _English(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    titles: str
    labels: str
    fields: str
    given: str
    ambiguous: str
    surnames: str
    romanised: str
    words: str
    does: str
    owns: str
    told: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    date: dt.date
    chinese: _Chinese
    english: _English


class Names:
    """The embedded detector of person names, a Detector."""

    name = "names"

    def __init__(self, data: bytes) -> None:
        file = decode(data, _File, "not a file of names")
        self.version = hashlib.sha256(data).hexdigest()[:12]
        self._parts = (_ChineseNames(file.chinese), _EnglishNames(file.english))

    @classmethod
    def shipped(cls) -> Names:
        """The detector with the data that comes with nearfar."""
        return _shipped()

    def scan(self, text: Normal) -> list[Finding]:
        """Names in both languages."""
        found: list[Finding] = []
        for part in self._parts:
            found += [Finding(start, end, KIND, score, self.name) for start, end, score in part.find(text.text)]
        return found


@functools.cache
def _shipped() -> Names:
    return Names((Path(__file__).parent / "data" / "names.toml").read_bytes())


def _either(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=lambda word: (-len(word), word)))


class _ChineseNames:
    def __init__(self, data: _Chinese) -> None:
        self._single = frozenset("".join(data.surnames.split()))
        self._compound = frozenset(data.compound.split())
        first = self._single | {surname[0] for surname in self._compound}
        self._surname = re.compile(f"[{''.join(sorted(first))}]")
        self._common = frozenset(data.common)
        self._given = frozenset("".join(data.given.split()))
        self._goes_on = frozenset(data.goes_on)
        self._begins = frozenset(data.begins)
        self._inside = frozenset(data.inside)
        self._ends = frozenset(data.ends.split())
        self._words = frozenset(data.words.split())
        self._weigher = Weigher(
            data.weights,
            surnames=data.surnames.strip(),
            common=data.common,
            given=self._given,
            goes_on=data.goes_on,
            begins=data.begins,
        )
        titles, labels = data.titles.split(), data.labels.split()
        self._titles = re.compile(_either(titles))
        self._title_begins = frozenset(title[0] for title in titles)
        self._labels = tuple(labels)
        self._label_ends = frozenset(label[-1] for label in labels)
        self._han = re.compile(f"[{_HAN}]{{1,3}}")
        self._foreign = re.compile(f"[{_HAN}]{{1,6}}[{_DOTS}][{_HAN}]{{1,6}}(?:[{_DOTS}][{_HAN}]{{1,6}})?")

    def find(self, text: str) -> list[tuple[int, int, float]]:
        """(start, end, score) of each name."""
        if text.isascii():
            return []
        found: list[tuple[int, int, float]] = []
        for dot in _DOTS:
            if dot in text:
                found += [
                    (self._begin(text, *each.span()), each.end(), LABELLED) for each in self._foreign.finditer(text)
                ]
                break
        done = 0
        compound, single = self._compound, self._single
        for match in self._surname.finditer(text):
            start = match.start()
            if start < done:
                continue
            double = text[start : start + 2] in compound
            if not double and text[start] not in single:
                continue
            name = self._name(text, start, start + 1 + double)
            if name is not None:
                found.append((start, *name))
                done = name[0]
        return found

    def _begin(self, text: str, start: int, end: int) -> int:
        """Where a name with dots begins: after a label or a word that leads to it."""
        for at in range(start + 4, start, -1):
            if at < end - 2 and (text[at - 1] in self._begins or self._labelled(text, at)):
                return at
        return start

    def _name(self, text: str, start: int, end: int) -> tuple[int, float] | None:
        """Where the name that begins with this surname ends, and how sure it is one."""
        after = self._han.match(text, end)
        rest = after[0] if after else ""
        if not self._title_begins.isdisjoint(text[end : end + 3]):
            titled = self._titled(text, start, end, rest)
            if titled is not None:
                return titled
        if not rest:
            hidden = self._weigher.hidden(text, start, end)
            return (hidden, LISTED) if hidden else None
        if text[start : end + 1] in self._words:
            return None
        given, goes_on = self._given, self._goes_on
        known = rest[0] in given
        if not known and rest[0] in goes_on:
            return self._weighed(text, start, end)
        # The second character may go on with the sentence.
        length = 2 if len(rest) > 1 and (rest[1] not in goes_on or rest[1] in given) else 1
        if self._labelled(text, start):
            return end + length, LABELLED
        if length == 2 and known and rest[1] in given and text[start] not in self._common and self._free(text, start):
            closed = len(rest) == 2 or rest[2] in goes_on
            if closed:
                return end + 2, FREE
        return self._weighed(text, start, end)

    def _weighed(self, text: str, start: int, end: int) -> tuple[int, float] | None:
        weighed = self._weigher.end(text, start, end)
        if not weighed:
            return None
        return weighed, FREE if weighed > end + 1 else DOUBTFUL

    def _free(self, text: str, start: int) -> bool:
        """Whether a name may begin there in running text."""
        before = text[start - 1] if start else ""
        return not _is_han(before) or before in self._begins

    def _whole(self, text: str, start: int, end: int) -> bool:
        """Whether the surname there is a word by itself, whatever stands before it."""
        return self._inside.issuperset(text[start:end]) and text[start - 1 : start + 1] not in self._ends

    def _labelled(self, text: str, at: int) -> bool:
        """Whether a label stands before ``at``, with a sign or a little word between."""
        before = text[at - _LABEL_REACH if at > _LABEL_REACH else 0 : at].lower()
        for signs in (_SIGNS_BETWEEN, _LINKS):
            label = before.rstrip(signs)
            if label[-1:] in self._label_ends and label.endswith(self._labels):
                return True
        return False

    def _titled(self, text: str, start: int, end: int, rest: str) -> tuple[int, float] | None:
        for length in (2, 1, 0):
            title = self._titles.match(text, end + length) if len(rest) >= length else None
            if title is None:
                continue
            given = rest[:length]
            if length and (given[0] in self._goes_on and given[0] not in self._given):
                continue
            if length and len(title[0]) + length > 2:
                return end + length, TITLED
            # A surname and a title alone: 王先生. Not inside a longer word, and not with a title of one character.
            if not length and len(title[0]) > 1:
                if self._labelled(text, start):
                    return title.end(), LABELLED
                if self._free(text, start) or self._whole(text, start, end):
                    return title.end(), LISTED
        return None


def _is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"


class _EnglishNames:
    def __init__(self, data: _English) -> None:
        given, surnames = data.given.split(), data.surnames.split()
        self._given = frozenset(given)
        self._alone = self._given - frozenset(data.ambiguous.split())
        self._surnames = frozenset(surnames)
        self._romanised = frozenset(data.romanised.split())
        self._words = frozenset(data.words.split()) | frozenset(data.titles.split())
        particle = f"(?:van|von|de|da|del|la|bin|al|der|den)(?= (?:[{_CAPITAL}]|der |den |la ))"
        more = f"(?:,? (?:[{_CAPITAL}]\\.|{_WORD}|{particle})){{0,4}}"
        # It begins with one class and looks back after it: that is what makes a search fast.
        first = f"[{_CAPITAL}](?<![{_LETTER}0-9_@./-][{_CAPITAL}])"
        self._run = re.compile(
            f"{first}{_WORD.removeprefix(f'(?:[{_CAPITAL}]').removesuffix(')')}{more}(?![{_LETTER}0-9_@])"
        )
        self._titles = frozenset(title.lower() for title in data.titles.split())
        labels, fields = (_phrases(some) for some in (data.labels, data.fields))
        self._labels, self._with_colon = _Phrases(labels), _Phrases([*labels, *fields])

        does, owns = (_either(_phrases(some)) for some in (data.does, data.owns))
        self._acts = re.compile(f"(?:['\u2019]s)? (?:{does})(?![{_LETTER}])|['\u2019]s (?:{owns})(?![{_LETTER}])")
        self._leads = frozenset([*self._titles, *(each.split()[-1].strip(_SIGNS) for each in (*labels, *fields))])
        self._told = tuple(f"{each} " for each in _phrases(data.told))

    def find(self, text: str) -> list[tuple[int, int, float]]:
        """(start, end, score) of each name."""
        found = []
        for run in self._run.finditer(text):
            words = run[0]
            if " " not in words:
                alone = words[:-2] if words.endswith(_OWNS) else words
                if alone not in self._given and not self._led(text, run.start()):
                    continue
            elif words.count(",") > 1:
                found += self._listed(words, run.start())
                continue
            name = self._name(text, run.start(), words)
            if name is not None:
                found.append(name)
        return found

    def _name(self, text: str, at: int, run: str) -> tuple[int, int, float] | None:
        if " " not in run and run in self._words:
            return None
        words = [(match.start(), match[0]) for match in _PART.finditer(run)]
        titled = False
        while words and words[0][1].rstrip(".") in self._words:
            titled = words[0][1].rstrip(".").lower() in self._titles
            words = words[1:]
        while words and words[-1][1] in self._words:
            words = words[:-1]
        if not words:
            return None
        start, end = at + words[0][0], at + words[-1][0] + len(words[-1][1])
        if words[-1][1].endswith(_OWNS):
            end -= 2
            words[-1] = (words[-1][0], words[-1][1][:-2])
        plain = [word.strip(".'\u2019") for _, word in words]
        if not self._words.isdisjoint(plain):
            return None
        written = text[start - _BEFORE if start > _BEFORE else 0 : start]
        before = written.lower()
        if titled or self._after_title(written):
            return start, end, TITLED
        shouted = not any(len(word) > 1 and not word.isupper() for word in plain)
        if len(words) <= 3 and not shouted and self._labelled(before):
            return start, end, LABELLED - 0.1 * (len(words) == 1)
        if len(words) == 1:
            if plain[0] in self._given and (
                self._acting(text, end, before) or (plain[0] in self._alone and not _PLACE.match(text, end))
            ):
                return start, end, FREE
            return (start, end, FREE) if not shouted and _said(written) else None
        if len(words) > 4:
            return None
        first, last = plain[0] in self._given, plain[-1] in self._surnames
        if first or last:
            return start, end, LISTED if first and last else FREE
        if len(words) <= 3 and not shouted and (_AT_HOME.match(text, end) or _said(written)):
            return start, end, FREE
        sizes = [len(word) for word in plain]
        if 1 in sizes[1:-1]:
            return start, end, LISTED  # an initial between two: Janka M. Szabo
        if not run.isascii() and min(sizes) > 1 and not "".join(plain).isascii():
            return start, end, FREE  # two capitals and a letter that English does not have
        if "-" in run and any("-" in word for word in plain) and not self._romanised.isdisjoint({plain[0], plain[-1]}):
            return start, end, LISTED
        return None

    def _listed(self, run: str, at: int) -> list[tuple[int, int, float]]:
        """The names of an enumeration, one or two words each, if most of them begin with a given name."""
        parts = [(match.start(), match[0]) for match in _LISTED_PART.finditer(run)]
        words = [part.split() for _, part in parts]
        known = sum(each[0] in self._alone for each in words)
        if 2 * known <= len(parts) or any(len(each) > 2 or not self._words.isdisjoint(each) for each in words):
            return []
        return [(at + start, at + start + len(part), FREE) for start, part in parts]

    def _led(self, text: str, at: int) -> bool:
        """Whether the word before, whatever signs stand between, may end a label or be a title: a quick first look."""
        before = text[at - _BEFORE if at > _BEFORE else 0 : at]
        last = before.rsplit(None, 1)
        return bool(last) and (last[-1].lower().strip(_SIGNS) in self._leads or _said(before))

    def _acting(self, text: str, end: int, before: str) -> bool:
        """Whether a given name alone stands where persons do: it speaks in a play, does, owns or is told something."""
        if text.startswith(": ", end) and (not before or before[-1] in '\n"'):
            return True
        return self._acts.match(text, end) is not None or before.endswith(self._told)

    def _after_title(self, before: str) -> bool:
        """Whether a title is the last word before a name: "Mr. ", "dr "; a small "ms" or "miss" is mostly none."""
        if not before.endswith(" "):
            return False
        title = before[:-1].removesuffix(".").rpartition(" ")[2]
        return title.lower() in self._titles and (title[0].isupper() or title in {"mr", "mrs", "dr"})

    def _labelled(self, before: str) -> bool:
        """Whether a label leads to a name: "my name is ", "Patient: ", "last name? "."""
        plain = before.rstrip(" =\"'\n")
        if plain.endswith("user:") and plain[:-5].rstrip().endswith("?"):
            plain = plain[:-5].rstrip()  # a question, and who answers it
        if plain == before:
            return False
        if plain[-1:] in {":", "?"} or "=" in before[len(plain) :]:
            return self._with_colon.end(plain.rstrip(":?").rstrip(" \"'"))
        return self._labels.end(plain)


class _Phrases:
    """Phrases of up to three words."""

    def __init__(self, phrases: list[str]) -> None:
        self._all = frozenset(phrases)
        self._last = frozenset(_APART.split(phrase)[-1] for phrase in phrases)

    def end(self, text: str) -> bool:
        """Whether one of them ends ``text``, which is in lower case."""
        words = _APART.split(text)[-3:]
        if words[-1] not in self._last:
            return False
        return any(" ".join(words[-some:]) in self._all for some in range(1, len(words) + 1))


def _said(before: str) -> bool:
    """Whether ``before`` ends with who says: a look at its last letter spares most of the search."""
    return before.endswith(_SAYS_ENDS) and _SAYS.search(before) is not None


def _phrases(text: str) -> list[str]:
    return [each.strip() for each in text.split("|") if each.strip()]
