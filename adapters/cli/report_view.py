"""An audit report at a terminal: what matters first, colored bars, and a calendar of block characters."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from adapters.cli import show
from adapters.rendering.reports.charts import GRADES, grade, weeks
from adapters.rendering.reports.tables import (
    Column,
    Kind,
    Table,
    heading,
    length,
    notes,
    percent,
    period,
    shown,
    tables,
)

if TYPE_CHECKING:
    from application.report import Day, Report

__all__ = ["print_report", "report_text"]

TEXT_WIDTH = 120
_NARROWEST = 60
_WIDE = 110
"""Where a terminal is narrower, what happened is told in sentences."""
_MOST_ROWS = 15
_SHOWN = {
    "models": ("model", "requests", "input_tokens", "output_tokens", "cost_usd"),
    "accounts": ("task", "status", "implied", "executed", "failed", "skipped", "pending", "on_request", "adds_up"),
    "fates": ("fate", "slots"),
    "findings": ("task", "kind", "position", "words"),
    "outages": ("since", "until", "seconds"),
    "causes": ("attempts", "tasks", "what", "said"),
    "destinations": ("type", "place", "delivered", "failed", "unknown", "last_reason"),
    "slowest": ("duration_seconds", "slot", "task", "attempts", "state"),
    "changes": ("at", "subject", "field", "before", "after", "who", "reason", "told"),
    "timeline": ("position", "at", "subject", "event", "what", "who", "reason", "told"),
}
"""Tables and columns that a terminal shows; ``rates``, ``spreads`` and ``days`` are drawn."""

_BARS = (
    ("executed", "█", "green"), ("failed", "▓", "red"), ("missed", "▒", "yellow"), ("skipped", "░", "bright_black"),
    ("pending", "·", "cyan"),
)  # fmt: skip
_SIGNS = {
    "all": ("█", "green"), "most": ("▓", "bright_green"), "some": ("▒", "yellow"), "few": ("░", "red"),
    "pending": ("·", "cyan"), "none": (" ", ""),
}  # fmt: skip


def print_report(report: Report) -> None:
    """Print it as wide as the terminal is; a file or a pipe gets 120 columns without color."""
    if sys.stdout.isatty():
        console = Console(highlight=False, file=sys.stdout)
        for part in _parts(report, max(_NARROWEST, console.width)):
            console.print(part, overflow="fold")
        return
    sys.stdout.write(report_text(report))
    sys.stdout.flush()


def report_text(report: Report, width: int = TEXT_WIDTH) -> str:
    """The same as plain text."""
    text = io.StringIO()
    console = Console(file=text, width=width, no_color=True, force_terminal=False, highlight=False)
    for part in _parts(report, width):
        console.print(part, overflow="fold")
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _parts(report: Report, width: int) -> Iterator[Any]:
    yield Text(heading(report), style="bold")
    yield Text(period(report), style="dim")
    for note in notes(report):
        yield Text(note, style="bold red" if note.startswith("ALARM") else "dim")
    yield ""
    yield from _figures(report)
    if report.days:
        yield from ("", Text("Calendar", style="bold"), *_calendar(report.days, width))
        yield from ("", Text("Day by day", style="bold"), *_bars(report.days, width))
    for table in tables(report):
        if table.key in _SHOWN:
            yield from ("", Text(table.title, style="bold"), *_table(table, report.timezone, width))


# --- figures ---


def _figures(report: Report) -> Iterator[Text]:
    of = report.figures
    attempts = f"{of.attempts:,}: {of.attempts_failed:,} failed, {of.attempts_interrupted:,} cut short"
    deliveries = f"{of.delivered:,} arrived, {of.undelivered:,} failed, {of.unknown:,} unknown"
    for name, rate, words in (
        ("runs", of.run_rate, f"{of.executed:,} executed, {of.failed:,} failed, {of.skipped:,} skipped"),
        ("attempts", of.attempt_rate, attempts),
        ("deliveries", of.delivery_rate, deliveries),
        ("service up", report.up_rate, _down(report)),
    ):
        yield Text.assemble(f"{name:<11}", _meter(rate), f" {percent(rate):>6}  ", (words, "dim"))
    for name, spread in (("lateness", of.lateness), ("duration", of.duration)):
        words = "-"
        if spread is not None:
            shares = ((spread.p50, "half within"), (spread.p95, "95% within"), (spread.most, "at most"))
            words = ", ".join(f"{label} {length(value)}" for value, label in shares)
        yield Text.assemble(f"{name:<11}", words)


def _down(report: Report) -> str:
    if report.down_seconds is None:
        return "no process is known"
    return f"down for {length(report.down_seconds)}"


def _meter(rate: float | None, size: int = 20) -> Text:
    if rate is None:
        return Text("·" * size, style="dim")
    full = round(rate / 100 * size) if rate in (0, 100) else min(size - 1, max(1, round(rate / 100 * size)))
    color = "green" if rate >= 99 else "yellow" if rate >= 90 else "red"
    return Text.assemble(("█" * full, color), ("░" * (size - full), "bright_black"))


# --- days ---


def _calendar(days: Sequence[Day], width: int) -> Iterator[Text]:
    columns = weeks(days)
    cell = 2 if 4 + 2 * len(columns) <= width else 1
    fit = max(1, (width - 4) // cell)
    for start in range(0, len(columns), fit):
        band = columns[start : start + fit]
        yield _months(band, cell)
        for row, name in enumerate(("Mon", "", "Wed", "", "Fri", "", "Sun")):
            line = Text().append(f"{name:<4}", style="dim")
            for week in band:
                sign, color = _SIGNS[grade(day)] if (day := week[row]) is not None else (" ", "")
                line.append(sign * cell, style=color)
            yield line
    used = {grade(day) for day in days}
    legend = Text("    ")
    for name, words in GRADES.items():
        if name in used - {"none"}:
            legend.append(_SIGNS[name][0], style=_SIGNS[name][1]).append(f" {words}  ", style="dim")
    yield legend


def _months(band: Sequence[Sequence[Day | None]], cell: int) -> Text:
    line = " " * 4
    months = [next(day.date.month for day in week if day is not None) for week in band]
    for column, month in enumerate(months):
        begins, stays = month != (months[column - 1] if column else 0), months[column : column + 4 // cell]
        if begins and (set(stays) == {month} or len(set(months)) == 1):
            line = line.ljust(4 + column * cell) + f"{_MONTH_NAMES[month - 1]} "
    return Text(line, style="dim")


_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _bars(days: Sequence[Day], width: int) -> Iterator[Text]:
    """A bar a day; of a long period a bar a month."""
    by_month = len(days) > 62
    groups = [
        (key, list(group)) for key, group in groupby(days, lambda d: f"{d.date:%Y-%m}" if by_month else f"{d.date}")
    ]
    counts = [(key, {name: sum(getattr(day, name) for day in group) for name, _, _ in _BARS}) for key, group in groups]
    most = max((sum(count.values()) for _, count in counts), default=1) or 1
    said = [_day_words(count) for _, count in counts]
    room = max(10, min(60, width - 12 - max(map(len, said)) - 1))
    for (key, count), words in zip(counts, said, strict=True):
        line = Text().append(f"{key:<12}", style="dim")
        drawn = until = 0
        for number, (name, sign, color) in enumerate(_BARS):
            if count[name]:
                until = max(round(sum(count[n] for n, _, _ in _BARS[: number + 1]) / most * room), drawn + 1)
                line.append(sign * (until - drawn), style=color)
                drawn = until
        yield line.append(f" {words}", style="dim")
    used = [bar for bar in _BARS if any(count[bar[0]] for _, count in counts)]
    legend = Text(" " * 12)
    for name, sign, color in used:
        legend.append(sign, style=color).append(f" {name}  ", style="dim")
    yield legend


def _day_words(count: dict[str, int]) -> str:
    trouble = [f"{count[name]:,} {name}" for name, _, _ in _BARS[1:] if count[name]]
    return ", ".join([f"{count['executed']:,}", *trouble])


# --- tables ---


def _table(table: Table, timezone: str, width: int) -> Iterator[Any]:
    if not table.rows:
        yield Text(table.empty, style="dim")
        return
    numbers = {column.key: number for number, column in enumerate(table.columns)}
    if width < _WIDE and table.key in _SENTENCES:
        table = _told(table, timezone)
        numbers = {"at": 0, "told": 1}
    kept = [(numbers[key], table.columns[numbers[key]]) for key in _SHOWN[table.key] if key in numbers]
    kept = [(n, column) for n, column in kept if any(row[n] not in (None, "") for row in table.rows)]
    rows = table.rows
    hidden = max(0, len(rows) - _MOST_ROWS)
    if hidden:
        # Of what happened the last is what people look for; of all else the first.
        rows = rows[-_MOST_ROWS:] if table.key in ("timeline", "changes") else rows[:_MOST_ROWS]
    labels = [column.label for _, column in kept]
    cells = [[_cell(row[n], column.kind, timezone) for n, column in kept] for row in rows]
    yield show.table(labels, cells, right=[column.label for _, column in kept if column.kind.right])
    if hidden:
        which = "earlier" if table.key in ("timeline", "changes") else "more"
        yield Text(f"{hidden:,} {which}; --output report.html shows all.", style="dim")


def _told(table: Table, timezone: str) -> Table:
    """The same with one sentence a row, where there is no room for all columns side by side."""
    keys = [column.key for column in table.columns]
    rows = tuple(
        (row[keys.index("at")], _SENTENCES[table.key]({key: cell or "" for key, cell in zip(keys, row, strict=True)}))
        for row in table.rows
    )
    return replace(table, columns=(Column("at", "at", Kind.INSTANT), Column("told", "what happened")), rows=rows)


def _sentence(row: dict[str, Any]) -> str:
    what = f"{row['subject']}: {row['event']}" + (f" ({row['what']})" if row["what"] else "")
    return what + (f" by {row['who']}" if row["who"] else "") + (f": {row['reason']}" if row["reason"] else "")


def _edit_sentence(row: dict[str, Any]) -> str:
    what = f"{row['subject']}: {row['field']} from {row['before'] or 'nothing'} to {row['after'] or 'nothing'}"
    return f"{what} by {row['who']}" + (f": {row['reason']}" if row["reason"] else "")


_SENTENCES = {"timeline": _sentence, "changes": _edit_sentence}


def _cell(value: Any, kind: Kind, timezone: str) -> Any:
    text = shown(value, kind, timezone)
    return show.state(text) if kind is Kind.STATE else text
