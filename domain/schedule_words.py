"""A schedule in words, and what may surprise its owner. ``domain.phrases`` reads the same words back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from domain.compiling import anchor_wall, cron_text, weekdays_of
from domain.cron import parse_cron
from domain.schedule_checks import checked_every, seconds_of_day
from domain.schedule_kinds import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, ScheduleType
from domain.zone import zone_info

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = ["FOLD_WORDS", "GAP_WORDS", "LENGTHS", "MONTHS", "NTH", "WEEKDAYS", "describe", "plain", "warnings_for"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
LENGTHS = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
"""Units of time and their seconds, the longest first."""

_MISSING, _TWICE = "if the hour does not exist", "if the hour comes twice"
GAP_WORDS = {
    GapPolicy.NEXT_VALID: f"run right after {_MISSING}",
    GapPolicy.SHIFT: f"shift {_MISSING}",
    GapPolicy.SKIP: f"skip {_MISSING}",
}
FOLD_WORDS = {
    FoldPolicy.FIRST: f"first time {_TWICE}",
    FoldPolicy.SECOND: f"second time {_TWICE}",
    FoldPolicy.BOTH: f"both times {_TWICE}",
}
_NAMED = {
    ScheduleType.FIFTEEN_MINUTES: "every 15 minutes",
    ScheduleType.HOURLY: "every hour",
    ScheduleType.EVERY_4_HOURS: "every 4 hours",
}
_WEEKLY_KINDS = (ScheduleType.WEEKLY, ScheduleType.HALF_WEEKLY)
_MONTHLY_KINDS = (ScheduleType.MONTHLY, ScheduleType.QUARTERLY, ScheduleType.YEARLY)
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


# --- one form for schedules that mean the same


def plain(schedule: Schedule) -> Schedule:
    """The same rule with everything it takes from its anchor written out, and without what means nothing to its kind.

    Its slots are the same. The key is left out: it is the task's, and nobody says it.
    """
    kind = schedule.type
    monthly, nth = kind in _MONTHLY_KINDS, schedule.week_of_month is not None
    days_off = schedule.holidays is not None or schedule.business_days
    timed = kind is ScheduleType.DAILY or kind in _WEEKLY_KINDS or monthly
    update: dict[str, Any] = {
        "key": "",
        "time": _time_of_day(seconds_of_day(schedule.time)) if timed else "09:00",
        "days": weekdays_of(schedule) if kind in _WEEKLY_KINDS or (monthly and nth) else (),
        "cron": " ".join(cron_text(schedule).split()) if kind is ScheduleType.CUSTOM else None,
        "every": checked_every(schedule.every) if kind is ScheduleType.INTERVAL else None,
        "anchor": _origin(schedule) if kind is ScheduleType.INTERVAL else None,
        "at": schedule.at if kind is ScheduleType.ONCE else None,
        "day_of_month": _day_of_month(schedule) if monthly and not nth else None,
        "week_of_month": schedule.week_of_month if monthly else None,
        "month": _month(schedule),
        "on_holiday": schedule.on_holiday if days_off else HolidayPolicy.SKIP,
        "spread": schedule.spread or None,
        "also": tuple(plain(rule) for rule in schedule.also),
    }
    return schedule.model_copy(update=update)


def _day_of_month(schedule: Schedule) -> int:
    return anchor_wall(schedule).day if schedule.day_of_month is None else schedule.day_of_month


def _month(schedule: Schedule) -> int | None:
    if schedule.type not in (ScheduleType.QUARTERLY, ScheduleType.YEARLY):
        return None
    month = schedule.month or anchor_wall(schedule).month
    return month if schedule.type is ScheduleType.YEARLY else (month - 1) % 3 + 1


def _origin(schedule: Schedule) -> datetime:
    """The first slot of an interval's grid."""
    whole_days = not checked_every(schedule.every) % _DAY
    if schedule.anchor is not None:
        return schedule.anchor.replace(microsecond=0) if whole_days else schedule.anchor
    if not whole_days:
        return datetime(1970, 1, 1, tzinfo=UTC)
    monday = datetime(1970, 1, 5, tzinfo=zone_info(schedule.timezone))
    return (monday + timedelta(seconds=seconds_of_day(schedule.time))).astimezone(UTC)


# --- words


def describe(schedule: Schedule) -> str:
    """The schedule in words, such as "every day at 09:00 in Europe/Berlin"; ``parse_phrase`` reads them back."""
    rule = plain(schedule)
    return "; and ".join(_said(part) for part in (rule, *rule.also))


def _said(rule: Schedule) -> str:
    return ", ".join([f"{_rule(rule)} in {rule.timezone}", *_days_off(rule), *_bounds(rule), *_policies(rule)])


