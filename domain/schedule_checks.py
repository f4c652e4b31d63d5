"""What people type for a schedule, checked field by field."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from domain.cron import parse_cron
from domain.errors import InvalidSchedule
from domain.event import utc
from domain.holiday import holiday_calendar
from domain.schedule_kinds import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, ScheduleType
from domain.zone import zone_info

__all__ = ["check_day_of_month", "check_days", "checked_every", "checked_values", "seconds_of_day"]

_CHOICES: dict[str, type[StrEnum]] = {
    "type": ScheduleType,
    "gap": GapPolicy,
    "fold": FoldPolicy,
    "month_end": MonthEnd,
    "on_holiday": HolidayPolicy,
}
_MOST_DATES = 1000


def checked_values(fields: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """These fields, each of them valid by itself, None left out. Raises InvalidSchedule or InvalidTimezone."""
    names = frozenset(known)
    for name in fields:
        if name not in names:
            raise InvalidSchedule(str(name), fields[name], "is not a field of a schedule")
    values = {name: value for name, value in fields.items() if value is not None}
    if "type" not in values:
        raise InvalidSchedule("type", None, "is missing", "use one of " + ", ".join(ScheduleType))
    zone_info(values.get("timezone", "UTC"))
    return {name: _checked(name, value, values) for name, value in values.items()}


def _checked(name: str, value: Any, values: dict[str, Any]) -> Any:
    if name in _CHOICES:
        return _checked_choice(name, value)
    if name == "time":
        seconds = seconds_of_day(value)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    if name == "days":
        return check_days(value)
    if name == "day_of_month":
        check_day_of_month(value)
    elif name in ("month", "week_of_month"):
        _check_number(name, value)
    elif name == "every":
        checked_every(value)
    elif name == "spread":
        _check_spread(value)
    elif name == "cron":
        parse_cron(value, _checked_key(values.get("key", "")))
    elif name == "key":
        return _checked_key(value)
    elif name in ("anchor", "at", "start", "end"):
        return _checked_instant(name, value)
    elif name == "exclude":
        return _checked_dates(value)
    elif name == "holidays":
        holiday_calendar(value)
        return value.upper()
    elif name == "business_days" and not isinstance(value, bool):
        raise InvalidSchedule(name, value, "is neither true nor false")
    return value


def _checked_choice(name: str, value: Any) -> StrEnum:
    kind = _CHOICES[name]
    try:
        return kind(value)
    except ValueError:
        raise InvalidSchedule(name, value, "is not known", "use one of " + ", ".join(kind)) from None


def seconds_of_day(text: object) -> int:
    """Seconds since midnight of "HH:MM". Raises InvalidSchedule."""
    if isinstance(text, str) and len(text) <= 5 and text.isascii():
        hour, colon, minute = text.partition(":")
        if colon and hour.isdigit() and len(minute) == 2 and minute.isdigit() and int(hour) < 24 and int(minute) < 60:
            return int(hour) * 3600 + int(minute) * 60
    raise InvalidSchedule("time", text, "is not a time of day", 'write "HH:MM" from "00:00" to "23:59"')


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_days(days: Any) -> tuple[int, ...]:
    """Weekdays in order, each once. Raises InvalidSchedule."""
    if isinstance(days, str | bytes) or not isinstance(days, Iterable):
        raise InvalidSchedule("days", days, "is not a list of weekdays", "use numbers from 0 (Monday) to 6 (Sunday)")
    found = []
    for count, day in enumerate(days):
        if not _is_int(day) or not 0 <= day <= 6:
            raise InvalidSchedule("days", day, "is not a weekday", "use 0 (Monday) to 6 (Sunday)")
        if count >= 100:
            raise InvalidSchedule("days", "more than 100 days", "are too many", "a week has seven")
        found.append(day)
    return tuple(sorted(set(found)))


def check_day_of_month(day: Any) -> None:
    """Refuse (InvalidSchedule) what is no day of a month; -1 is the last one."""
    if not _is_int(day) or not (1 <= day <= 31 or day == -1):
        raise InvalidSchedule("day_of_month", day, "is not a day of a month", "use 1 to 31, or -1 for the last day")


def _check_number(name: str, value: Any) -> None:
    if name == "month" and not (_is_int(value) and 1 <= value <= 12):
        raise InvalidSchedule(name, value, "is not a month", "use 1 to 12")
    if name == "week_of_month" and not (_is_int(value) and (1 <= value <= 5 or value == -1)):
        raise InvalidSchedule(name, value, "is not a week of a month", "use 1 to 5, or -1 for the last")


def checked_every(every: object) -> timedelta:
    """The length of an interval. Raises InvalidSchedule."""
    if every is None:
        raise InvalidSchedule("every", None, "is missing: an interval schedule needs its length", "such as 15 minutes")
    if not isinstance(every, timedelta):
        raise InvalidSchedule("every", every, "is not a length of time", "give a timedelta")
    if every < timedelta(minutes=1):
        raise InvalidSchedule(
            "every", f"{every.total_seconds():g} s", "is too short", "an interval has at least one minute"
        )
    if every > timedelta(days=3660):
        raise InvalidSchedule("every", str(every), "is too long", "an interval has at most ten years")
    return every


def _check_spread(spread: object) -> None:
    if not isinstance(spread, timedelta):
        raise InvalidSchedule("spread", spread, "is not a length of time", "give a timedelta")
    if not timedelta() <= spread <= timedelta(days=1):
        raise InvalidSchedule("spread", str(spread), "is out of range", "a spread has at most one day")


def _checked_key(key: object) -> str:
    if not isinstance(key, str) or len(key) > 200 or not key.isprintable():
        raise InvalidSchedule("key", key, "is not a key", "use a printable text of at most 200 characters")
    return key


def _checked_dates(dates: Any) -> tuple[date, ...]:
    if isinstance(dates, str | bytes) or not isinstance(dates, Iterable):
        raise InvalidSchedule("exclude", dates, "is not a list of dates", "give dates")
    found: set[date] = set()
    for count, day in enumerate(dates):
        if not isinstance(day, date) or isinstance(day, datetime):
            raise InvalidSchedule("exclude", day, "is not a date", "give dates without a time of day")
        if count >= _MOST_DATES:
            raise InvalidSchedule("exclude", f"more than {_MOST_DATES} dates", "are too many", "use a holiday calendar")
        found.add(day)
    return tuple(sorted(found))


def _checked_instant(name: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidSchedule(name, value, "is not a date and time", "give an aware datetime")
    if value.tzinfo is None:
        raise InvalidSchedule(name, value.isoformat(), "has no time zone", "say which zone it is in, such as +00:00")
    try:
        return utc(value)
    except OverflowError:
        raise InvalidSchedule(name, value.isoformat(), "is out of range", "use a year from 1 to 9999") from None
