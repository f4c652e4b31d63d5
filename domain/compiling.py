"""From a Schedule to the engine that computes its slots."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

from domain.calendar import (
    CronDays,
    Days,
    EveryNDays,
    MonthlyDays,
    MovedDays,
    NthWeekdays,
    Weekdays,
    WithoutDays,
    month_of_day,
)
from domain.cron import parse_cron
from domain.errors import InvalidSchedule
from domain.event import epoch_microseconds
from domain.holiday import holiday_calendar
from domain.schedule_checks import check_day_of_month, check_days, checked_every, seconds_of_day
from domain.schedule_kinds import NAMED_CRON, HolidayPolicy, MonthEnd, ScheduleType
from domain.slots import Bounded, Engine, Grid, OnDays, Shifted, Single, Union, WallClock
from domain.walltime import WallTimes
from domain.zone import zone, zone_info

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = ["anchor_wall", "compile_rule", "compile_schedule", "cron_text", "weekdays_of"]

_EPOCH_DATE = date(1970, 1, 1)
_EPOCH_MONDAY = 4  # 5 January 1970: what whole-day intervals without an anchor count from
_HALF_WEEKLY_DAYS = (0, 3)
_MONTH_STEPS = {ScheduleType.MONTHLY: 1, ScheduleType.QUARTERLY: 3, ScheduleType.YEARLY: 12}
_EVERY_DAY = Weekdays(frozenset(range(7)))
_WEEKEND = frozenset((5, 6))


def compile_schedule(schedule: Schedule) -> Engine:
    """The engine of a schedule. Raises InvalidSchedule or InvalidTimezone."""
    engine = compile_rule(schedule)
    if schedule.spread:
        engine = Shifted(engine, _spread_seconds(schedule) * 1_000_000)
    if schedule.start is not None or schedule.end is not None:
        first = None if schedule.start is None else epoch_microseconds(schedule.start)
        last = None if schedule.end is None else epoch_microseconds(schedule.end)
        engine = Bounded(engine, first, last)
    if schedule.also:
        engine = _union([engine, *(other.engine for other in schedule.also)])
    return engine


def _union(engines: list[Engine]) -> Engine:
    """All slots of all engines. Rules that differ in days and times alone become one, which counts by arithmetic."""
    found: list[Engine] = []
    for engine in engines:
        for i, earlier in enumerate(found):
            if isinstance(engine, WallClock) and isinstance(earlier, WallClock) and (both := earlier.merged(engine)):
                found[i] = both
                break
        else:
            found.append(engine)
    return found[0] if len(found) == 1 else Union(tuple(found))


def _spread_seconds(schedule: Schedule) -> int:
    window = int(schedule.spread.total_seconds()) if schedule.spread else 0
    number = int.from_bytes(blake2b(f"{schedule.key}\0spread".encode(), digest_size=8).digest())
    return number % window if window else 0


def compile_rule(schedule: Schedule) -> Engine:
    """The engine of the rule alone: without spread, bounds and further rules. Raises as ``compile_schedule`` does."""
    kind = schedule.type
    if kind is ScheduleType.ONCE:
        if schedule.at is None:
            raise InvalidSchedule("at", None, "is missing: a once schedule needs its instant", "give a date and time")
        return _on_days(schedule, Single(epoch_microseconds(schedule.at)))
    if kind is ScheduleType.CUSTOM or kind in NAMED_CRON:
        rule = parse_cron(NAMED_CRON.get(kind) or cron_text(schedule), schedule.key)
        days = CronDays(rule) if rule.weekdays is None else Weekdays(rule.weekdays)
        return _wall_clock(schedule, days, rule.times, rule.real_instants)
    if kind is ScheduleType.INTERVAL:
        every = checked_every(schedule.every)
        if every % timedelta(days=1):
            origin = epoch_microseconds(schedule.anchor) if schedule.anchor else 0
            return _on_days(schedule, Grid(origin, every // timedelta(microseconds=1)))
        return _whole_days(schedule, every.days)
    return _wall_clock(schedule, _days(schedule), (seconds_of_day(schedule.time),))


def _wall_clock(schedule: Schedule, days: Days, times: tuple[int, ...], real_instants: bool = False) -> WallClock:
    gap, fold = ("skip", "both") if real_instants else (schedule.gap.value, schedule.fold.value)
    return WallClock(WallTimes(_open_days(schedule, days), times), zone(schedule.timezone), gap, fold)


def _on_days(schedule: Schedule, engine: Engine) -> Engine:
    """An engine that knows no days, kept to the days that the schedule allows."""
    days = _open_days(schedule, _EVERY_DAY)
    return engine if days is _EVERY_DAY else OnDays(engine, zone(schedule.timezone), days)


def _open_days(schedule: Schedule, days: Days) -> Days:
    """The days that remain, and those that others move to, after holidays, weekends and excluded dates."""
    if schedule.holidays is not None or schedule.business_days:
        calendar = holiday_calendar(schedule.holidays) if schedule.holidays is not None else None
        weekend = calendar.weekend if calendar else _WEEKEND
        off_weekend = weekend if schedule.business_days else frozenset[int]()

        def holiday(day: int) -> bool:
            return calendar is not None and day in calendar.days(month_of_day(day)[0] // 12)

        def off(day: int) -> bool:
            return (day + 3) % 7 in off_weekend or holiday(day)

        def closed(day: int) -> bool:
            return (day + 3) % 7 in weekend or holiday(day)

        step = {HolidayPolicy.SKIP: 0, HolidayPolicy.NEXT: 1, HolidayPolicy.PREVIOUS: -1}[schedule.on_holiday]
        days = MovedDays(days, off, closed, step)
    if schedule.exclude:
        days = WithoutDays(days, frozenset((day - _EPOCH_DATE).days for day in schedule.exclude))
    return days


def cron_text(schedule: Schedule) -> str:
    """The expression of a CUSTOM schedule. Raises InvalidSchedule when there is none."""
    if schedule.cron is None:
        remedy = 'such as "30 9 * * mon-fri"'
        raise InvalidSchedule("cron", None, "is missing: a custom schedule needs a cron expression", remedy)
    return schedule.cron


def anchor_wall(schedule: Schedule) -> datetime:
    """The anchor as local time (naive); the start of 1970 where a schedule has none."""
    if schedule.anchor is None:
        return datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock time
    return schedule.anchor.astimezone(zone_info(schedule.timezone)).replace(tzinfo=None)


def weekdays_of(schedule: Schedule) -> tuple[int, ...]:
    """The weekdays (0=Monday) of a WEEKLY or HALF_WEEKLY schedule, or those that a week of the month is about."""
    if schedule.days:
        return check_days(schedule.days)
    if schedule.type is ScheduleType.HALF_WEEKLY:
        return _HALF_WEEKLY_DAYS
    return (anchor_wall(schedule).weekday(),) if schedule.anchor else (0,)


def _days(schedule: Schedule) -> Days:
    step = _MONTH_STEPS.get(schedule.type)
    if step is None:
        return _EVERY_DAY if schedule.type is ScheduleType.DAILY else Weekdays(frozenset(weekdays_of(schedule)))
    origin = (schedule.month or anchor_wall(schedule).month) - 1
    if schedule.week_of_month is not None:
        return NthWeekdays(frozenset(weekdays_of(schedule)), schedule.week_of_month, step, origin)
    day = anchor_wall(schedule).day if schedule.day_of_month is None else schedule.day_of_month
    check_day_of_month(day)
    return MonthlyDays(day, schedule.month_end is MonthEnd.CLAMP, step, origin)


def _whole_days(schedule: Schedule, step: int) -> Engine:
    if schedule.anchor is None:
        return _wall_clock(schedule, EveryNDays(_EPOCH_MONDAY, step), (seconds_of_day(schedule.time),))
    wall = anchor_wall(schedule)
    seconds = wall.hour * 3600 + wall.minute * 60 + wall.second
    return _wall_clock(schedule, EveryNDays((wall.date() - _EPOCH_DATE).days, step), (seconds,))
