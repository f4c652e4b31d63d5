"""Schedules: the rule that says at which instants a task is due, and pure arithmetic over it.

Nothing here reads a clock. Slots are aware UTC datetimes. ``Schedule(...)`` itself checks only structure, so that every
event ever written stays loadable; what people type goes through ``make_schedule``, which refuses what makes no sense.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib.metadata import version
from itertools import islice
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.calendar import CronDays, Days, EveryNDays, MonthlyDays, Weekdays
from domain.cron import parse_cron
from domain.errors import InvalidSchedule
from domain.event import Utc, epoch_microseconds, utc
from domain.slots import Engine, Grid, Single, WallClock, WallTimes
from domain.zone import zone, zone_info, zone_version

__all__ = [
    "FoldPolicy",
    "GapPolicy",
    "MonthEnd",
    "Schedule",
    "ScheduleType",
    "between",
    "count_between",
    "describe",
    "make_schedule",
    "next_after",
    "previous_before",
    "rules_fingerprint",
    "warnings_for",
]


class ScheduleType(StrEnum):
    """The kinds of schedule."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    HALF_WEEKLY = "half-weekly"
    MONTHLY = "monthly"
    INTERVAL = "interval"
    CUSTOM = "custom"
    FIFTEEN_MINUTES = "fifteen-minutes"
    HOURLY = "hourly"
    EVERY_4_HOURS = "every-4-hours"


class GapPolicy(StrEnum):
    """What becomes of a local time that a clock change leaves out: it runs right after, as much later, or not."""

    NEXT_VALID = "next_valid"
    SHIFT = "shift"
    SKIP = "skip"


class FoldPolicy(StrEnum):
    """Which one counts when a clock change makes a local time come twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class MonthEnd(StrEnum):
    """What a day that a month does not have becomes: the month's last day, or nothing."""

    CLAMP = "clamp"
    SKIP = "skip"


_NAMED_CRON = {
    ScheduleType.FIFTEEN_MINUTES: "*/15 * * * *",
    ScheduleType.HOURLY: "0 * * * *",
    ScheduleType.EVERY_4_HOURS: "0 */4 * * *",
}
_HALF_WEEKLY_DAYS = (0, 3)
_DAY_SECONDS = 86_400
_EPOCH_MONTH = 1970 * 12


