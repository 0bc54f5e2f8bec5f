"""Reports: the same facts as text, Markdown and HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from tests.advisor.cases import advice

from nearfar.advisor import html
from nearfar.advisor.report import Page, markdown, page
from nearfar.advisor.words import LANGUAGES, words
from nearfar.catalog.prices import shipped_source


def made(language: str = "en", **said: object) -> Page:
    case, found = advice(**said)
    return page(case, found, words(language), shipped_source())


def test_markdown_has_the_recommendation_the_tables_and_the_configuration() -> None:
    text = markdown(made(hardware="RTX 3090"))
    assert text.startswith("# nearfar: Advice\n")
    assert "## Recommended: " in text
    assert "```toml" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


class Checker(HTMLParser):
    """Counts open elements, and remembers what would be fetched."""

    void = frozenset({"meta", "line", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe"} or any(name in {"src", "href"} for name, _ in attrs):
            self.fetched.append(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [tag for name, _ in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", LANGUAGES)
def test_html_is_whole_fetches_nothing_and_draws(language: str) -> None:
    text = html.render(made(language, hardware="RTX 3090"), language)
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert not checker.fetched
    assert f'lang="{language}"' in text
    points = re.findall(r'<polyline[^>]*points="([^"]+)"', text)
    assert len(points) >= 4
    for run in points:
        for pair in run.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 720
            assert 0 <= y <= 380


def test_text_from_outside_cannot_become_markup() -> None:
    told = made()
    bad = Page(title="<script>alert(1)</script>", sections=told.sections)
    assert "<script>" not in html.render(bad, "en")
