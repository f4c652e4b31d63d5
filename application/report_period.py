"""Periods in words: ``2026-10``, ``2026-W44``, ``last month``. Pure: the present instant is an argument."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from domain.errors import InvalidInput
from domain.event import utc
from domain.zone import zone_info

__all__ = ["PERIOD_WORDS", "period_in_words"]

PERIOD_WORDS = "2026, 2026-Q4, 2026-10, 2026-W44, 2026-10-31, today, yesterday, this or last week, month, quarter, year"

_QUARTER = re.compile(r"(\d{4})-?q([1-4])")
_WEEK = re.compile(r"(\d{4})-?w(\d{1,2})")
_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_YEAR = re.compile(r"(\d{4})")
_LAST_DAYS = re.compile(r"last ([1-9]\d{0,3}) days")


def period_in_words(text: str, timezone: str, now: datetime) -> tuple[datetime, datetime]:
    """The period that the words mean, from midnight to midnight in the zone: aware UTC, ``start`` <= instant < ``end``.

    Raises InvalidInput that says what can be written, InvalidTimezone.
    """
    words, today = " ".join(text.lower().split()), utc(now, "now").astimezone(zone_info(timezone)).date()
    try:
        first, after = _dates(words, today)
        return _midnight(first, timezone), _midnight(after, timezone)
    except (ValueError, OverflowError):
        raise InvalidInput("period", text, "is not a period", f"write one of: {PERIOD_WORDS}, last 7 days") from None


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time(), zone_info(timezone)).astimezone(UTC)


def _dates(words: str, today: date) -> tuple[date, date]:
    """The first day, and the one after the last. Raises ValueError."""
    for pattern, meaning in _WRITTEN:
        if match := pattern.fullmatch(words):
            return meaning(*map(int, match.groups()))
    if match := _LAST_DAYS.fullmatch(words):
        return today - timedelta(days=int(match[1])), today  # whole days: today is not over
    if words in ("today", "yesterday"):
        day = today if words == "today" else today - timedelta(days=1)
        return _day(day.year, day.month, day.day)
    which, _, unit = words.partition(" ")
    if which not in ("this", "last") or unit not in _UNITS:
        raise ValueError(words)
    first, after = _UNITS[unit](today)
    return (first, after) if which == "this" else _UNITS[unit](first - timedelta(days=1))


def _day(year: int, month: int, day: int) -> tuple[date, date]:
    first = date(year, month, day)
    return first, first + timedelta(days=1)


def _week(year: int, week: int) -> tuple[date, date]:
    first = date.fromisocalendar(year, week, 1)
    return first, first + timedelta(days=7)


def _months(year: int, month: int, count: int = 1) -> tuple[date, date]:
    after = month - 1 + count
    return date(year, month, 1), date(year + after // 12, after % 12 + 1, 1)


def _quarter(year: int, quarter: int) -> tuple[date, date]:
    return _months(year, 3 * quarter - 2, 3)


def _year(year: int) -> tuple[date, date]:
    return _months(year, 1, 12)


_WRITTEN: tuple[tuple[re.Pattern[str], Callable[..., tuple[date, date]]], ...] = (
    (_QUARTER, _quarter),
    (_WEEK, _week),
    (_DAY, _day),
    (_MONTH, _months),
    (_YEAR, _year),
)
_UNITS: dict[str, Callable[[date], tuple[date, date]]] = {
    "week": lambda day: _week(*day.isocalendar()[:2]),
    "month": lambda day: _months(day.year, day.month),
    "quarter": lambda day: _quarter(day.year, (day.month + 2) // 3),
    "year": lambda day: _year(day.year),
}