class Schedule(BaseModel):
    """A rule for slots. Everything that is needed to compute them is in it.

    ``time`` is wall-clock "HH:MM" in ``timezone``; ``days`` are weekdays with 0=Monday; ``every`` and ``anchor`` make
    the grid of an INTERVAL (whole days on the wall clock at the anchor's local time, anything else in elapsed time; the
    anchor is the first slot); the anchor's local date also gives a WEEKLY or MONTHLY schedule the day that it does not
    name itself; ``at`` is the instant of a ONCE. ``anchor`` and ``at`` are aware and kept in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="float")

    type: ScheduleType
    time: str = "09:00"
    days: tuple[int, ...] = ()
    cron: str | None = None
    every: timedelta | None = None
    day_of_month: int | None = None
    anchor: Utc | None = None
    at: Utc | None = None
    timezone: str = "UTC"
    gap: GapPolicy = GapPolicy.NEXT_VALID
    fold: FoldPolicy = FoldPolicy.FIRST
    month_end: MonthEnd = MonthEnd.CLAMP

    @cached_property
    def engine(self) -> Engine:
        """The compiled rule. Raises InvalidSchedule or InvalidTimezone for what ``make_schedule`` would refuse."""
        return _compile(self)

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied.__dict__.pop("engine", None)  # model_copy(update=...) must not carry the old rule's engine along
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()  # frozen values all the way down

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {k: v for k, v in state["__dict__"].items() if k != "engine"}}


# --- compiling --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def _compile(schedule: Schedule) -> Engine:
    kind = schedule.type
    if kind is ScheduleType.ONCE:
        if schedule.at is None:
            raise InvalidSchedule("at", None, "is missing: a once schedule needs its instant", "give a date and time")
        return Single(epoch_microseconds(schedule.at))
    if kind is ScheduleType.INTERVAL:
        return _interval(schedule)
    gap, fold = schedule.gap, schedule.fold
    if kind is ScheduleType.CUSTOM or kind in _NAMED_CRON:
        rule = parse_cron(_NAMED_CRON.get(kind) or _cron_text(schedule))
        days: Days = CronDays(rule)
        times = rule.times
        if rule.real_instants:
            gap, fold = GapPolicy.SKIP, FoldPolicy.BOTH
    else:
        days, times = _days(schedule), (_seconds_of_day(schedule.time),)
    return WallClock(WallTimes(days, times), zone(schedule.timezone), gap.value, fold.value)


def _cron_text(schedule: Schedule) -> str:
    if schedule.cron is None:
        raise InvalidSchedule(
            "cron", None, "is missing: a custom schedule needs a cron expression", 'such as "30 9 * * mon-fri"'
        )
    return schedule.cron


def _days(schedule: Schedule) -> Days:
    if schedule.type is ScheduleType.MONTHLY:
        day = schedule.day_of_month
        if day is None:
            day = _anchor_wall(schedule).day if schedule.anchor else 1
        _check_day_of_month(day)
        return MonthlyDays(day, schedule.month_end is MonthEnd.CLAMP)
    if schedule.type is ScheduleType.DAILY:
        return Weekdays(frozenset(range(7)))
    days = schedule.days
    if not days:
        by_anchor = (_anchor_wall(schedule).weekday(),) if schedule.anchor else (0,)
        days = _HALF_WEEKLY_DAYS if schedule.type is ScheduleType.HALF_WEEKLY else by_anchor
    _check_days(days)
    return Weekdays(frozenset(days))


def _anchor_wall(schedule: Schedule) -> datetime:
    assert schedule.anchor is not None
    return schedule.anchor.astimezone(zone_info(schedule.timezone)).replace(tzinfo=None)


def _interval(schedule: Schedule) -> Engine:
    every = _checked_every(schedule.every)
    days, rest = divmod(every, timedelta(days=1))
    where = zone(schedule.timezone)
    if rest:
        return Grid(epoch_microseconds(schedule.anchor) if schedule.anchor else 0, every // timedelta(microseconds=1))
    if schedule.anchor is None:
        origin, second = 4, _seconds_of_day(schedule.time)  # counted from Monday, 5 January 1970
    else:
        wall = _anchor_wall(schedule)
        origin = (wall.date() - _EPOCH_DATE).days
        second = wall.hour * 3600 + wall.minute * 60 + wall.second
    times = WallTimes(EveryNDays(origin, days), (second,))
    return WallClock(times, where, schedule.gap.value, schedule.fold.value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DATE = _EPOCH.date()


# --- checking ---------------------------------------------------------------------------------------------------------


def _seconds_of_day(text: object) -> int:
    if isinstance(text, str) and len(text) <= 5 and text.isascii():
        hour, colon, minute = text.partition(":")
        if colon and hour.isdigit() and len(minute) == 2 and minute.isdigit() and int(hour) < 24 and int(minute) < 60:
            return int(hour) * 3600 + int(minute) * 60
    raise InvalidSchedule("time", text, "is not a time of day", 'write "HH:MM" from "00:00" to "23:59"')


def _check_days(days: Iterable[object]) -> tuple[int, ...]:
    found = tuple(days)
    for day in found[:100]:
        if not isinstance(day, int) or isinstance(day, bool) or not 0 <= day <= 6:
            raise InvalidSchedule("days", day, "is not a weekday", "use 0 (Monday) to 6 (Sunday)")
    if len(found) > 100:
        raise InvalidSchedule("days", f"{len(found)} days", "are too many", "a week has seven")
    return tuple(sorted(set(found)))  # type: ignore[arg-type]


def _check_day_of_month(day: object) -> None:
    if not isinstance(day, int) or isinstance(day, bool) or not 1 <= day <= 31:
        raise InvalidSchedule("day_of_month", day, "is not a day of a month", "use 1 to 31")


def _checked_every(every: object) -> timedelta:
    if every is None:
        raise InvalidSchedule("every", None, "is missing: an interval schedule needs its length", "such as 15 minutes")
    if not isinstance(every, timedelta):
        raise InvalidSchedule("every", every, "is not a length of time", "give a timedelta")
    if every < timedelta(minutes=1):
        raise InvalidSchedule("every", str(every), "is too short", "an interval has at least one minute")
    if every > timedelta(days=3660):
        raise InvalidSchedule("every", str(every), "is too long", "an interval has at most ten years")
    return every


def make_schedule(**fields: Any) -> Schedule:
    """A checked Schedule of these fields (those of ``Schedule``).

    Raises InvalidSchedule or InvalidTimezone, with the field, the value, what is wrong and what would be right.
    """
    for name in fields:
        if name not in Schedule.model_fields:
            raise InvalidSchedule(str(name), fields[name], "is not a field of a schedule")
    values = {name: value for name, value in fields.items() if value is not None}
    _check_choices(values)
    zone_info(values.get("timezone", "UTC"))
    if "time" in values:
        seconds = _seconds_of_day(values["time"])
        values["time"] = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    if "days" in values:
        if isinstance(values["days"], str) or not isinstance(values["days"], Iterable):
            raise InvalidSchedule("days", values["days"], "is not a list of weekdays", "use numbers, 0 (Monday) to 6")
        values["days"] = _check_days(values["days"])
    if "day_of_month" in values:
        _check_day_of_month(values["day_of_month"])
    if "every" in values:
        _checked_every(values["every"])
    if "cron" in values:
        parse_cron(values["cron"])
    for name in ("anchor", "at"):
        if name in values:
            values[name] = _checked_instant(name, values[name])
    try:
        schedule = Schedule(**values)
    except ValidationError as error:  # whatever the checks above do not know by name
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidSchedule(field, first.get("input"), f"is wrong: {first['msg']}") from None
    _ = schedule.engine
    return schedule


def _check_choices(values: dict[str, Any]) -> None:
    if "type" not in values:
        raise InvalidSchedule("type", None, "is missing", "use one of " + ", ".join(ScheduleType))
    choices: dict[str, type[StrEnum]] = {
        "type": ScheduleType,
        "gap": GapPolicy,
        "fold": FoldPolicy,
        "month_end": MonthEnd,
    }
    for name, kind in choices.items():
        if name in values:
            try:
                values[name] = kind(values[name])
            except ValueError:
                raise InvalidSchedule(name, values[name], "is not known", "use one of " + ", ".join(kind)) from None


def _checked_instant(name: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidSchedule(name, value, "is not a date and time", "give an aware datetime")
    if value.tzinfo is None:
        raise InvalidSchedule(name, value.isoformat(), "has no time zone", "say which zone it is in, such as +00:00")
    try:
        return utc(value)
    except OverflowError:
        raise InvalidSchedule(name, value.isoformat(), "is out of range", "use a year from 1 to 9999") from None


# --- computing --------------------------------------------------------------------------------------------------------


def _microseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ValueError(f"a naive datetime names no instant: {instant.isoformat()}; give it a time zone")
    gone = instant - _EPOCH
    return (gone.days * _DAY_SECONDS + gone.seconds) * 1_000_000 + gone.microseconds


def next_after(schedule: Schedule, instant: datetime) -> datetime | None:
    """The first slot strictly after ``instant`` (aware UTC); None when there is none before the year 9999.

    Raises ValueError for a naive ``instant``.
    """
    slot = schedule.engine.after(_microseconds(instant))
    return None if slot is None else _EPOCH + timedelta(0, 0, slot)


def previous_before(schedule: Schedule, instant: datetime) -> datetime | None:
    """The last slot strictly before ``instant`` (aware UTC); None when there is none since the year 1.

    Raises ValueError for a naive ``instant``.
    """
    slot = schedule.engine.before(_microseconds(instant))
    return None if slot is None else _EPOCH + timedelta(0, 0, slot)


def _slots(engine: Engine, after: int, until: int) -> Iterator[datetime]:
    slot = engine.after(after)
    while slot is not None and slot <= until:
        yield _EPOCH + timedelta(0, 0, slot)
        slot = engine.after(slot)


def between(schedule: Schedule, start: datetime, end: datetime, limit: int = 1000) -> list[datetime]:
    """The slots with ``start`` < slot <= ``end``, the first ``limit`` of them at most, in order (aware UTC)."""
    return list(islice(_slots(schedule.engine, _microseconds(start), _microseconds(end)), max(limit, 0)))


def count_between(schedule: Schedule, start: datetime, end: datetime) -> int:
    """How many slots there are with ``start`` < slot <= ``end``; arithmetic, so that long ranges cost little."""
    return schedule.engine.count(_microseconds(start), _microseconds(end))


@lru_cache(maxsize=1)
def rules_fingerprint() -> str:
    """The versions of everything that slots depend on, such as "tz2026.6 cronsim2.8 holidays0.109"."""
    return f"tz{zone_version()} cronsim{version('cronsim')} holidays{version('holidays')}"


# --- saying -----------------------------------------------------------------------------------------------------------

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def describe(schedule: Schedule) -> str:
    """The rule in words, such as "every day at 09:00 in Europe/Berlin"."""
    return f"{_rule_in_words(schedule)} in {schedule.timezone}"


def _rule_in_words(schedule: Schedule) -> str:
    kind, time = schedule.type, schedule.time
    if kind is ScheduleType.ONCE:
        at = schedule.at.astimezone(zone_info(schedule.timezone)) if schedule.at else None
        return f"once on {at:%Y-%m-%d} at {at:%H:%M}" if at else "once"
    if kind is ScheduleType.DAILY:
        return f"every day at {time}"
    if kind in (ScheduleType.WEEKLY, ScheduleType.HALF_WEEKLY):
        days = _days(schedule)
        named = [name for i, name in enumerate(_WEEKDAYS) if days.next(i + 4) == i + 4]  # day 4 was a Monday
        return f"every {_listed(named)} at {time}"
    if kind is ScheduleType.MONTHLY:
        day = schedule.day_of_month or (_anchor_wall(schedule).day if schedule.anchor else 1)
        return f"every month on day {day} at {time}"
    if kind is ScheduleType.INTERVAL:
        return f"every {_length(_checked_every(schedule.every))}" + _from_anchor(schedule)
    if kind is ScheduleType.CUSTOM:
        return f'at cron "{schedule.cron}"'
    return {
        ScheduleType.FIFTEEN_MINUTES: "every 15 minutes",
        ScheduleType.HOURLY: "every hour",
        ScheduleType.EVERY_4_HOURS: "every 4 hours",
    }[kind]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _length(every: timedelta) -> str:
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(every.total_seconds(), size)
        if count and not rest:
            return unit if count == 1 else f"{count:.0f} {unit}s"
    return f"{every.total_seconds():g} seconds"


def _from_anchor(schedule: Schedule) -> str:
    return f" from {_anchor_wall(schedule):%Y-%m-%d %H:%M}" if schedule.anchor else ""


def warnings_for(schedule: Schedule) -> list[str]:
    """What may surprise the owner of this schedule, one sentence each."""
    if schedule.type is not ScheduleType.CUSTOM:
        return _day_warnings(schedule)
    return parse_cron(_cron_text(schedule)).warnings()


def _day_warnings(schedule: Schedule) -> list[str]:
    day = schedule.day_of_month
    if schedule.type is not ScheduleType.MONTHLY or day is None or day < 29:
        return []
    if schedule.month_end is MonthEnd.CLAMP:
        return [f"in months without a day {day} it runs on the last day"]
    return [f"in months without a day {day} it does not run"]
