"""What is odd about the slots of a stretch of time: clock changes and days off, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from domain.calendar import MovedDays, WithoutDays
from domain.compiling import compile_rule, cron_text
from domain.cron import parse_cron
from domain.event import epoch_microseconds
from domain.holiday import holiday_calendar
from domain.schedule_kinds import NAMED_CRON, FoldPolicy, GapPolicy, ScheduleType
from domain.schedule_words import MONTHS
from domain.slots import OddTime, WallClock
from domain.zone import zone_info

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = ["notes_between"]

_DAY = 86_400
_TIMES = {
    FoldPolicy.FIRST: "runs the first time",
    FoldPolicy.SECOND: "runs the second time",
    FoldPolicy.BOTH: "runs both times",
}


def notes_between(schedule: Schedule, start: datetime, end: datetime, limit: int = 20) -> list[str]:
    """The first ``limit`` oddities of slots between two instants (aware), rule by rule: local times that a clock change
    leaves out or repeats, and days off that move or drop a slot."""
    rules = (schedule, *schedule.also)
    notes = (note for rule in rules for note in _notes(rule, *_clipped(rule, start, end)))
    return list(islice(dict.fromkeys(notes), max(limit, 0)))


def _clipped(rule: Schedule, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    return max(start, rule.start or start), min(end, rule.end or end)


def _notes(rule: Schedule, start: datetime, end: datetime) -> Iterator[str]:
    engine = compile_rule(rule)
    if not isinstance(engine, WallClock) or end <= start:
        return
    if not _fires_all_day(rule):
        for odd in engine.odd_times(epoch_microseconds(start), epoch_microseconds(end)):
            yield _clock_note(rule, odd)
    zone = zone_info(rule.timezone)
    first, last = (_day_number(instant.astimezone(zone).date()) for instant in (start, end))
    for days in engine.days:
        moved = days.days if isinstance(days, WithoutDays) else days
        if isinstance(moved, MovedDays) and not _fires_all_day(rule):
            for day, target in moved.moves(first, last):
                runs = f"runs on {_date(target)}" if target else "does not run"
                yield f"{_date(day)} is a day off{_holiday(rule, day)}: {runs}"


def _holiday(rule: Schedule, day: int) -> str:
    name = holiday_calendar(rule.holidays).name_of(date(1970, 1, 1) + timedelta(days=day)) if rule.holidays else None
    return f", {name}" if name else ""


def _fires_all_day(rule: Schedule) -> bool:
    if rule.type is ScheduleType.CUSTOM:
        return parse_cron(cron_text(rule), rule.key).real_instants
    return rule.type in NAMED_CRON


def _clock_note(rule: Schedule, odd: OddTime) -> str:
    named = f"on {_date(odd.wall // _DAY)} {_time(odd.wall)}"
    if not odd.missing:
        return f"{named} comes twice in {rule.timezone}: {_TIMES[rule.fold]}"
    runs = {
        GapPolicy.NEXT_VALID: f"runs at {_moment(odd.until, odd.wall)}",
        GapPolicy.SHIFT: f"runs at {_moment(odd.wall + odd.seconds, odd.wall)}",
        GapPolicy.SKIP: "does not run",
    }
    return f"{named} does not exist in {rule.timezone}: {runs[rule.gap]}"


def _day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _date(day: int) -> str:
    at = date(1970, 1, 1) + timedelta(days=day)
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}"


def _time(wall: int) -> str:
    return f"{wall % _DAY // 3600:02}:{wall % 3600 // 60:02}"


def _moment(wall: int, named: int) -> str:
    """A local time, with its date where that is not the date of the time that was named."""
    same = wall // _DAY == named // _DAY
    return _time(wall) if same else f"{_time(wall)} on {_date(wall // _DAY)}"
