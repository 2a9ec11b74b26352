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
_CHAR_WIDTH = 6.7  # of a name, on average


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
    """Names beside the dots, moved to where neither a name nor another dot stands, with a line back to their own."""
    parts: list[str] = []
    taken = [_Box(place.x(dot.x) - 6, place.y(dot.y) - 6, place.x(dot.x) + 6, place.y(dot.y) + 6) for dot in dots]
    for dot in sorted(dots, key=lambda one: -one.y):
        x, y = place.x(dot.x), place.y(dot.y)
        box = _free(x, y, _CHAR_WIDTH * len(dot.label), taken)
        taken.append(box)
        baseline = box.bottom - 3
        if abs(baseline - 4 - y) > 6:
            near = box.left if box.left > x else box.right
            parts.append(f'<path class="leader" d="M{x:.1f} {y:.1f}L{near:.1f} {baseline - 4:.1f}"/>')
        anchor, start = ("start", box.left) if box.left > x else ("end", box.right)
        name = f'<text class="name {escape(dot.role)}" x="{start:.1f}" y="{baseline:.1f}" text-anchor="{anchor}">'
        parts.append(f"{name}{escape(dot.label)}</text>")
    return parts


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        beside = self.right < other.left or other.right < self.left
        return not (beside or self.bottom < other.top or other.bottom < self.top)


def _free(x: float, y: float, width: float, taken: Sequence[_Box]) -> _Box:
    """Return the place nearest to the dot, inside of the plot, that nothing taken meets."""
    boxes = [
        _Box(left, middle - 8, left + width, middle + 7)
        for distance in range(0, HEIGHT, 3)
        for middle in (y + distance, y - distance)
        for left in (x + 9, x - 9 - width)
    ]
    inside = [
        box
        for box in boxes
        if box.left > LEFT and box.right < WIDTH and box.top > TOP - 9 and box.bottom < HEIGHT - BOTTOM
    ]
    return next((box for box in inside if not any(box.meets(other) for other in taken)), boxes[0])
