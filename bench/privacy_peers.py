"""The same labelled texts for nearfar, Presidio and LiteLLM in one run: recall, precision, leaks per kind, ms per kB.

    python -m bench.privacy_peers [FOLDER] --presidio PYTHON --litellm PYTHON [--json FILE]

Each peer answers in a Python of its own (``make bench-privacy`` sets them up under .build), each for all texts at once,
one after the other, with processor time counted around its own work alone. What counts as found, leaked and false is
as in ``bench.privacy``, and the same for all: what a peer calls something is taken for the kind that comes nearest.
What cannot be had here is listed as not measured. The data is that which nearfar's own rules were tried on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from bench.privacy import BESIDE, Line, alarms, cases, english, measure, taiwan
from nearfar import __version__
from nearfar.privacy.findings import Finding
from nearfar.privacy.names import Names
from nearfar.privacy.scan import Scanned, Scanner

HERE = Path(__file__).parent
NOT_MEASURED: Mapping[str, str] = {
    "Presidio with a spaCy, Stanza or transformers model": "it would fetch one from the network; none is installed",
    "LiteLLM's presidio guardrail": "it asks a Presidio server: what that finds is Presidio's row",
    "GLiNER": "needs weights that are not installed",
    "OpenAI's privacy filter and models tuned from it": "need weights that are not installed",
}
KINDS: Mapping[str, str] = {
    label: kind
    for kind, labels in {
        "email": "EMAIL_ADDRESS email",
        "card": "CREDIT_CARD credit_card visa mastercard amex discover",
        "iban": "IBAN_CODE iban eu_iban_enhanced",
        "us.ssn": "US_SSN us_ssn us_ssn_no_dash",
        "ip": "IP_ADDRESS ipv4 ipv6",
        "phone": "PHONE_NUMBER us_phone fr_phone br_phone_landline br_phone_mobile uae_phone sg_phone",
        "url": "URL url",
        "us.driver_license": "US_DRIVER_LICENSE",
        "passport": "US_PASSPORT passport_us passport_uk passport_china passport_japan eu_passport_generic",
        "bank_account": "US_BANK_NUMBER ca_bank_account sg_bank_account",
        "birth_date": "DATE_TIME",
        "secret": "aws_access_key aws_secret_key github_token slack_token generic_api_key",
        "tw.address": "street_address",
    }.items()
    for label in labels.split()
}
"""What a peer calls it → our kind. Dates are taken for dates of birth, the nearest that there is."""


class Peer(NamedTuple):
    """What one of them found in all texts."""

    version: str
    scanner: Scanner
    seconds: float


class Recorded:
    """Answers a scan with what was found before."""

    def __init__(self, found: Mapping[str, Scanned]) -> None:
        self._found = found

    def scan(self, text: str) -> Scanned:
        """What was found in ``text``."""
        return self._found[text]


def recorded(texts: Sequence[str], answers: Sequence[Sequence[tuple[int, int, str]]]) -> Scanner:
    """A scanner that answers what a peer answered; one place is one finding of each kind, however often it is said."""
    found = {}
    for text, spans in zip(texts, answers, strict=True):
        kinds = {(a, b, KINDS.get(label, f"other.{label.lower()}")) for a, b, label in spans}
        found[text] = Scanned(tuple(sorted(Finding(a, b, kind, 1.0, "peer") for a, b, kind in kinds)))
    return cast("Scanner", Recorded(found))


def ours(texts: Sequence[str]) -> Peer:
    """nearfar, as `nearfar serve` scans: all rules, and the embedded names."""
    scanner = Scanner(detectors=(Names.shipped(),))
    scanner.scan("Warm up: a@example.com")
    began = time.process_time()
    found = {text: scanner.scan(text) for text in texts}
    seconds = time.process_time() - began
    return Peer(__version__, cast("Scanner", Recorded(found)), seconds)


def theirs(python: Path, program: str, texts: Sequence[str]) -> Peer:
    """A peer, asked in its own Python."""
    done = subprocess.run(
        [str(python), "-P", str(HERE / program)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    return Peer(said["version"], recorded(texts, said["found"]), said["seconds"])


def groups(folder: Path) -> dict[str, list[Line]]:
    """Name of a part of the data → its lines."""
    found: dict[str, list[Line]] = {}
    for pattern, read in (("zh_tw_*.jsonl", taiwan), ("en_presidio_*.json", english), ("datafog_*.json", cases)):
        for path in sorted(folder.glob(pattern)):
            for line in read(path):
                found.setdefault(f"{path.stem} {line.group}", []).append(line)
    return found


def report(folder: Path, programs: Mapping[str, tuple[Path, str]]) -> dict[str, Any]:
    """Everything, as one value."""
    lines = groups(folder)
    texts = sorted({line.text for part in lines.values() for line in part})
    size = sum(len(text.encode()) for text in texts) / 1000
    peers = {"nearfar": ours(texts)}
    for name, (python, program) in programs.items():
        peers[name] = theirs(python, program, texts)
    result: dict[str, Any] = {
        "kB": round(size, 3),
        "peers": {
            name: {"version": peer.version, "ms_per_kB": round(peer.seconds * 1000 / size, 2)}
            for name, peer in peers.items()
        },
        "not measured": dict(NOT_MEASURED),
        "quality": {},
    }
    for group, part in lines.items():
        empty = [line for line in part if not line.spans]
        result["quality"][group] = {
            name: {
                "labels": measure(part, peer.scanner),
                "alarms": alarms(empty, peer.scanner) if empty else None,
            }
            for name, peer in peers.items()
        }
    return result


def show(result: Mapping[str, Any]) -> None:
    for name, row in result["peers"].items():
        print(f"{name} {row['version']}: {row['ms_per_kB']} ms per kB ({result['kB']} kB)")
    names = list(result["peers"])
    for group, rows in result["quality"].items():
        print(f"\n{group}: recall / precision / leaks")
        print(f"  {'label':18} {'labels':>6} " + " ".join(f"{name:>22}" for name in names))
        for label in sorted({label for row in rows.values() for label in row["labels"]}):
            cells = [rows[name]["labels"].get(label, {}) for name in names]
            count = max(cell.get("labels", 0) for cell in cells)
            print(f"  {label:18} {count:>6} " + " ".join(f"{_cell(cell):>22}" for cell in cells))
        for name in names:
            if rows[name]["alarms"]:
                told = rows[name]["alarms"]
                print(f"  {name}: {told['per_100_lines']} findings per 100 of {told['lines']} lines without a label")
    print()
    for name, why in result["not measured"].items():
        print(f"not measured: {name} ({why})")


def _cell(row: Mapping[str, Any]) -> str:
    said = ["-" if row.get(key) is None else f"{row[key]:.3f}" for key in ("recall", "precision")]
    return " / ".join([*said, str(row.get("leaks", "-"))])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, help="where the labelled data lies")
    parser.add_argument("--presidio", type=Path, help="a Python that has presidio-analyzer")
    parser.add_argument("--litellm", type=Path, help="a Python that has litellm[proxy]")
    parser.add_argument("--json", type=Path, help="also write everything here")
    given = parser.parse_args(arguments)
    folder = given.folder or (BESIDE if BESIDE.is_dir() else None)
    if folder is None or not groups(folder):
        print("No labelled data: give its folder. Nothing is compared without it.", file=sys.stderr)
        return 1
    programs = {
        name: (python, f"privacy_peers_{name}.py")
        for name, python in (("presidio", given.presidio), ("litellm", given.litellm))
        if python is not None
    }
    for name in {"presidio", "litellm"} - set(programs):
        print(f"{name} is not asked: give its Python with --{name}", file=sys.stderr)
    result = report(folder, programs)
    show(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
