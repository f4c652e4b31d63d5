"""A schedule in words, and what may surprise its owner."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.compiling import anchor_wall, cron_text, weekdays_of
from domain.cron import parse_cron
from domain.schedule_checks import checked_every
from domain.schedule_kinds import HolidayPolicy, MonthEnd, ScheduleType
from domain.zone import zone_info

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = ["MONTHS", "describe", "warnings_for"]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
_NAMED = {
    ScheduleType.FIFTEEN_MINUTES: "every 15 minutes",
    ScheduleType.HOURLY: "every hour",
    ScheduleType.EVERY_4_HOURS: "every 4 hours",
}
_MONTHLY_KINDS = (ScheduleType.MONTHLY, ScheduleType.QUARTERLY, ScheduleType.YEARLY)


def describe(schedule: Schedule) -> str:
    """The rule in words, such as "every day at 09:00 in Europe/Berlin"."""
    parts = [_rule(schedule), *_days_off(schedule), *_bounds(schedule)]
    words = ", ".join(parts[1:])
    said = f"{parts[0]} in {schedule.timezone}" + (f", {words}" if words else "")
    return "; and ".join([said, *(describe(other) for other in schedule.also)])


def _rule(schedule: Schedule) -> str:
    kind, time = schedule.type, schedule.time
    if kind in _NAMED:
        return _NAMED[kind]
    if kind is ScheduleType.ONCE:
        return f"once on {_local(schedule, schedule.at)}" if schedule.at else "once"
    if kind is ScheduleType.CUSTOM:
        return f'at cron "{schedule.cron}"'
    if kind is ScheduleType.INTERVAL:
        return f"every {_length(checked_every(schedule.every))}" + _from_anchor(schedule)
    if kind is ScheduleType.DAILY:
        return f"every {'business ' if _skips_to_business(schedule) else ''}day at {time}"
    if kind in _MONTHLY_KINDS:
        return f"{_months(schedule)} on {_day_of_month(schedule)} at {time}"
    return f"every {_listed([_WEEKDAYS[day] for day in weekdays_of(schedule)])} at {time}"


def _skips_to_business(schedule: Schedule) -> bool:
    return schedule.business_days and schedule.on_holiday is HolidayPolicy.SKIP


def _months(schedule: Schedule) -> str:
    if schedule.type is ScheduleType.MONTHLY:
        return "every month"
    first = (schedule.month or anchor_wall(schedule).month) - 1
    if schedule.type is ScheduleType.YEARLY:
        return f"every year in {MONTHS[first]}"
    return f"every quarter ({_listed([MONTHS[month] for month in range(first % 3, 12, 3)])})"


def _day_of_month(schedule: Schedule) -> str:
    if schedule.week_of_month is not None:
        named = [_WEEKDAYS[day] for day in weekdays_of(schedule)]
        return f"the {_NTH[schedule.week_of_month]} {_listed(named)}"
    day = anchor_wall(schedule).day if schedule.day_of_month is None else schedule.day_of_month
    return "the last day" if day == -1 else f"day {day}"


def _local(schedule: Schedule, instant: datetime) -> str:
    return f"{instant.astimezone(zone_info(schedule.timezone)):%Y-%m-%d at %H:%M}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _length(every: timedelta, one: str = "") -> str:
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(every.total_seconds(), size)
        if count and not rest:
            return f"{one}{unit}" if count == 1 else f"{count:.0f} {unit}s"
    return f"{every.total_seconds():g} seconds"


def _from_anchor(schedule: Schedule) -> str:
    return f" from {anchor_wall(schedule):%Y-%m-%d %H:%M}" if schedule.anchor else ""


def _days_off(schedule: Schedule) -> list[str]:
    said = []
    if schedule.holidays or schedule.business_days:
        calendar = f" ({schedule.holidays})" if schedule.holidays else ""
        off = "days off" if schedule.business_days else "holidays"
        if schedule.on_holiday is HolidayPolicy.SKIP:
            said.append(f"not on {off}{calendar}")
        else:
            said.append(f"{off}{calendar} move to the {schedule.on_holiday} business day")
    if schedule.exclude:
        count = len(schedule.exclude)
        said.append(f"not on {schedule.exclude[0]}" if count == 1 else f"not on {count} excluded dates")
    return said


def _bounds(schedule: Schedule) -> list[str]:
    said = []
    if schedule.start:
        said.append(f"from {_local(schedule, schedule.start)}")
    if schedule.end:
        said.append(f"until {_local(schedule, schedule.end)}")
    if schedule.spread:
        said.append(f"spread over {_length(schedule.spread, one='1 ')}")
    return said


def warnings_for(schedule: Schedule) -> list[str]:
    """What may surprise the owner of this schedule, one sentence each."""
    found = []
    if schedule.type is ScheduleType.CUSTOM:
        found = parse_cron(cron_text(schedule), schedule.key).warnings()
    elif schedule.type in _MONTHLY_KINDS:
        found = _month_warnings(schedule)
    for other in schedule.also:
        found += warnings_for(other)
    return found


def _month_warnings(schedule: Schedule) -> list[str]:
    if schedule.week_of_month is not None:
        return ["it runs only in months that have a fifth one"] if schedule.week_of_month == 5 else []
    day = anchor_wall(schedule).day if schedule.day_of_month is None else schedule.day_of_month
    if day < 29:
        return []
    if schedule.month_end is MonthEnd.CLAMP:
        return [f"in months without a day {day} it runs on the last day"]
    return [f"in months without a day {day} it does not run"]
