"""The report as text, Markdown, HTML and JSON, in both languages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.cells import cell_len

from nearfar.advisor.report import markdown
from nearfar.cli import eval_page
from nearfar.cli.errors import UsageError
from nearfar.evaluation import comparing
from nearfar.evaluation.comparing import Difference, Judged, Report, Task
from nearfar.evaluation.records import Heard, Record

NAMES = ("near-deployment", "far-deployment")


def record(name: str, number: int, **heard: object) -> Record:
    said = {"text": "x", "deployment": name, "place": "device", "cost": 10**6, "first_ms": 50.0, "total_ms": 1500.0}
    both = {**said, "input": 1000, "output": 20, **heard}
    return Record(key=str(number), id=str(number), on=name, heard=Heard(**both))  # type: ignore[arg-type]  # by name


def report(**more: object) -> Report:
    scores = {NAMES[0]: {"1": 0.0, "2": 1.0}, NAMES[1]: {"1": 1.0, "2": 1.0}}
    sides = [
        comparing.side(NAMES[0], [record(NAMES[0], 1), record(NAMES[0], 2)], scores[NAMES[0]]),
        comparing.side(
            NAMES[1],
            [
                record(NAMES[1], 1, cost=None),
                record(NAMES[1], 2),
                Record(key="3", id="3", on=NAMES[1], error="timeout"),
            ],
            scores[NAMES[1]],
        ),
    ]
    base = {
        "source": "p.jsonl",
        "date": "2026-11-22",
        "answered_at": "this process",
        "prompts": 2,
        "repeat": 1,
        "concurrency": 2,
        "how": {"number": 2, "none": 1, "code": 1},
        "sides": sides,
        "pairs": comparing.compared(NAMES, scores),
        "tasks": [Task(task="", prompts=2, scores={NAMES[0]: None, NAMES[1]: 1.0})],
        "differences": [
            Difference(
                id="1",
                task="",
                prompt="<script>alert(1)</script> | " + "long " * 30,
                right="5",
                scores={NAMES[0]: 0.0, NAMES[1]: 1.0},
                answers={NAMES[0]: "4 \x1b[31m", NAMES[1]: "5"},
            )
        ]
        * 7,
        "judge": Judged(name="j", verdicts=4, unreadable=1, turned=1, cost=10**6, cost_unknown=0),
        "opinions": [comparing.side("phi", [record("phi", 1, cost=0)], {})],
        "spent": 3 * 10**6,
        "stopped": "",
        "notes": ["again", "few", "code_off", "unscored", "code_network", "order"],
    }
    return Report(**{**base, **more})  # type: ignore[arg-type]  # by name


def test_the_text_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for language in ("en", "zh-Hant"):
        eval_page.show(eval_page.page(report(), language, None, short=True))
        out = capsys.readouterr().out
        tables = [line for line in out.splitlines() if not line.startswith("  ")]
        assert all(cell_len(line) <= 80 for line in tables), out
        assert out.count("<script>") == 5  # so many a terminal shows; a file has all


def test_what_it_says() -> None:
    text = markdown(eval_page.page(report(), "en", Path("l.jsonl")))
    for said in (
        "| score (95 %) | 0.500 (0.00 to 1.00) | 1.000 (0.00 to 1.00) |",
        "| cost | $0.002000 | $0.001000 + 2 unknown |",
        "| errors | none | timeout 1 |",
        "| tokens in, out | 2,000, 40 | 2,000, 40 |",
        "| first text, p50 / p95 | 50 ms / 50 ms | 50 ms / 50 ms |",
        "| whole answer, p50 / p95 | 1.5 s / 1.5 s | 1.5 s / 1.5 s |",
        "near-deployment less far-deployment: -0.500",
        "Not resolved",
        "nearfar router eval --labels l.jsonl",
        "nearfar router cascade --labels l.jsonl",
        "On 1 pairs it hung on the order",
        "phi: 1 of 1 answered; cost $0.000000",
        "near-deployment was named first, as the near side",
        "Prompts with tests: 1",
        "(no task)",
    ):
        assert said in text, said
    assert "answered by" not in text  # each by itself
    assert "NOT COMPLETE" in markdown(eval_page.page(report(stopped="money"), "en", None))


def test_who_answered_behind_a_route_is_told() -> None:
    side = comparing.side("auto", [record("near", 1), record("far", 2, place="cloud")], {})
    text = markdown(eval_page.page(report(sides=[side], pairs=[]), "en", None))
    assert "| answered by | far, near |" in text
    assert "| place | cloud, device |" in text


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def test_files(tmp_path: Path) -> None:
    for name in ("r.md", "r.html", "r.json"):
        eval_page.write(tmp_path / name, report(), "zh-Hant", None)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    text = (tmp_path / "r.md").read_text()
    assert "得分" in text
    assert "0.500（0.00 至 1.00）" in text
    assert " to " not in text
    # What models say brings nothing into a page that somebody looks at.
    assert text.count("<script>") == text.count("`<script>") == 7
    reader = Reader()
    page = (tmp_path / "r.html").read_text()
    assert page.count('<table class="n all">') == 2, "the last deployment's figures are aligned like the others'"
    reader.feed(page)
    assert "table" in reader.tags
    assert "script" not in reader.tags
    assert 'lang="zh-Hant"' in page
    made = json.loads((tmp_path / "r.json").read_text())
    assert made["sides"][1]["cost_unknown"] == 2
    assert made["pairs"][0]["difference"]["value"] == -0.5
    with pytest.raises(UsageError, match="cannot be written"):
        eval_page.write(tmp_path / "none" / "r.md", report(), "en", None)
