"""How well and how fast the privacy rules find: recall, precision, leaks, false alarms, microseconds per kB.

    python -m bench.privacy [FOLDER] [--running FILE] [--ordinary FILE] [--json FILE]

FOLDER holds ``zh_tw_*.jsonl``, ``en_presidio_*.json`` and ``datafog_*.json``; without it ``../shared/data/pii`` beside
the repository is looked for, and what is absent is said. ``--running`` is text that holds names, a line each with the
names behind a bar (``TEXT|NAME NAME``), ``--ordinary`` text that holds none. Quality: a labelled span is *found* if
findings of the kinds that mean the same overlap it, and *leaks* if a character of it is covered by no finding at all:
that is what would leave. A finding of a measured kind that overlaps no label of its kind is *false*.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nearfar.privacy import rules
from nearfar.privacy.findings import Detector
from nearfar.privacy.names import Names
from nearfar.privacy.scan import Memo, Scanner

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ROOT.parent / "shared" / "data" / "pii"

KINDS: Mapping[str, frozenset[str]] = {
    label: frozenset(kinds.split())
    for label, kinds in {
        "TW_NATIONAL_ID": "tw.national_id",
        "TW_ARC": "tw.resident_id",
        "TW_UBN": "tw.business_number",
        "TW_MOBILE": "tw.mobile phone",
        "TW_LANDLINE": "tw.landline phone",
        "TW_NHI_CARD": "tw.nhi_card",
        "TW_PASSPORT": "tw.passport passport",
        "TW_PLATE": "tw.plate",
        "TW_BANK_ACCOUNT": "tw.bank_account bank_account",
        "TW_ADDRESS": "tw.address",
        "DOB": "birth_date",
        "MRN": "medical_record",
        "API_KEY": "secret",
        "CREDIT_CARD": "card",
        "EMAIL": "email",
        "EMAIL_ADDRESS": "email",
        "IP": "ip",
        "IP_ADDRESS": "ip",
        "IBAN_CODE": "iban",
        "DE_IBAN": "iban",
        "US_SSN": "us.ssn",
        "SSN": "us.ssn",
        "PHONE_NUMBER": "phone tw.mobile tw.landline",
        "PHONE": "phone tw.mobile tw.landline",
        "DOMAIN_NAME": "url",
        "US_DRIVER_LICENSE": "us.driver_license",
        "PERSON": "person",
    }.items()
}
"""A label of the data → the kinds that mean it. A kind stands for those below it: ``secret`` for ``secret.aws``."""


class Span(NamedTuple):
    """A labelled place."""

    start: int
    end: int
    label: str


class Line(NamedTuple):
    """A labelled text, and the part of the data that it belongs to."""

    text: str
    spans: list[Span]
    group: str


class Score:
    """Counts for one label."""

    def __init__(self) -> None:
        self.real = self.found = self.leaked = self.exact = self.said = self.right = 0

    def row(self) -> dict[str, float | int | None]:
        """As a row of the report; a share of nothing is None."""
        return {
            "labels": self.real,
            "recall": _share(self.found, self.real),
            "exact": _share(self.exact, self.real),
            "leaks": self.leaked,
            "findings": self.said,
            "precision": _share(self.right, self.said),
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def means(kind: str, label: str) -> bool:
    """Whether a finding of ``kind`` is what ``label`` asks for."""
    return any(kind == name or kind.startswith(f"{name}.") for name in KINDS.get(label, ()))


def measure(lines: Iterable[Line], scanner: Scanner) -> dict[str, dict[str, float | int | None]]:
    """Per label: recall, precision and leaks. A label without kinds is measured for leaks alone."""
    scores: dict[str, Score] = {}
    lines = list(lines)
    labels = {span.label for line in lines for span in line.spans}
    for line in lines:
        found = scanner.scan(line.text).findings
        for span in line.spans:
            score = scores.setdefault(span.label, Score())
            score.real += 1
            mine = [each for each in found if each.start < span.end and span.start < each.end]
            same = [each for each in mine if means(each.kind, span.label)]
            score.found += bool(same)
            score.exact += any((each.start, each.end) == (span.start, span.end) for each in same)
            covered = {at for each in mine for at in range(each.start, each.end)}
            score.leaked += not covered.issuperset(range(span.start, span.end))
        for each in found:
            # A finding is asked for by the labels of its kind; if none of them stands there, it counts against one.
            wanted = sorted(label for label in labels if means(each.kind, label))
            over = [span.label for span in line.spans if each.start < span.end and span.start < each.end]
            for label in ([name for name in wanted if name in over] or wanted)[:1]:
                score = scores.setdefault(label, Score())
                score.said += 1
                score.right += label in over
    return {label: score.row() for label, score in sorted(scores.items())}


def alarms(lines: Sequence[Line], scanner: Scanner) -> dict[str, Any]:
    """Findings in lines that hold nothing private."""
    kinds = Counter(each.kind for line in lines for each in scanner.scan(line.text).findings)
    return {"lines": len(lines), "per_100_lines": _share(100 * kinds.total(), len(lines)), "kinds": dict(kinds)}


def taiwan(path: Path) -> list[Line]:
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    return [
        Line(row["text"], [Span(each["start"], each["end"], each["label"]) for each in row["spans"]], row["variant"])
        for row in rows
    ]


def english(path: Path) -> list[Line]:
    return [
        Line(
            row["full_text"],
            [Span(each["start_position"], each["end_position"], each["entity_type"]) for each in row["spans"]],
            "en",
        )
        for row in json.loads(path.read_text())
    ]


def cases(path: Path) -> list[Line]:
    return [
        Line(
            row["input"],
            [Span(each["start"], each["end"], each["type"]) for each in row["expected_entities"]],
            "case",
        )
        for row in json.loads(path.read_text())
    ]


def running(path: Path) -> list[Line]:
    """Lines ``TEXT|NAME NAME``, the names in their order in the text."""
    lines = []
    for row in filter(None, path.read_text().splitlines()):
        text, _, names = row.rpartition("|")
        spans, at = [], 0
        for name in names.split():
            at = text.index(name, at)
            spans.append(Span(at, at + len(name), "PERSON"))
            at += len(name)
        lines.append(Line(text, spans, "running"))
    return lines


def prose() -> list[str]:
    """Paragraphs of the documentation of this repository, English and Chinese: text that no detector's author wrote
    with names in mind.
    """
    texts = [path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))]
    return [part for text in texts for part in re.split(r"\n\s*\n", text) if len(part) > 40]


def speed(scanner: Scanner, texts: Mapping[str, str], repeats: int = 5) -> dict[str, dict[str, float]]:
    """Microseconds per kB (1,000 bytes of UTF-8): new text, and the same text resent. The best of some runs."""
    table = {}
    for name, text in texts.items():
        if not text:
            continue
        size = len(text.encode()) / 1000
        memo = Scanner(scanner.rules, scanner.detectors, memo=Memo())
        memo.scan(text)
        table[name] = {
            "kB": round(size, 1),
            "new_us_per_kB": round(_best(lambda text=text: scanner.scan(text), repeats) / size, 2),
            "resent_us_per_kB": round(_best(lambda text=text, memo=memo: memo.scan(text), repeats) / size, 3),
        }
    return table


def _best(call: Any, repeats: int) -> float:
    """Microseconds of processor time of the best of ``repeats`` runs."""
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time_ns()
        for _ in range(3):
            call()
        best = min(best, (time.process_time_ns() - begun) / 3000)
    return best


def figures(repeats: int = 5) -> dict[str, float]:
    """Microseconds of processor time per kB of text that is in the repository, with all default rules and no names."""
    texts = {
        "documentation": "\n\n".join(prose())[:20_000],
        "identifiers": "\n".join(rules.plain(example) for rule in rules.shipped() for example in rule.row.good),
    }
    table = speed(Scanner(rules.shipped()), texts, repeats)
    told = {f"{name}_us_per_kb": row["new_us_per_kB"] for name, row in table.items()}
    return told | {"resent_us_per_kb": table["documentation"]["resent_us_per_kB"]}


HOSTILE: Mapping[str, str] = {
    "dots": "a." * 10_000,
    "ones": "1." * 10_000,
    "mail": "a" * 10_000 + "@" + "b." * 5_000,
    "digits": "1234567890" * 2_000,
    "spaced digits": "4 1 1 1 " * 2_500,
    "ats": "@" * 20_000,
    "words": "帳號電話身分證" * 2_800,
    "labels": "姓名:" * 6_600,
    "brackets": "(0" * 10_000,
    "escapes": "\\u0030" * 3_300,
    "percents": "%41" * 6_600,
    "base64": "QUJD" * 5_000,
    "roads": "台北市中正區" * 3_300,
    "colons": "::" * 10_000,
    "dashes": "0-" * 10_000,
    "keys": "sk-" * 6_600,
    "begins": "-----BEGIN " * 1_800,
    "marks": "e" + "\u0301" * 20_000,
    "zero width": "1\u200b" * 10_000,
}
"""20 kB each of what has stopped detectors before."""


def report(folder: Path | None, named: Path | None = None, ordinary: Path | None = None) -> dict[str, Any]:
    detectors: list[Detector] = [Names.shipped()]
    scanner = Scanner(rules.shipped(), detectors)
    result: dict[str, Any] = {"rules": rules.version(rules.shipped()), "absent": []}
    quality: dict[str, Any] = {}
    for pattern, read in (("zh_tw_*.jsonl", taiwan), ("en_presidio_*.json", english), ("datafog_*.json", cases)):
        paths = sorted(folder.glob(pattern)) if folder else []
        if not paths:
            result["absent"].append(pattern)
        for path in paths:
            lines = read(path)
            for group in sorted({line.group for line in lines}):
                part = [line for line in lines if line.group == group]
                name = f"{path.stem} {group}"
                empty = [line for line in part if not line.spans]
                quality[name] = measure(part, scanner)
                if empty:
                    quality[f"{name} (nothing private)"] = alarms(empty, Scanner(rules.shipped()))
    if named:
        quality[f"names in {named.name}"] = measure(running(named), Scanner((), detectors))
    if ordinary:
        empty = [Line(row, [], "ordinary") for row in filter(None, ordinary.read_text().splitlines())]
        quality[f"names in {ordinary.name} (nothing private)"] = alarms(empty, Scanner((), detectors))
    result["quality"] = quality
    result["persons in the documentation"] = alarms(
        [Line(text, [], "docs") for text in prose()], Scanner((), detectors)
    )
    sample = "\n\n".join(prose())
    chinese = "\n\n".join(text for text in prose() if sum(char > "\u3000" for char in text) > len(text) / 3)
    texts = {"documentation 20 kB": sample[:20_000], "documentation 2 kB": sample[4000:6000]}
    if chinese:
        texts["Chinese documentation"] = chinese[:7_000]
    if folder:
        texts |= {
            f"{path.stem}, all lines": "\n".join(line.text for line in taiwan(path))
            for path in sorted(folder.glob("zh_tw_*.jsonl"))
        }
    result["speed"] = speed(scanner, texts)
    result["speed of the rules alone"] = speed(Scanner(rules.shipped()), texts)
    result["hostile"] = speed(scanner, HOSTILE, repeats=1)
    for name, row in result["hostile"].items():
        quarter = HOSTILE[name][: len(HOSTILE[name]) // 4]
        whole = _best(lambda name=name: scanner.scan(HOSTILE[name]), 3)
        row["growth"] = round(whole / _best(lambda text=quarter: scanner.scan(text), 3), 1)
    return result


ENGINES: Mapping[str, str] = {
    "presidio": "presidio_analyzer and a model for it",
    "gliner": "gliner and its weights",
    "classifier": "transformers and the weights of a privacy filter",
    "language-model": "a model near by that answers in JSON",
}
"""Optional engine → what it needs. None of it is asked for here: their weights are not to be had offline."""


def show(result: Mapping[str, Any]) -> None:
    for pattern in result["absent"]:
        print(f"absent: {pattern} (give its folder as argument)")
    for name, table in result["quality"].items():
        print(f"\n{name}")
        if "per_100_lines" in table:
            print(f"  {table['per_100_lines']} false findings per 100 of {table['lines']} lines {table['kinds'] or ''}")
            continue
        print(f"  {'label':18} {'labels':>6} {'recall':>7} {'exact':>7} {'precision':>9} {'leaks':>6}")
        for label, row in table.items():
            cells = [row["labels"], row["recall"], row["exact"], row["precision"], row["leaks"]]
            print(
                "  {:18} {:>6} {:>7} {:>7} {:>9} {:>6}".format(
                    label, *("-" if each is None else each for each in cells)
                )
            )
    print("\npersons in the documentation:", result["persons in the documentation"])
    for name, needs in ENGINES.items():
        print(
            f"optional engine {name}: not measured (it needs {needs}; tests/privacy/test_engines.py holds its contract)"
        )
    for part in ("speed", "speed of the rules alone", "hostile"):
        print(f"\n{part}")
        for name, row in result[part].items():
            grows = f"  {row['growth']} times the time for 4 times the text" if "growth" in row else ""
            costs = f"{row['new_us_per_kB']:>9} µs/kB new {row['resent_us_per_kB']:>7} resent"
            print(f"  {name:32} {row['kB']:>8} kB {costs}{grows}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, help="where the labelled data lies")
    parser.add_argument("--running", type=Path, help="lines TEXT|NAME NAME: text that holds names")
    parser.add_argument("--ordinary", type=Path, help="text that holds no names")
    parser.add_argument("--json", type=Path, help="also write everything here")
    given = parser.parse_args(arguments)
    folder = given.folder or (BESIDE if BESIDE.is_dir() else None)
    if folder is None:
        print("No labelled data: give its folder. Only speed and false alarms are measured.", file=sys.stderr)
    result = report(folder, given.running, given.ordinary)
    show(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
