"""What a schedule will do, as people read it: slots in both times, a month calendar, what an edit moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from adapters.cli import show
from adapters.cli.times import local, relative
from application.preview import Day, Month, Move, Preview, Slot, compare, next_slots

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from application.views import TaskView
    from domain.schedule import Schedule

__all__ = ["print_left_out", "print_month", "print_moves", "print_next", "print_preview"]

_WEEK = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_MOST_MOVES = 20


def _when(slot: Slot) -> str:
    wall = slot.local
    time = f"{wall:%H:%M}" if wall.second == 0 else f"{wall:%H:%M:%S}"
    return f"{wall:%a %Y-%m-%d} {time} {slot.abbreviation}"


def _in_utc(slot: Slot) -> str:
    return f"{slot.utc:%Y-%m-%d %H:%M}Z" if slot.utc.second == 0 else f"{slot.utc:%Y-%m-%d %H:%M:%S}Z"


def print_next(schedule: Schedule, now: datetime) -> None:
    """The next three slots, in one line."""
    slots = next_slots(schedule, after=now, count=3)
    show.line("next slots: " + ("; ".join(f"{_when(slot)} ({_in_utc(slot)})" for slot in slots) or "none"))


def print_preview(seen: Preview, months: Sequence[Month], now: datetime) -> None:
    """The rule in words, its slots, the months, and what may surprise."""
    show.line(show.plain(seen.words))
    rows = [
        (_when(slot), slot.offset, _in_utc(slot), relative(slot.utc, now), show.plain(slot.note or ""))
        for slot in seen.slots
    ]
    if rows:
        show.line()
        show.display(show.table((seen.timezone, "offset", "UTC", "", "note"), rows))
    for month in months:
        show.line()
        print_month(month)
    if seen.warnings or seen.notes:
        show.line()
    for warning in seen.warnings:
        show.line(f"warning: {show.plain(warning)}")
    for note in seen.notes:
        show.line(f"note: {show.plain(note)}")


def print_month(month: Month) -> None:
    """A calendar month: days with a slot are marked, with their number where there are several."""
    rows: list[list[Text | str]] = [[""] * month.days[0].day.weekday()]
    for day in month.days:
        if len(rows[-1]) == 7:
            rows.append([])
        rows[-1].append(_cell(day))
    rows[-1] += [""] * (7 - len(rows[-1]))
    count = f"{month.slots} slot" + ("" if month.slots == 1 else "s")
    show.line(f"{month.name}: {count}" + (" (* has one, *3 has three)" if month.slots else ""))
    show.display(_centered(show.table(_WEEK, rows).drawn()))


def _centered(table: Table) -> Table:
    for column in table.columns:
        column.min_width = 5
    return table


def _cell(day: Day) -> Text:
    from rich.text import Text

    number = f"{day.day.day:2}"
    if not day.slots:
        return Text(number, style="dim")
    return Text(f"{number}*" if day.slots == 1 else f"{number}*{day.slots}", style="bold green")


def print_moves(before: Schedule, after: Schedule, now: datetime) -> None:
    """Upcoming slots before and after an edit, side by side."""
    moves = compare(before, after, now=now, count=5)
    show.display(
        show.table(
            (f"before ({before.timezone})", f"after ({after.timezone})", ""),
            [_move_row(move) for move in moves[:_MOST_MOVES]],
        )
    )
    if len(moves) > _MOST_MOVES:
        show.line(f"and {len(moves) - _MOST_MOVES} more")


def print_left_out(task: TaskView, now: datetime) -> None:
    """Until when nothing runs, where slots were left out in advance: whatever the schedule is by then."""
    until = task.slots_after(now)
    if until > now and not task.status.ended:
        show.note(
            f"note: slots were left out in advance: nothing runs until {local(until, task.timezone, now)} "
            f"({relative(until, now)}), also where the schedule changes"
        )


def _move_row(move: Move) -> tuple[str, str, Text]:
    from rich.text import Text

    styles = {"same": "dim", "moved": "yellow", "new": "green", "dropped": "red"}
    before = _when(move.before) if move.before else "-"
    after = _when(move.after) if move.after else "-"
    return before, after, Text(move.kind, style=styles[move.kind])
