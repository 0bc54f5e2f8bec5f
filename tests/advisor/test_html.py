"""Reports as HTML: whole, self-contained, drawn within their frame."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from tests.advisor.cases import report

from nearfar.advisor import html
from nearfar.advisor.report import Chart, Page, Section
from nearfar.advisor.words import LANGUAGES


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


def test_a_narrow_screen_scrolls_a_drawing_and_shrinks_no_word() -> None:
    text = html.render(report("en", hardware="RTX 3090"), "en")
    drawings = text.count("<svg ")
    assert drawings >= 2
    assert text.count('<div class="scroll" tabindex="0"><svg ') == drawings
    (least,) = re.findall(r"svg \{[^}]*min-width: (\d+)rem", text)
    assert 12 * int(least) * 16 / html._WIDTH >= 11, "CSS pixels of its words"


@pytest.mark.parametrize("language", LANGUAGES)
def test_html_is_whole_fetches_nothing_and_draws(language: str) -> None:
    text = html.render(report(language, hardware="RTX 3090"), language)
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
    told = report()
    bad = Page(title="<script>alert(1)</script>", sections=told.sections)
    assert "<script>" not in html.render(bad, "en")


def test_nothing_to_draw_is_an_empty_drawing() -> None:
    chart = Chart(title="t", lines=(("a", ((0.0, None), (10.0, None))),), at=0)
    assert "<svg" not in html.render(Page(title="t", sections=(Section(title="s", chart=chart),)), "en")


def test_a_gap_breaks_the_line() -> None:
    chart = Chart(title="t", lines=(("a", ((1.0, 1.0), (10.0, None), (100.0, 5.0))),), at=3)
    text = html.render(Page(title="t", sections=(Section(title="s", chart=chart),)), "en")
    assert len(re.findall("<polyline", text)) == 2
