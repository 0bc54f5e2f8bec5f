"""Reports: the facts of an advice in sections, and as Markdown."""

from __future__ import annotations

import pytest
from tests.advisor.cases import report

from nearfar.advisor.report import markdown
from nearfar.advisor.words import LANGUAGES


def test_markdown_has_the_recommendation_the_tables_and_the_configuration() -> None:
    text = markdown(report(hardware="RTX 3090"))
    assert text.startswith("# nearfar: Advice\n")
    assert "## Recommended: " in text
    assert "```toml" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


@pytest.mark.parametrize("language", LANGUAGES)
def test_amounts_in_taiwans_dollars_stand_last(language: str) -> None:
    last = report(language).sections[-1]
    assert last.title == "TWD"
    assert "32" in last.lines[0]


def test_the_arithmetic_adds_up() -> None:
    table = next(
        section.table
        for section in report(hardware="RTX 3090", stay=True).sections
        if section.title == "The arithmetic"
    )
    assert table is not None
    *parts, total = [float(cells[1].replace(",", "")) for cells in table.rows]
    assert sum(parts) == pytest.approx(total, abs=0.05)
