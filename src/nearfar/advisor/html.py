"""A report as one HTML file with drawings, without scripts and without anything to fetch. It knows no advice."""

from __future__ import annotations

import html
import math
import re

from nearfar.advisor.report import Bars, Chart, Page, Section, Table

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 40
_COLOURS = ("#1b6ca8", "#d1495b", "#3c8d5a", "#b8860b", "#6c4ab6", "#00798c", "#555555")
_DASHES = ("", "8 3", "2 3", "10 3 2 3", "5 5", "1 4", "12 4")
"""So that lines can be told apart without colours."""
_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #f3f5f7; --rule: #c9d1d9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16191d; --soft: #22272e; --rule: #444c56; } }
body { margin: 2rem auto; max-width: 50rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, "Noto Sans TC", "PingFang TC", "Microsoft JhengHei", sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
.n td:not(:first-child):not(:last-child), .n th:not(:first-child):not(:last-child) { text-align: right; }
.all td:last-child, .all th:last-child { text-align: right; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: .88rem; }
svg { width: 100%; min-width: 44rem; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
.scroll { overflow-x: auto; } code { background: var(--soft); padding: 0 .25em; }
@media (max-width: 36rem) { body { margin: 1rem auto; } th, td { padding: .3rem; } table { font-size: .82rem; }
  td:last-child { overflow-wrap: anywhere; min-width: 5.5rem; } }
"""


def render(page: Page, language: str) -> str:
    """The whole file."""
    title = html.escape(page.title)
    sections = "\n".join(_section(each) for each in page.sections)
    return (
        f'<!doctype html>\n<html lang="{html.escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{sections}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.lines:
        parts.append("".join(f"<p>{_line(line)}</p>" for line in section.lines if line))
    if section.table is not None:
        parts.append(_table(section.table))
    if section.chart is not None:
        parts.append(_chart(section.chart))
    if section.bars is not None:
        parts.append(_bars(section.bars))
    if section.code:
        parts.append(f"<pre>{html.escape(section.code)}</pre>")
    return "\n".join(parts)


def _line(text: str) -> str:
    """A sentence; what stands between backticks is something to type."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    kind = (' class="n"' if table.words_last else ' class="n all"') if table.numbers else ""
    return f'<div class="scroll"><table{kind}><tr>{head}</tr>{rows}</table></div>'


def _chart(chart: Chart) -> str:
    volumes = [calls for _, points in chart.lines for calls, _ in points if calls > 0]
    amounts = [usd for _, points in chart.lines for _, usd in points if usd is not None and usd > 0]
    if not volumes or not amounts:
        return ""
    across = _Scale(min(volumes), max(volumes), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(min(amounts), max(amounts), _HEIGHT - _BOTTOM, _TOP)
    drawn = [_grid(across, up)]
    legend = []
    for number, (name, points) in enumerate(chart.lines):
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
        stroke = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        drawn += [f'<polyline {stroke} points="{run}"/>' for run in _runs(points, across, up)]
        y = _HEIGHT + 18 * number + 14
        legend.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + 36}" y1="{y - 4}" y2="{y - 4}" {stroke}/>'
            f'<text x="{_LEFT + 44}" y="{y}">{html.escape(name)}</text>'
        )
    if chart.at > 0:
        x = across(chart.at)
        drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#888"/>')
        drawn.append(f'<text x="{x:.1f}" y="{_TOP - 4}" text-anchor="middle">{chart.at:,.0f}</text>')
    height = _HEIGHT + 18 * len(chart.lines) + 10
    label = html.escape(chart.title)
    return _figure(height, label, "".join(drawn + legend))


def _figure(height: int, label: str, drawn: str) -> str:
    """A drawing that a narrow screen scrolls: shrunk to it, nobody could read its words."""
    svg = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{drawn}</svg>'
    return f'<div class="scroll" tabindex="0">{svg}</div>'


class _Scale:
    """Logarithmic, whole decades."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.first = math.floor(math.log10(low))
        self.last = max(self.first + 1, math.ceil(math.log10(high)))
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self._start + share * (self._end - self._start)


def _grid(across: _Scale, up: _Scale) -> str:
    lines = []
    for decade in range(across.first, across.last + 1):
        x = across(10.0**decade)
        lines.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#8883"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_short(decade)}</text>'
        )
    for decade in range(up.first, up.last + 1):
        y = up(10.0**decade)
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8883"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(decade)}</text>'
        )
    return "".join(lines)


def _short(decade: int) -> str:
    if decade < 0:
        return f"{10.0**decade:g}"
    return f"{10 ** (decade % 3)}{('', 'k', 'M', 'G', 'T')[decade // 3]}"


def _runs(points: tuple[tuple[float, float | None], ...], across: _Scale, up: _Scale) -> list[str]:
    """Unbroken pieces of a line as SVG points."""
    runs: list[list[str]] = [[]]
    for calls, usd in points:
        if usd is None or usd <= 0 or calls <= 0:
            runs.append([])
        else:
            runs[-1].append(f"{across(calls):.1f},{up(usd):.1f}")
    return [" ".join(run) for run in runs if run]


def _bars(bars: Bars) -> str:
    whole = max(sum(size for _, size in bars.parts), bars.limit) * 1.05
    x, drawn = 0.0, []
    for number, (name, size) in enumerate(bars.parts):
        width = size / whole * _WIDTH
        colour = _COLOURS[number % len(_COLOURS)]
        drawn.append(f'<rect x="{x:.1f}" y="8" width="{width:.1f}" height="28" fill="{colour}"/>')
        drawn.append(
            f'<rect x="{220 * number}" y="62" width="12" height="12" fill="{colour}"/>'
            f'<text x="{220 * number + 18}" y="72">{html.escape(name)} {size:.2f} GiB</text>'
        )
        x += width
    limit = bars.limit / whole * _WIDTH
    drawn.append(
        f'<line x1="{limit:.1f}" x2="{limit:.1f}" y1="2" y2="44" stroke="currentColor" stroke-width="2"/>'
        f'<text x="{limit:.1f}" y="56" text-anchor="end">{bars.limit:.1f} GiB</text>'
    )
    label = html.escape(bars.title)
    return f"<p>{label}</p>{_figure(80, label, ''.join(drawn))}"
