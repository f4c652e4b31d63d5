"""The growth as a picture: an SVG with one panel for what is due and one for what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.benchmarks.rows.growth import Point

__all__ = ["growth_plot"]

WIDTH, HEIGHT = 300, 220
"""Of a panel's inside."""

AXES = ("due", "stored")


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis over whole powers of ten, from ``low`` to ``high``, ``length`` long."""

    low: int
    high: int
    length: int

    @classmethod
    def over(cls, values: Sequence[float], length: int) -> Scale:
        """One that holds all of the values."""
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        return cls(low, max(high, low + 1), length)

    def at(self, value: float) -> float:
        """How far along the axis a value stands."""
        return round((log10(value) - self.low) / (self.high - self.low) * self.length, 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where the powers of ten stand, and how they are written."""
        return [(self.at(10.0**power), f"{10.0**power:,.10g}") for power in range(self.low, self.high + 1)]


@dataclass(frozen=True, slots=True)
class Panel:
    """One line over two axes, beside a line that says how it would be."""

    title: str
    below: str
    x: Scale
    y: Scale
    points: tuple[tuple[float, float, str], ...]
    ideal: tuple[tuple[float, float], tuple[float, float]]
    ideal_words: str


def growth_plot(points: Sequence[Point]) -> str:
    """The picture."""
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ideals = [seconds for axis in AXES for _, seconds in _ideal(_along(axis, points))]
    y = Scale.over([*ideals, *(point.seconds for point in points)], HEIGHT)
    panels = [_panel(axis, _along(axis, points), y) for axis in AXES]
    template = environment.get_template("growth.svg.j2")
    return template.render(panels=panels, width=WIDTH, height=HEIGHT) + "\n"


def _along(axis: str, points: Sequence[Point]) -> list[Point]:
    return sorted((point for point in points if point.axis == axis), key=lambda point: (point.due, point.stored))


def _value(point: Point) -> int:
    """Where a point stands on its axis."""
    return point.due if point.axis == "due" else point.stored


def _ideal(points: Sequence[Point]) -> list[tuple[int, float]]:
    """Linear in what is due, flat in what is stored, through the point in the middle: where that begins and ends."""
    middle = points[len(points) // 2]
    values = (_value(points[0]), _value(points[-1]))
    return [(v, middle.seconds * (v / middle.due if middle.axis == "due" else 1)) for v in values]


def _panel(axis: str, points: Sequence[Point], y: Scale) -> Panel:
    x = Scale.over([_value(point) for point in points], WIDTH)

    def place(value: float, seconds: float) -> tuple[float, float]:
        return x.at(value), round(HEIGHT - y.at(seconds), 1)

    begin, end = (place(*ideal) for ideal in _ideal(points))
    return Panel(
        title=f"among {points[0].stored:,} tasks" if axis == "due" else f"{points[0].due:,} due in one second",
        below="due in one second" if axis == "due" else "tasks stored",
        x=x,
        y=y,
        points=tuple((*place(_value(point), point.seconds), f"{point.seconds:.2g} s") for point in points),
        ideal=(begin, end),
        ideal_words="linear" if axis == "due" else "flat",
    )