def _rule(rule: Schedule) -> str:
    kind, time = rule.type, rule.time
    if kind in _NAMED:
        return _NAMED[kind]
    if kind is ScheduleType.ONCE:
        return f"once on {_moment(rule, rule.at)}" if rule.at else "once"
    if kind is ScheduleType.CUSTOM:
        return f"cron {rule.cron}"
    if kind is ScheduleType.INTERVAL:
        return f"every {_length(checked_every(rule.every))}" + f" from {_moment(rule, rule.anchor)}"
    if kind is ScheduleType.DAILY:
        return f"every {'business ' if _skips_to_business(rule) else ''}day at {time}"
    if kind in _MONTHLY_KINDS:
        return f"{_on_the_day(rule)} at {time}"
    if kind is ScheduleType.HALF_WEEKLY:
        return f"half-weekly on {_weekdays(rule)} at {time}"
    return f"every {'weekday' if rule.days == (0, 1, 2, 3, 4) else _weekdays(rule)} at {time}"


def _skips_to_business(rule: Schedule) -> bool:
    return rule.type is ScheduleType.DAILY and rule.business_days and rule.on_holiday is HolidayPolicy.SKIP


def _weekdays(rule: Schedule) -> str:
    return _listed([WEEKDAYS[day] for day in rule.days])


def _on_the_day(rule: Schedule) -> str:
    day = rule.day_of_month
    if rule.week_of_month is not None:
        named = f"the {NTH[rule.week_of_month]} {_weekdays(rule)}"
    else:
        named = "the last day" if day == -1 else f"the {_ordinal(day or 1)}"
    if rule.type is ScheduleType.MONTHLY:
        return f"on {named} of every month"
    month = (rule.month or 1) - 1
    if rule.type is ScheduleType.QUARTERLY:
        return f"every quarter on {named} of {_listed([MONTHS[m] for m in range(month, 12, 3)])}"
    if rule.week_of_month is None and day != -1:
        return f"every year on {day} {MONTHS[month]}"
    return f"every year on {named} of {MONTHS[month]}"


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 11 <= number <= 13 else endings.get(number % 10, 'th')}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _length(length: timedelta) -> str:
    microseconds = length // _INSTANT
    for unit, seconds in LENGTHS.items():
        count, rest = divmod(microseconds, seconds * 1_000_000)
        if count and not rest:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06}".rstrip("0") + " seconds"


def _time_of_day(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


def _local(rule: Schedule, instant: datetime) -> datetime | None:
    """The local time, where it names this instant and no other."""
    zone = zone_info(rule.timezone)
    try:
        wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        return wall if wall.replace(tzinfo=zone).astimezone(UTC) == instant else None
    except OverflowError:
        return None


def _moment(rule: Schedule, instant: datetime | None) -> str:
    assert instant is not None
    wall = _local(rule, instant)
    if wall is None:
        return instant.isoformat().replace("+00:00", "Z")
    time = wall.time().isoformat()
    return f"{wall.date()} at {time.removesuffix(':00') if time.count(':') == 2 else time}"


def _days_off(rule: Schedule) -> list[str]:
    off = []
    if rule.business_days and not _skips_to_business(rule):
        off.append("weekends")
    if rule.holidays:
        off.append(f"holidays in {rule.holidays}")
    said = []
    if off:
        moves = f" move to the {rule.on_holiday} business day"
        said.append(f"except {_listed(off)}" if rule.on_holiday is HolidayPolicy.SKIP else _listed(off) + moves)
    if rule.exclude:
        said.append(f"except {_listed(list(_dates(rule.exclude)))}")
    return said


def _dates(dates: Sequence[date]) -> Iterator[str]:
    """Dates, with three or more in a row as first to last."""
    start = 0
    for index, day in enumerate(dates):
        if index + 1 < len(dates) and dates[index + 1] == day + _DAY:
            continue
        row = dates[start : index + 1]
        yield from [f"{row[0]} to {row[-1]}"] if len(row) > 2 else map(str, row)
        start = index + 1


def _bounds(rule: Schedule) -> list[str]:
    said = []
    if rule.start:
        said.append(f"starting {_moment(rule, rule.start)}")
    if rule.end:
        over = _local(rule, rule.end + _INSTANT) if rule.end.year < 9999 else None
        whole_day = over is not None and over == datetime.combine(over.date(), datetime.min.time())
        said.append(f"until {over.date() - _DAY if over is not None and whole_day else _moment(rule, rule.end)}")
    if rule.spread:
        said.append(f"spread over {_length(rule.spread)}")
    return said


def _policies(rule: Schedule) -> list[str]:
    said = []
    if rule.gap is not GapPolicy.NEXT_VALID:
        said.append(GAP_WORDS[rule.gap])
    if rule.fold is not FoldPolicy.FIRST:
        said.append(("the " if rule.fold is FoldPolicy.SECOND else "") + FOLD_WORDS[rule.fold])
    if rule.month_end is MonthEnd.SKIP:
        said.append("skip months without that day")
    return said


# --- surprises


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
    day = _day_of_month(schedule)
    if day < 29:
        return []
    if schedule.month_end is MonthEnd.CLAMP:
        return [f"in months without a day {day} it runs on the last day"]
    return [f"in months without a day {day} it does not run"]
