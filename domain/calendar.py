"""Which days a rule names: pure calendar arithmetic on day numbers (days since 1970-01-01), no clock and no zone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import lru_cache

from domain.cron import CronRule

__all__ = [
    "EPOCH_ORDINAL",
    "CronDays",
    "Days",
    "EveryNDays",
    "MonthlyDays",
    "MovedDays",
    "NthWeekdays",
    "Weekdays",
    "WithoutDays",
    "month_of_day",
]

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FIRST_MONTH, _LAST_MONTH = 2 * 12, 9998 * 12 + 11  # neighbors of these months are dates, too
_SEARCH_MONTHS = 400 * 12 + 1  # the Gregorian calendar repeats after 400 years


@lru_cache(maxsize=4096)
def _month(index: int) -> tuple[int, int, int]:
    """First day number, number of days and first weekday of month ``index``, which is year * 12 + month - 1."""
    year, month = divmod(index, 12)
    first = date(year, month + 1, 1)
    days = 31 if month == 11 else (date(year, month + 2, 1) - first).days
    return first.toordinal() - EPOCH_ORDINAL, days, first.weekday()


def month_of_day(day: int) -> tuple[int, int]:
    """The month index (year * 12 + month - 1) and the day of the month (from 1) of a day number."""
    found = date.fromordinal(day + EPOCH_ORDINAL)
    return found.year * 12 + found.month - 1, found.day


class Days:
    """A set of days. Subclasses say which days of a month belong to it; those that can, answer by arithmetic."""

    def mask(self, index: int) -> int:
        """The days of month ``index`` that belong to the set, as bits, the first day lowest."""
        raise NotImplementedError

    def _candidates(self, indexes: range) -> Iterable[int]:
        return indexes

    def next(self, day: int) -> int | None:
        """The first day of the set at or after ``day``; None when there is none (or none before the year 10000)."""
        index, of_month = month_of_day(day)
        mask = self.mask(index) >> (of_month - 1)
        if mask:
            return day + (mask & -mask).bit_length() - 1
        for later in self._candidates(range(index + 1, min(index + _SEARCH_MONTHS, _LAST_MONTH) + 1)):
            if mask := self.mask(later):
                return _month(later)[0] + (mask & -mask).bit_length() - 1
        return None

    def previous(self, day: int) -> int | None:
        """The last day of the set at or before ``day``; None when there is none (or none since the year 1)."""
        index, of_month = month_of_day(day)
        mask = self.mask(index) & ((1 << of_month) - 1)
        if mask:
            return day - of_month + mask.bit_length()
        for earlier in self._candidates(range(index - 1, max(index - _SEARCH_MONTHS, _FIRST_MONTH) - 1, -1)):
            if mask := self.mask(earlier):
                return _month(earlier)[0] + mask.bit_length() - 1
        return None

    def count(self, first: int, end: int) -> int:
        """How many days of the set there are with ``first`` <= day < ``end``."""
        if first >= end:
            return 0
        (low, low_day), (high, high_day) = month_of_day(first), month_of_day(end - 1)
        masks = {index: self.mask(index) for index in (low, high)}
        masks[high] &= (1 << high_day) - 1
        masks[low] &= -1 << (low_day - 1)
        return sum(m.bit_count() for m in masks.values()) + sum(self.mask(i).bit_count() for i in range(low + 1, high))


class Weekdays(Days):
    """Some weekdays (0=Monday) of every week; all seven make every day."""

    def __init__(self, weekdays: frozenset[int]) -> None:
        self._ahead = tuple(min((w - d) % 7 for w in weekdays) for d in range(7))
        self._back = tuple(min((d - w) % 7 for w in weekdays) for d in range(7))
        self._weekdays = sorted(weekdays)

    def mask(self, index: int) -> int:
        _, days, first_weekday = _month(index)
        return sum(1 << d for d in range(days) if (first_weekday + d) % 7 in self._weekdays)

    def next(self, day: int) -> int | None:
        return day + self._ahead[(day + 3) % 7]  # 1970-01-01 was a Thursday

    def previous(self, day: int) -> int | None:
        return day - self._back[(day + 3) % 7]

    def count(self, first: int, end: int) -> int:
        if first >= end:
            return 0
        weeks, rest = divmod(end - first, 7)
        return weeks * len(self._weekdays) + sum((first + 3 + i) % 7 in self._weekdays for i in range(rest))


class EveryNDays(Days):
    """Every ``step`` days from the day ``origin`` on; nothing before it."""

    def __init__(self, origin: int, step: int) -> None:
        self._origin, self._step = origin, step

    def mask(self, index: int) -> int:
        first, days, _ = _month(index)
        return sum(
            1 << d for d in range(days) if first + d >= self._origin and (first + d - self._origin) % self._step == 0
        )

    def next(self, day: int) -> int | None:
        return self._origin if day <= self._origin else day + (self._origin - day) % self._step

    def previous(self, day: int) -> int | None:
        return None if day < self._origin else day - (day - self._origin) % self._step

    def count(self, first: int, end: int) -> int:
        first = max(first, self._origin)
        return max(0, -((self._origin - end) // self._step) + (self._origin - first) // self._step)


class MonthlyDays(Days):
    """A day (-1: the last) of every ``step``-th month from ``origin``; ``clamp`` fits it into shorter months."""

    def __init__(self, day_of_month: int, clamp: bool, step: int = 1, origin: int = 0) -> None:
        self._day, self._clamp, self._step, self._origin = day_of_month, clamp, step, origin

    def mask(self, index: int) -> int:
        if self._step > 1 and (index - self._origin) % self._step:
            return 0
        days = _month(index)[1]
        wanted = self._of_month(days)
        return 1 << (wanted - 1) if wanted else 0

    def _of_month(self, days: int) -> int:
        """The day of a month of so many days; 0 for none."""
        if 0 < self._day <= days:
            return self._day
        return days if self._clamp or self._day == -1 else 0

    def next(self, day: int) -> int | None:
        index, of_month = month_of_day(day)
        beyond = (index - self._origin) % self._step
        if not beyond and (wanted := self._of_month(_month(index)[1])) >= of_month:
            return day + wanted - of_month
        for later in range(index + self._step - beyond, min(index + _SEARCH_MONTHS, _LAST_MONTH) + 1, self._step):
            first, days, _ = _month(later)
            if wanted := self._of_month(days):
                return first + wanted - 1
        return None


class CronDays(Days):
    """The days of a cron expression."""

    def __init__(self, rule: CronRule) -> None:
        self._rule = rule

    def mask(self, index: int) -> int:
        _, days, first_weekday = _month(index)
        return self._rule.mask(index // 12, index % 12 + 1, first_weekday, days)


class NthWeekdays(Days):
    """The ``nth`` (1 to 5, or -1 for the last) of some weekdays in every ``step``-th month, counted from ``origin``."""

    def __init__(self, weekdays: frozenset[int], nth: int, step: int = 1, origin: int = 0) -> None:
        self._weekdays, self._nth, self._step, self._origin = weekdays, nth, step, origin

    def mask(self, index: int) -> int:
        if self._step > 1 and (index - self._origin) % self._step:
            return 0
        _, days, first_weekday = _month(index)
        found = 0
        for weekday in self._weekdays:
            of_month = (weekday - first_weekday) % 7
            of_month += (days - 1 - of_month) // 7 * 7 if self._nth == -1 else (self._nth - 1) * 7
            if of_month < days:
                found |= 1 << of_month
        return found


class WithoutDays(Days):
    """Other days without some single ones."""

    def __init__(self, days: Days, without: frozenset[int]) -> None:
        self.days = days
        self._without: dict[int, int] = {}
        for day in without:
            index, of_month = month_of_day(day)
            self._without[index] = self._without.get(index, 0) | 1 << (of_month - 1)

    def mask(self, index: int) -> int:
        return self.days.mask(index) & ~self._without.get(index, 0)


class MovedDays(Days):
    """Other days, where those ``off`` are left out (``step`` 0) or move to the next (1) or previous (-1) business day.

    ``off`` and ``closed`` take the number of a day; a day moves to the nearest one that is not ``closed``.
    """

    _PATIENCE_MONTHS = 48  # months with days of the rule, all of them off, after which no more are looked at
    _FARTHEST_DAYS = 31

    def __init__(self, days: Days, off: Callable[[int], bool], closed: Callable[[int], bool], step: int) -> None:
        self._days, self._off, self._closed, self._step = days, off, closed, step
        self._masks: dict[int, int] = {}

    def mask(self, index: int) -> int:
        found = self._masks.get(index)
        if found is None:
            if len(self._masks) >= 1200:
                self._masks.clear()
            found = self._masks[index] = self._moved(index)
        return found

    def moves(self, first: int, last: int) -> Iterator[tuple[int, int | None]]:
        """The days of the rule from ``first`` to ``last`` that are off, each with the day it moves to, if any."""
        day = self._days.next(first)
        while day is not None and day <= last:
            if self._off(day):
                yield day, self._target(day)
            day = self._days.next(day + 1)

    def _moved(self, index: int) -> int:
        found = 0
        for source in (index,) if self._step == 0 else (index, index - self._step):
            first, days, _ = _month(source)
            mask = self._days.mask(source)
            for day in (first + d for d in range(days) if mask >> d & 1):
                target = self._target(day)
                if target is not None and month_of_day(target)[0] == index:
                    found |= 1 << (month_of_day(target)[1] - 1)
        return found

    def _target(self, day: int) -> int | None:
        if not self._off(day):
            return day
        if self._step:
            for distance in range(1, self._FARTHEST_DAYS + 1):
                if not self._closed(day + distance * self._step):
                    return day + distance * self._step
        return None

    def _candidates(self, indexes: range) -> Iterator[int]:
        patience = self._PATIENCE_MONTHS
        for index in indexes:
            if self._days.mask(index) or (self._step and self._days.mask(index - self._step)):
                yield index
                patience -= 1
                if not patience:
                    return
