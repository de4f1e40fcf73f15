"""Charts as SVG, for people who see them and people who do not.

Rules:

1. A chart is a figure: a caption, a drawing with a title and a description, and all of its numbers in a table that is
   folded beside it. Nothing is told by the drawing alone.
2. It has no style of its own (the portal's policy forbids that) and no script: `portal.css` colours its classes, light
   and dark. Sizes are the drawing's own, which is scaled to the page.
3. Where nothing is known there is a gap, and no zero.

Source: WAI-ARIA Graphics Module; SVG Accessibility API Mappings.
"""

import math
from collections.abc import Sequence
from typing import Final

from attrs import frozen
from markupsafe import Markup, escape

__all__ = ["Point", "bar_chart", "line_chart"]

WIDTH: Final = 640
HEIGHT: Final = 220
LEFT: Final = 52
RIGHT: Final = 12
TOP: Final = 14
BOTTOM: Final = 30
MAX_POINTS: Final = 400


@frozen
class Point:
    """One value, and what it is of, such as a day."""

    label: str
    value: float | None
    shown: str | None = None
    """The value as the table says it; by default the number with the chart's unit."""


def line_chart(
    name: str, caption: str, points: Sequence[Point], *, unit: str, top: float | None = None, x_label: str = "Day"
) -> Markup:
    """A line over time.

    Args:
        name: a word that no other chart of the page has; it becomes part of ids.
        caption: what the chart shows, in a few words.
        points: oldest first; at most `MAX_POINTS`.
        unit: behind each number, such as `ms` or `%`.
        top: the end of the scale; by default above the largest value.
        x_label: what the points' labels are.
    """
    scale = _Scale.of(points, top)
    parts = []
    for run in _runs(points, scale):
        if len(run) == 1:
            ((x, y),) = run
            parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
            continue
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
        base = scale.y(0)
        parts.append(f'<polygon class="area" points="{run[0][0]:.1f},{base:.1f} {line} {run[-1][0]:.1f},{base:.1f}"/>')
        parts.append(f'<polyline class="line" points="{line}"/>')
    return _figure(name, caption, points, scale, "".join(parts), unit, x_label)


def bar_chart(
    name: str, caption: str, points: Sequence[Point], *, unit: str, top: float | None = None, x_label: str = "Day"
) -> Markup:
    """Bars; the arguments are those of `line_chart`."""
    scale = _Scale.of(points, top)
    width = max(1.0, scale.step * 0.7)
    parts = []
    for place, point in enumerate(points):
        if point.value is not None:
            y = scale.y(point.value)
            height = max(1.0, scale.y(0) - y)
            parts.append(
                f'<rect class="bar" x="{scale.x(place) - width / 2:.1f}" y="{scale.y(0) - height:.1f}"'
                f' width="{width:.1f}" height="{height:.1f}"/>'
            )
    return _figure(name, caption, points, scale, "".join(parts), unit, x_label)


@frozen
class _Scale:
    """From places and values to the drawing's coordinates."""

    count: int
    top: float

    @classmethod
    def of(cls, points: Sequence[Point], top: float | None) -> "_Scale":
        assert len(points) <= MAX_POINTS, len(points)
        largest = max((point.value for point in points if point.value is not None), default=0.0)
        return cls(len(points), top if top is not None else _round_up(largest))

    @property
    def step(self) -> float:
        return (WIDTH - LEFT - RIGHT) / max(1, self.count)

    def x(self, place: int) -> float:
        return LEFT + (place + 0.5) * self.step

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, value / self.top))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _runs(points: Sequence[Point], scale: _Scale) -> list[list[tuple[float, float]]]:
    """The coordinates, cut where a value is missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place, point in enumerate(points):
        if point.value is None:
            runs.append([])
        else:
            runs[-1].append((scale.x(place), scale.y(point.value)))
    return [run for run in runs if run]


def _figure(
    name: str, caption: str, points: Sequence[Point], scale: _Scale, drawn: str, unit: str, x_label: str
) -> Markup:
    title, described = f"chart-{name}-title", f"chart-{name}-about"
    return Markup(  # noqa: S704  (what comes from outside is escaped: caption, labels, unit)
        f'<figure class="chart-figure"><figcaption>{escape(f"{caption} ({unit})" if unit else caption)}</figcaption>'
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{title} {described}">'
        f'<title id="{title}">{escape(caption)}</title><desc id="{described}">{escape(_said(points, unit))}</desc>'
        f"{_axes(points, scale)}{drawn}</svg>"
        f"<details><summary>The numbers</summary>{_table(caption, points, unit, x_label)}</details></figure>"
    )


def _axes(points: Sequence[Point], scale: _Scale) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = scale.y(share * scale.top)
        kind = "axis" if not share else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        # The unit is in the caption: beside each number there is no room for it.
        words = _tick(share * scale.top)
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
    for place in sorted({0, len(points) // 2, len(points) - 1} if points else set()):
        anchor = "start" if not place else "end" if place == len(points) - 1 else "middle"
        label = escape(points[place].label)
        parts.append(f'<text x="{scale.x(place):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)


def _said(points: Sequence[Point], unit: str) -> str:
    """The drawing in a sentence."""
    known = [point for point in points if point.value is not None]
    if not known:
        return "There are no values yet."
    values = [point.value for point in known if point.value is not None]
    many = "1 value" if len(known) == 1 else f"{len(known)} values"
    return (
        f"{many} from {known[0].label} to {known[-1].label}, between {_number(min(values))} and "
        f"{_number(max(values))} {unit}; the last is {_number(values[-1])} {unit}."
    )


def _table(caption: str, points: Sequence[Point], unit: str, x_label: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(point.label)}</th><td class="amount">{escape(_cell(point, unit))}</td></tr>'
        for point in points
    )
    return (
        f'<div class="table"><table><caption>{escape(caption)}</caption><thead><tr><th scope="col">'
        f'{escape(x_label)}</th><th scope="col" class="amount">Value</th></tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _cell(point: Point, unit: str) -> str:
    if point.shown is not None:
        return point.shown
    return "not known" if point.value is None else f"{_number(point.value)} {unit}".strip()


def _tick(value: float) -> str:
    """A number of the scale, in at most seven characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 10 * size or (value >= size and letter != "k"):
            return f"{value / size:g}\u202f{letter}"
    return _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f") if value >= 100 or value == int(value) else f"{value:.1f}"
