"""Reports: the facts of an advice in sections, and as Markdown."""

from __future__ import annotations

import pytest
from tests.advisor.cases import case, report

from nearfar.advisor.report import compared, markdown
from nearfar.advisor.words import LANGUAGES, words
from nearfar.catalog import second


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_price_that_a_second_source_disputes_is_warned_of(language: str) -> None:
    disputed = second.shipped().doubt[0]
    name = f"{disputed.provider}/{disputed.model}"
    first, *_ = compared(case(cloud=name), words(language), second.shipped())
    assert name in first
    assert f"{disputed.here}" in first
    assert f"{disputed.there}" in first
    assert second.shipped().source.partition(" of ")[0] in first


def test_a_price_that_two_sources_share_or_one_alone_has_is_told() -> None:
    agreed = compared(case(cloud="openai/gpt-5-mini"), words("en"), second.shipped())
    assert "has the same prices for openai/gpt-5-mini" in agreed[0]
    silent = second.Second(date=second.shipped().date, source="none", agreed={}, doubt=())
    assert (
        "No second source has a price for openai/gpt-5-mini"
        in compared(case(cloud="openai/gpt-5-mini"), words("en"), silent)[0]
    )
