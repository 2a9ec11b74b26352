"""A plot of accuracy against a quantity (cost, latency) as inline SVG: no script, no font, no link.

Every text in it is escaped; colours come from the page's style sheet by class. Knows nothing of benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from scripts.report_svg import percent

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 14, 40
_LABEL_GAP = 13.0


@dataclass(frozen=True, slots=True)
class Dot:
    """One policy: where it stands, the interval of its accuracy, and what is written beside it."""

    label: str
    x: float
    y: float
    low: float
    high: float
    role: str


def scatter_svg(dots: Sequence[Dot], x_title: str, unit: Callable[[float], str]) -> str:
    """Return accuracy (0..1, upwards) against `x` on a logarithmic axis; says so when nothing was measured."""
    head = (
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="right against {escape(x_title)}">'
    )
    dots = [dot for dot in dots if dot.x > 0]
    if not dots:
        middle = f'<text class="tick" x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">not measured</text>'
        return f"{head}{middle}</svg>"
    first = math.floor(math.log10(min(dot.x for dot in dots)) - 0.05)
    last = math.ceil(math.log10(max(dot.x for dot in dots)) + 0.05)
    place = _Place(first, max(last, first + 1))
    parts = [head, *_axes(place, x_title, unit)]
    parts += [_dot(dot, place, unit) for dot in dots]
    parts += _labels(dots, place)
    return "".join(parts) + "</svg>"


@dataclass(frozen=True, slots=True)
class _Place:
    first: int
    last: int

    def x(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, share: float) -> float:
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes(place: _Place, x_title: str, unit: Callable[[float], str]) -> list[str]:
    parts = []
    for step in range(5):
        y = place.y(step / 4)
        name = "zero" if step == 0 else "grid"
        parts.append(f'<path class="{name}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{25 * step} %</text>')
    for power in range(place.first, place.last + 1):
        x = place.x(10.0**power)
        anchor = "end" if power == place.last else "middle"
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        label = escape(unit(10.0**power))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}">{label}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:.1f}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_title)}</text>')
    return parts


def _dot(dot: Dot, place: _Place, unit: Callable[[float], str]) -> str:
    x, y = place.x(dot.x), place.y(dot.y)
    title = escape(f"{dot.label}: {percent(dot.y)} right, {unit(dot.x)}")
    return (
        f'<g class="{escape(dot.role)}">'
        f'<path class="whisker" d="M{x:.1f} {place.y(dot.low):.1f}V{place.y(dot.high):.1f}"/>'
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{title}</title></circle></g>'
    )


def _labels(dots: Sequence[Dot], place: _Place) -> list[str]:
    """Names beside the dots, moved up or down to where no other stands."""
    parts: list[str] = []
    taken: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda one: -one.y):
        x, middle = place.x(dot.x), place.y(dot.y)
        y = _free(x, middle + 4, taken)
        taken.append((x, y))
        anchor, shift = ("end", -9) if x > WIDTH * 0.66 else ("start", 9)
        if abs(y - 4 - middle) > _LABEL_GAP / 2:
            parts.append(f'<path class="leader" d="M{x:.1f} {middle:.1f}L{x + shift * 0.8:.1f} {y - 4:.1f}"/>')
        name = f'<text class="name {escape(dot.role)}" x="{x + shift:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        parts.append(f"{name}{escape(dot.label)}</text>")
    return parts


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> float:
    """Return the height nearest to `y`, inside of the plot, where no label stands."""
    for distance in range(0, HEIGHT, 2):
        for candidate in (y + distance, y - distance):
            is_inside = TOP < candidate < HEIGHT - BOTTOM - 3
            near = (abs(candidate - there) < _LABEL_GAP and abs(x - at) < WIDTH * 0.4 for at, there in taken)
            if is_inside and not any(near):
                return candidate
    return y
