"""Small SVG plots for the report and for Dagster metadata. No plotting library, no script, no external font.

Every function returns one self-contained `<svg>` 380 units wide, which is what a phone shows without scaling the text
away; reports lay them out side by side where there is room.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

WIDTH = 380
INK, MUTED, FAINT, LINE, TRACK = "#16202b", "#5a6675", "#dfe4ea", "#b9c2cd", "#eef1f4"
BASE, ADAPTER, REFERENCE = "#8593a5", "#0f6e84", "#c77d11"
VERDICT_COLOURS = {"better": "#157347", "worse": "#b3261e", "insufficient": "#7a8594"}
SERIES_COLOURS = (ADAPTER, REFERENCE, "#6b4ea0", "#157347", BASE)
_FONT = "'Pretendard','Apple SD Gothic Neo','Malgun Gothic','Noto Sans KR','Noto Sans CJK KR',system-ui,sans-serif"

Point = tuple[float, float]


@dataclass(frozen=True)
class IntervalRow:
    """One line of a forest plot: a difference and its interval. `verdict` gives the colour."""

    label: str
    value: float
    low: float
    high: float
    verdict: str = "insufficient"


def forest(
    rows: Sequence[IntervalRow], margin: float = 0.0, title: str = "", decimals: int = 3, reach: float | None = None
) -> str:
    """Differences with their intervals around zero; the grey band is the margin below which nothing matters. `reach`:
    largest difference on the axis, for plots that must share a scale."""
    if not rows:
        return empty(title)
    ends = [bound for row in rows for bound in (row.low, row.high, row.value) if math.isfinite(bound)]
    reach = 1.08 * (reach or max([abs(end) for end in ends] + [2 * margin, 1e-6]))
    left, right, top, pitch = 8.0, WIDTH - 8.0, 4.0, 44.0
    bottom = top + pitch * len(rows)

    def x(value: float) -> float:
        return left + (max(-reach, min(reach, value)) + reach) / (2 * reach) * (right - left)

    parts = [
        _rect(x(-margin), top, x(margin) - x(-margin), bottom - top, TRACK),
        _line(x(0), top, x(0), bottom, LINE),
    ]
    for i, row in enumerate(rows):
        parts += _forest_row(row, top + i * pitch, x, decimals)
    for tick in _ticks(-reach, reach, 5):
        parts += [
            _line(x(tick), bottom, x(tick), bottom + 4, LINE),
            _text(x(tick), bottom + 17, _minus(f"{tick:+g}") if tick else "0", 11, MUTED, "middle"),
        ]
    return _svg(parts, bottom + 24, title)


def _forest_row(row: IntervalRow, y: float, x: Callable[[float], float], decimals: int) -> list[str]:
    colour, middle = VERDICT_COLOURS.get(row.verdict, MUTED), y + 29
    figures = _minus(f"{row.value:+.{decimals}f} [{row.low:+.{decimals}f}, {row.high:+.{decimals}f}]")
    low, centre, high = (x(bound) for bound in (row.low, row.value, row.high))
    return [
        _line(0, y, WIDTH, y, FAINT, 0.8),
        _text(8, y + 15, _clip(row.label, 26), 12.5, INK),
        _text(WIDTH - 8, y + 15, figures, 11.5, colour, "end", weight=600),
        _line(low, middle, high, middle, colour, 2.5),
        _line(low, middle - 4, low, middle + 4, colour, 1.5),
        _line(high, middle - 4, high, middle + 4, colour, 1.5),
        f'<circle cx="{centre:.1f}" cy="{middle}" r="4.5" fill="{colour}"/>',
    ]


def bars(
    values: Mapping[str, float],
    title: str = "",
    unit: str = "",
    colours: Mapping[str, str] | None = None,
    decimals: int = 0,
) -> str:
    """Horizontal bars from zero, each with its label above and its value beside."""
    if not values:
        return empty(title)
    top, pitch, width = 2.0, 39.0, WIDTH - 100.0
    highest = max(max(values.values()), 1e-12)
    parts = []
    for i, (label, value) in enumerate(values.items()):
        y, length = top + i * pitch, max(1.0, width * value / highest)
        colour = (colours or {}).get(label, ADAPTER)
        parts += [
            _text(8, y + 12, _clip(label, 34), 12, INK),
            _rect(8, y + 17, width, 9, TRACK, 2),
            _rect(8, y + 17, length, 9, colour, 2),
            _text(width + 16, y + 26, f"{value:,.{decimals}f}{unit}", 12, INK, weight=600),
        ]
    return _svg(parts, top + pitch * len(values) + 4, title)


def stacked(
    rows: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    title: str = "",
    notes: Mapping[str, str] | None = None,
) -> str:
    """One bar of full width per row, cut into the shares of its parts, with a note at its right end.

    rows: label → part → amount; parts in the order of `colours`, which is the legend as well."""
    if not rows:
        return empty(title)
    parts = _legend([(name, colour, "") for name, colour in colours.items()])
    top, pitch = 12.0 + 17.0 * math.ceil(len(colours) / 2), 39.0
    for i, (label, amounts) in enumerate(rows.items()):
        y, x, total = top + i * pitch, 8.0, max(sum(amounts.values()), 1e-12)
        parts += [
            _text(8, y + 12, _clip(label, 22), 12, INK),
            _text(WIDTH - 8, y + 12, (notes or {}).get(label, ""), 11.5, MUTED, "end"),
        ]
        for name, colour in colours.items():
            width = (WIDTH - 16.0) * amounts.get(name, 0) / total
            if width:
                named = f"<title>{escape(name)} {amounts[name]:,g}</title>"
                parts.append(f"<g>{named}{_rect(x, y + 17, width, 13, colour)}</g>")
            x += width
    return _svg(parts, top + pitch * len(rows), title)


def heatmap(
    rows: Mapping[str, Sequence[int]], columns: Sequence[str], title: str = "", right: Sequence[int] | None = None
) -> str:
    """Counts as a table of cells that are darker the larger their share of the row.

    rows: label → counts, one per column · right: per row the column that is as it should be, drawn in another colour."""
    if not rows:
        return empty(title)
    left, top, pitch = 152.0, 22.0, 25.0
    width = (WIDTH - left - 4) / len(columns)
    parts = [_text(left + (j + 0.5) * width, 14, name, 11, MUTED, "middle") for j, name in enumerate(columns)]
    for i, (label, counts) in enumerate(rows.items()):
        y, total = top + i * pitch, max(sum(counts), 1)
        parts.append(_text(4, y + 16, _clip(label, 12.2), 11.5, INK))
        for j, n in enumerate(counts):
            colour = VERDICT_COLOURS["better" if right is not None and right[i] == j else "worse"]
            cell = f'x="{left + j * width + 1:.1f}" y="{y + 1:.1f}" width="{width - 2:.1f}" height="{pitch - 2:.1f}"'
            share = n / total
            parts.append(f'<rect {cell} rx="3" fill="{colour}" fill-opacity="{0.04 + 0.8 * share:.2f}"/>')
            ink = "#ffffff" if share > 0.55 else INK if n else LINE
            parts.append(_text(left + (j + 0.5) * width, y + 16.5, str(n) if n else "·", 11, ink, "middle"))
    return _svg(parts, top + pitch * len(rows) + 4, title)


def curves(
    series: Mapping[str, Sequence[Point]],
    title: str = "",
    x_label: str = "",
    references: Mapping[str, float] | None = None,
    height: float = 210.0,
    x_names: Mapping[float, str] | None = None,
) -> str:
    """Lines over a common x, with dashed horizontal reference levels (chance, the base model). Points that are not
    finite are left out. x_names: what stands at which x, instead of numbers."""
    lines = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in series.items()}
    lines = {name: points for name, points in lines.items() if points}
    levels = {name: level for name, level in (references or {}).items() if math.isfinite(level)}
    if not lines:
        return empty(title)
    frame = _Frame.around(
        [p for points in lines.values() for p in points], levels.values(), height, len(lines) + len(levels)
    )
    parts = frame.axes(x_label, x_names=x_names)
    for level in levels.values():
        parts.append(_line(frame.left, frame.y(level), frame.right, frame.y(level), MUTED, 1.2, "5 4"))
    colours = dict(zip(lines, SERIES_COLOURS * len(lines), strict=False))
    for name, points in lines.items():
        path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2" stroke-linejoin="round"/>'
        )
        if len(points) <= 20:
            parts += [
                f'<circle cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="3" fill="{colours[name]}"/>' for a, b in points
            ]
    keys = [(name, colours[name], "") for name in lines] + [(f"{n} {v:.3g}", MUTED, "5 4") for n, v in levels.items()]
    return _svg(parts + _legend(keys), height, title)


def histogram(
    edges: Sequence[float],
    counts: Mapping[str, Sequence[int]],
    title: str = "",
    x_label: str = "",
    marks: Mapping[str, float] | None = None,
) -> str:
    """Densities of one or more groups over common bins; each group is scaled to its own total, so that shapes compare.

    edges: (n_bins + 1,). counts: group → (n_bins,). marks: named places on the x axis, drawn as dashed lines."""
    groups = {name: values for name, values in counts.items() if sum(values)}
    if not groups:
        return empty(title)
    shares = {name: [v / sum(values) for v in values] for name, values in groups.items()}
    highest = max(max(values) for values in shares.values())
    frame = _Frame.around([(edges[0], 0.0), (edges[-1], highest)], [], 190.0, len(groups) + len(marks or {}))
    parts = frame.axes(x_label, y_ticks=False)
    colours = dict(zip(groups, SERIES_COLOURS * len(groups), strict=False))
    for name, values in shares.items():
        corners = [
            (e, v) for left, right, v in zip(edges, edges[1:], values, strict=False) for e, v in ((left, v), (right, v))
        ]
        path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in [(edges[0], 0.0), *corners, (edges[-1], 0.0)])
        colour = colours[name]
        parts.append(
            f'<polygon points="{path}" fill="{colour}" fill-opacity=".16" stroke="{colour}" stroke-width="1.5"/>'
        )
    for place in (marks or {}).values():
        parts.append(_line(frame.x(place), frame.top, frame.x(place), frame.bottom, INK, 1.2, "5 4"))
    keys = [(f"{name} ({sum(groups[name]):,})", colours[name], "") for name in groups]
    keys += [(f"{name} {place:g}", INK, "5 4") for name, place in (marks or {}).items()]
    return _svg(parts + _legend(keys), 190.0, title)


def empty(title: str = "") -> str:
    """A plot that says that there is nothing to draw."""
    return _svg([_text(WIDTH / 2, 26, "자료 없음 · no data", 12, MUTED, "middle")], 44.0, title)


def svg_data_uri_markdown(svg: str, alt: str = "plot") -> str:
    """Markdown image with the SVG inside, for Dagster metadata and Markdown files that must stand alone."""
    encoded = base64.b64encode(svg.encode()).decode()
    return f"![{alt.replace(']', ')').replace('[', '(')}](data:image/svg+xml;base64,{encoded})"


@dataclass(frozen=True)
class _Frame:
    """The scale of a plot with two axes."""

    left: float
    right: float
    top: float
    bottom: float
    x_range: Point
    y_range: Point

    @classmethod
    def around(cls, points: Sequence[Point], levels: Iterable[float], height: float, legend_rows: int) -> _Frame:
        xs, ys = [p[0] for p in points], [p[1] for p in points] + list(levels)
        pad = 0.06 * (max(ys) - min(ys)) or 0.05 * abs(max(ys)) or 1.0
        low = min(ys) if min(ys) == 0 else min(ys) - pad
        top = 12.0 + 17.0 * math.ceil(legend_rows / 2)
        return cls(46.0, WIDTH - 10.0, top, height - 36.0, (min(xs), max(xs) or 1.0), (low, max(ys) + pad))

    def x(self, value: float) -> float:
        span = self.x_range[1] - self.x_range[0] or 1.0
        return self.left + (value - self.x_range[0]) / span * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y_range[0]) / (self.y_range[1] - self.y_range[0]) * (self.bottom - self.top)

    def axes(self, x_label: str, y_ticks: bool = True, x_names: Mapping[float, str] | None = None) -> list[str]:
        parts = [_line(self.left, self.bottom, self.right, self.bottom, LINE)]
        for tick in _ticks(*self.y_range, 4) if y_ticks else []:
            parts += [
                _line(self.left, self.y(tick), self.right, self.y(tick), FAINT, 0.8),
                _text(self.left - 6, self.y(tick) + 4, f"{tick:g}", 11, MUTED, "end"),
            ]
        for tick, name in (x_names or {tick: f"{tick:g}" for tick in _ticks(*self.x_range, 5)}).items():
            anchor = "end" if self.x(tick) > WIDTH - 24 else "middle"
            parts.append(_text(self.x(tick), self.bottom + 15, name, 11, MUTED, anchor))
        return [*parts, _text((self.left + self.right) / 2, self.bottom + 30, x_label, 11, MUTED, "middle")]


def _legend(keys: Sequence[tuple[str, str, str]]) -> list[str]:
    """Two entries to a line."""
    parts = []
    for i, (name, colour, dash) in enumerate(keys):
        x, y = 8.0 + (i % 2) * (WIDTH / 2), 12.0 + 17.0 * (i // 2)
        parts += [_line(x, y - 4, x + 18, y - 4, colour, 2.5, dash), _text(x + 24, y, _clip(name, 22), 11.5, INK)]
    return parts


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers inside [low, high], near `about` of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    scale = 10 ** math.floor(math.log10(raw))
    step = next(s * scale for s in (1, 2, 5, 10) if s * scale >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _clip(text: str, width: float) -> str:
    """At most `width` full-width characters; a Latin letter counts half."""
    used = 0.0
    for i, character in enumerate(text):
        used += 1 if ord(character) > 0x2E80 else 0.55
        if used > width:
            return text[: i - 1] + "…"
    return text


def _minus(text: str) -> str:
    return text.replace("-", "−").replace("inf", "∞")


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dashed}/>'


def _rect(x: float, y: float, width: float, height: float, colour: str, radius: float = 0.0) -> str:
    size = f'width="{width:.1f}" height="{height:.1f}" rx="{radius:g}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{colour}"/>'


def _text(x: float, y: float, text: str, size: float, colour: str, anchor: str = "start", weight: int = 400) -> str:
    style = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    named = f"<title>{escape(title)}</title>" if title else ""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
    label = f" aria-label={quoteattr(title)}" if title else ""
    return f'{head}{label} width="{WIDTH}" height="{height:.0f}" font-family="{_FONT}">{named}{"".join(parts)}</svg>'
