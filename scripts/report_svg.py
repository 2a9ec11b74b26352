"""Small drawings as inline SVG: a curve over steps, and a share with its interval. No script, no font, no link.

Every text in it is escaped; colours come from the page's style sheet by class. Knows nothing of runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 28
BAR_WIDTH, BAR_HEIGHT = 180, 22
MAX_DRAWN_POINTS = 400

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve to draw: `line` is joined, `dots` are marked one by one, `level` is a dashed line to compare with."""

    title: str
    line: Sequence[Point]
    dots: Sequence[Point]
    level: float | None
    is_share: bool

    def format(self, value: float) -> str:
        """Return a value as the chart's axis writes it."""
        return percent(value) if self.is_share else f"{value:.2f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """Return a share as a percentage: whole above 10 %, with one digit below."""
    digits = 1 if 0 < abs(value) < 0.0995 else 0
    return f"{100 * value:.{digits}f} %"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers from at most `low` to at least `high`."""
    span = (high - low) or 1.0
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def smooth(points: Sequence[Point], window: int) -> list[Point]:
    """Return the mean over the last `window` points at each point."""
    values = [y for _, y in points]
    means = (values[max(0, end - window) : end] for end in range(1, len(values) + 1))
    return [(x, sum(mean) / len(mean)) for (x, _), mean in zip(points, means, strict=True)]


def chart_svg(chart: Chart) -> str:
    """Return the drawing of a chart, or an empty frame that says so when it has no points."""
    points = [*chart.line, *chart.dots]
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">'
    if not points:
        middle = f'<text class="tick" x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">not measured</text>'
        return f"{head}{middle}</svg>"
    levels = [] if chart.level is None else [chart.level]
    values = [y for _, y in points] + levels + ([0.0] if chart.is_share else [])
    y_ticks, x_ticks = ticks(min(values), max(values)), ticks(0, max(x for x, _ in points), 5)
    x_end = max(x for x, _ in points)
    place_x = _scale(min(0.0, x_ticks[0]), x_end, LEFT, WIDTH - RIGHT)
    place_y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [head, *_grid(chart, y_ticks, [x for x in x_ticks if x <= x_end], place_x, place_y)]
    parts += [_hline("level", place_y(level)) for level in levels]
    parts += _curve(chart, place_x, place_y)
    return "".join(parts) + "</svg>"


def bar_svg(value: float, low: float, high: float, role: str) -> str:
    """Return a share of 0..1 as a bar, with its interval as a whisker on it."""
    x, x_low, x_high = (round(BAR_WIDTH * share, 1) for share in (value, low, high))
    middle = BAR_HEIGHT / 2
    label = f"{percent(value)}, interval {percent(low)} to {percent(high)}"
    return (
        f'<svg class="bar {escape(role)}" viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" role="img" aria-label="{label}">'
        f'<rect class="track" width="{BAR_WIDTH}" height="{BAR_HEIGHT}" rx="3"/>'
        f'<rect class="fill" width="{x}" height="{BAR_HEIGHT}" rx="3"/>'
        f'<path class="whisker" d="M{x_low} {middle}H{x_high}M{x_low} {middle - 4}v8M{x_high} {middle - 4}v8"/></svg>'
    )


def _grid(
    chart: Chart,
    y_ticks: Sequence[float],
    x_ticks: Sequence[float],
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    parts = []
    for tick in y_ticks:
        y = place_y(tick)
        label = escape(chart.format(tick))
        parts.append(_hline("zero" if tick == 0 else "grid", y))
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>')
    for tick in x_ticks:
        x = place_x(tick)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{tick:g}</text>')
    return parts


def _curve(chart: Chart, place_x: Callable[[float], float], place_y: Callable[[float], float]) -> list[str]:
    """The raw line faint and its running mean strong; dots joined by a thin line."""
    parts = []
    if chart.line:
        thin = chart.line[:: max(1, len(chart.line) // MAX_DRAWN_POINTS)]
        parts.append(f'<path class="raw" d="{_path(thin, place_x, place_y)}"/>')
        mean = smooth(chart.line, max(1, len(chart.line) // 12))[:: max(1, len(chart.line) // MAX_DRAWN_POINTS)]
        parts.append(f'<path class="mean" d="{_path(mean, place_x, place_y)}"/>')
    if chart.dots:
        parts.append(f'<path class="mean" d="{_path(chart.dots, place_x, place_y)}"/>')
    for x, y in chart.dots:
        title = f"step {x:g}: {escape(chart.format(y))}"
        parts.append(
            f'<circle class="dot" cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="3.5"><title>{title}</title></circle>'
        )
    return parts


def _path(points: Sequence[Point], place_x: Callable[[float], float], place_y: Callable[[float], float]) -> str:
    return "M" + "L".join(f"{place_x(x):.1f} {place_y(y):.1f}" for x, y in points)


def _hline(name: str, y: float) -> str:
    return f'<path class="{name}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)
