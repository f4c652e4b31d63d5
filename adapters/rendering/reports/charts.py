"""The charts of an audit report as SVG. Every number in them also stands in a table; colors are classes of the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from html import escape
from itertools import pairwise
from math import ceil, log10

from adapters.rendering.html import SafeHtml
from adapters.rendering.reports.tables import length, percent
from application.report import Day

__all__ = ["GRADES", "grade", "heat_map", "lateness_chart", "success_chart", "weeks"]

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 220, 52, 12, 26
_PLOT = WIDTH - LEFT - 8
_KINDS = ("executed", "skipped", "pending", "missed", "failed")
_MOST_BARS = 180
_CELL, _ROWS = 16, 7
_WEEKS_A_ROW = 40
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


GRADES = {
    "all": "all",
    "most": "90% and more",
    "some": "half and more",
    "few": "fewer",
    "pending": "pending",
    "none": "nothing was to run",
}
"""How a day went, and in words."""


def grade(day: Day) -> str:
    """How a day went: ``all`` of what was to run did, ``most`` (90% and more), ``some`` (half and more), or ``few``.

    ``pending``: nothing of it is decided; ``none``: nothing was to run.
    """
    if day.rate is None:
        return "pending" if day.pending else "none"
    if day.rate == 100:
        return "all"
    return "most" if day.rate >= 90 else "some" if day.rate >= 50 else "few"


def weeks(days: Sequence[Day]) -> list[list[Day | None]]:
    """The days by weeks of seven, Monday first; None outside of them."""
    if not days:
        return []
    by_date = {day.date: day for day in days}
    monday = days[0].date - timedelta(days=days[0].date.weekday())
    count = (days[-1].date - monday).days // 7 + 1
    return [[by_date.get(monday + timedelta(days=7 * week + day)) for day in range(7)] for week in range(count)]


# --- success over time ---


def success_chart(days: Sequence[Day]) -> SafeHtml:
    """What became of the slots, a bar a day (or of several days, where there are many)."""
    size = max(1, ceil(len(days) / _MOST_BARS))
    groups = [days[start : start + size] for start in range(0, len(days), size)]
    counts = [{kind: sum(getattr(day, kind) for day in group) for kind in _KINDS} for group in groups]
    top = _round_up(max((sum(one.values()) for one in counts), default=1))
    step = _PLOT / max(1, len(groups))
    parts = [_grid([(share * top / 4, f"{share * top / 4:g}") for share in range(5)], top)]
    for number, (group, count) in enumerate(zip(groups, counts, strict=True)):
        x, base = LEFT + number * step, float(HEIGHT - BOTTOM)
        parts.append(f"<g><title>{escape(_said(group, count))}</title>")
        for kind in _KINDS:
            if count[kind]:
                tall = count[kind] / top * (HEIGHT - BOTTOM - TOP)
                base -= tall
                parts.append(_rect(kind, x, base, max(0.6, step * 0.82), tall))
        parts.append("</g>")
    parts.append(_dates([group[0].date for group in groups], step))
    unit = "a day" if size == 1 else f"each of {size} days"
    totals = ", ".join(f"{sum(one[kind] for one in counts):,} {kind}" for kind in _KINDS)
    return _svg("success", HEIGHT, "Success over time", f"Slots, a bar {unit}: {totals}.", parts)


def _said(group: Sequence[Day], count: dict[str, int]) -> str:
    span = " to ".join(dict.fromkeys(day.date.isoformat() for day in (group[0], group[-1])))
    return f"{span}: " + (", ".join(f"{number} {kind}" for kind, number in count.items() if number) or "no slots")


# --- lateness ---


def lateness_chart(days: Sequence[Day]) -> SafeHtml:
    """How late slots started, day by day: half of them within, 95% within, and the latest, on a logarithmic scale.

    It begins with seconds, or where everything was on time within one, with milliseconds.
    """
    most = max((day.lateness.most for day in days if day.lateness), default=0.0)
    unit = 1.0 if most >= 1 else 0.001
    ticks = [(seconds, label) for seconds, label in _TICKS if seconds == 0 or unit <= seconds <= max(most, unit) * 4]

    def height(seconds: float) -> float:
        return log10(1 + max(0.0, seconds) / unit)

    top = height(max(most * 1.2, 10 * unit))
    step = _PLOT / max(1, len(days))
    parts = [_grid([(height(seconds), label) for seconds, label in ticks], top)]
    for name in ("most", "p95", "p50"):
        points = [
            (LEFT + (number + 0.5) * step, _y(height(getattr(day.lateness, name)), top), number)
            for number, day in enumerate(days)
            if day.lateness is not None
        ]
        for (x, y, at), (next_x, next_y, after) in pairwise(points):
            if after == at + 1:  # a day without a start breaks the line
                parts.append(f'<line class="{name}" x1="{x:.1f}" y1="{y:.1f}" x2="{next_x:.1f}" y2="{next_y:.1f}"/>')
        if step > 5:
            parts += [f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y, _ in points]
    for number, day in enumerate(days):
        if (late := day.lateness) is not None:
            said = (
                f"{day.date}: half within {length(late.p50)}, 95% within {length(late.p95)}, latest {length(late.most)}"
            )
            parts.append(_rect("hover", LEFT + number * step, TOP, step, HEIGHT - BOTTOM - TOP, said))
    parts.append(_dates([day.date for day in days], step))
    desc = f"Time from the slot to the first attempt, by day. The latest start was {length(most)} late."
    return _svg("lateness", HEIGHT, "Lateness", desc, parts)


_TICKS = (
    (0, "0"), (0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"),
    (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (21600, "6 h"), (86400, "1 d"),
    (864000, "10 d"),
)  # fmt: skip


# --- the calendar ---


def heat_map(days: Sequence[Day]) -> SafeHtml:
    """A square a day: the color says how much of what was to run did; the worse, the smaller the square."""
    columns = weeks(days)
    bands = [columns[start : start + _WEEKS_A_ROW] for start in range(0, len(columns), _WEEKS_A_ROW)]
    tall = (_ROWS + 1) * _CELL + 10
    parts = []
    for band_number, band in enumerate(bands):
        y = band_number * tall
        parts += [
            f'<text class="axis" x="0" y="{y + (row + 2) * _CELL - 4}">{_DAYS[row]}</text>' for row in (0, 2, 4, 6)
        ]
        months = [next((day.date.year, day.date.month) for day in week if day is not None) for week in band]
        for column, week in enumerate(band):
            x = 26 + column * (_CELL + 1)
            begins, stays = not column or months[column] != months[column - 1], set(months[column : column + 3])
            if begins and (len(stays) == 1 or len(set(months)) == 1):  # where the next one begins at once is no room
                year, month = months[column]
                parts.append(f'<text class="axis" x="{x}" y="{y + 10}">{_MONTHS[month - 1]} {year}</text>')
            parts += [_square(day, x, y + (row + 1) * _CELL) for row, day in enumerate(week) if day is not None]
    wide = 26 + max((len(band) for band in bands), default=1) * (_CELL + 1) + 40
    good = sum(grade(day) == "all" for day in days)
    trouble = sum(grade(day) in ("most", "some", "few") for day in days)
    desc = f"{len(days)} days, a square each: {good} without trouble, {trouble} on which slots failed or were missed."
    return _svg("calendar", len(bands) * tall, "Calendar", desc, parts, wide=wide, scale=1.3 if wide < 400 else 1)


_SIZES = {"all": 15, "most": 13, "some": 11, "few": 9, "pending": 7, "none": 5}


def _square(day: Day, x: int, y: int) -> str:
    kind = grade(day)
    size = _SIZES[kind]
    inset = (_CELL - size) / 2
    said = f"{day.date}: {percent(day.rate)} of {day.executed + day.failed + day.missed} slots succeeded"
    return _rect(f"day-{kind}", x + inset, y + inset, size, size, said)


# --- what charts share ---


def _svg(
    id: str, height: int, title: str, desc: str, parts: Sequence[str], *, wide: int = WIDTH, scale: float = 1
) -> SafeHtml:
    size = f'width="{wide * scale:.0f}" height="{height * scale:.0f}"'
    return SafeHtml(
        f'<svg class="chart {id}" viewBox="0 0 {wide} {height}" {size} role="img" '
        f'aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{escape(title)}</title>'
        f'<desc id="{id}-desc">{escape(desc)}</desc>{"".join(parts)}</svg>'
    )


def _rect(kind: str, x: float, y: float, wide: float, tall: float, said: str = "") -> str:
    rect = f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    return f"{rect}><title>{escape(said)}</title></rect>" if said else f"{rect}/>"


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP)


def _grid(ticks: Sequence[tuple[float, str]], top: float) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" y1="{_y(value, top):.1f}" x2="{WIDTH - 8}" y2="{_y(value, top):.1f}"/>'
        f'<text class="axis" x="{LEFT - 8}" y="{_y(value, top) + 4:.1f}" text-anchor="end">{escape(label)}</text>'
        for value, label in ticks
        if value <= top
    )


def _dates(dates: Sequence[date], step: float) -> str:
    every = max(1, ceil(len(dates) / 8))
    return "".join(
        f'<text class="axis" x="{LEFT + (number + 0.4) * step:.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{day.day} {_MONTHS[day.month - 1]}</text>"
        for number, day in enumerate(dates)
        if number % every == 0 and LEFT + number * step < WIDTH - 24
    )


def _round_up(value: int) -> int:
    """The next number of which a fourth is a whole number and reads well."""
    size = 1
    while True:
        for step in (4, 8, 12, 20, 32):
            if step * size >= value:
                return step * size
        size *= 10
