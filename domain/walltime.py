"""Local times: times of day on sets of days, as wall-clock seconds (seconds since 1970 as if the zone were UTC)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from domain.calendar import Days, month_of_day

__all__ = ["FIRST_DAY", "LAST_DAY", "MergedTimes", "WallTimes"]

_DAY = 86_400
FIRST_DAY, LAST_DAY = -719_000, 2_932_000  # a year inside what dates can hold


class WallTimes:
    """The same times of day on all days of a set."""

    def __init__(self, days: Days, times: tuple[int, ...]) -> None:
        self._days, self._times = days, times

    @property
    def parts(self) -> tuple[tuple[Days, tuple[int, ...]], ...]:
        """The days, and the ascending times of day that they have."""
        return ((self._days, self._times),)

    def next(self, wall: int) -> int | None:
        """The first at or after ``wall``."""
        day, second = divmod(wall, _DAY)
        if not FIRST_DAY <= day <= LAST_DAY:
            if day > 0:
                return None
            day, second = FIRST_DAY, 0
        times = self._times
        if second > times[-1]:
            day, second = day + 1, 0
        found = self._days.next(day)
        if found is None:
            return None
        if found == day:
            return day * _DAY + times[bisect_left(times, second)]
        return found * _DAY + times[0]

    def previous(self, wall: int) -> int | None:
        """The last at or before ``wall``."""
        day, second = divmod(wall, _DAY)
        if not FIRST_DAY <= day <= LAST_DAY:
            if day < 0:
                return None
            day, second = LAST_DAY, _DAY
        times = self._times
        if second < times[0]:
            day, second = day - 1, _DAY
        found = self._days.previous(day)
        if found is None:
            return None
        if found == day:
            return day * _DAY + times[bisect_right(times, second) - 1]
        return found * _DAY + times[-1]

    def count(self, low: int, high: int) -> int:
        """How many there are with ``low`` <= time < ``high``."""
        if low >= high:
            return 0
        low_day, low_second = divmod(low, _DAY)
        high_day, high_second = divmod(high, _DAY)
        total = self._days.count(low_day, high_day) * len(self._times)
        if high_second and self._days.next(high_day) == high_day:
            total += bisect_left(self._times, high_second)
        if low_second and self._days.next(low_day) == low_day:
            total -= bisect_left(self._times, low_second)
        return total


class MergedTimes:
    """The local times of several rules; what several of them name is one."""

    def __init__(self, parts: tuple[tuple[Days, tuple[int, ...]], ...]) -> None:
        self.parts = parts
        self._rules = tuple(WallTimes(days, times) for days, times in parts)
        self._unions: dict[int, tuple[int, ...]] = {}

    def next(self, wall: int) -> int | None:
        """The first at or after ``wall``."""
        return min((found for rule in self._rules if (found := rule.next(wall)) is not None), default=None)

    def previous(self, wall: int) -> int | None:
        """The last at or before ``wall``."""
        return max((found for rule in self._rules if (found := rule.previous(wall)) is not None), default=None)

    def count(self, low: int, high: int) -> int:
        """How many there are with ``low`` <= time < ``high``: whole days by groups of days that have the same rules."""
        if low >= high:
            return 0
        low_day, low_second = divmod(low, _DAY)
        high_day, high_second = divmod(high, _DAY)
        total = self._whole_days(low_day, high_day)
        if high_second:
            total += bisect_left(self._on_day(high_day), high_second)
        if low_second:
            total -= bisect_left(self._on_day(low_day), low_second)
        return total

    def _on_day(self, day: int) -> tuple[int, ...]:
        return self._union(sum(1 << i for i, (days, _) in enumerate(self.parts) if days.next(day) == day))

    def _union(self, rules: int) -> tuple[int, ...]:
        """The times of a day that has these rules (as bits)."""
        found = self._unions.get(rules)
        if found is None:
            times = {time for i, (_, times) in enumerate(self.parts) if rules >> i & 1 for time in times}
            found = self._unions[rules] = tuple(sorted(times))
        return found

    def _whole_days(self, first: int, end: int) -> int:
        if first >= end:
            return 0
        (low, low_day), (high, high_day) = month_of_day(first), month_of_day(end - 1)
        total = 0
        for index in range(low, high + 1):
            rest = (1 << high_day) - 1 if index == high else (1 << 31) - 1
            if index == low:
                rest &= -1 << (low_day - 1)
            groups = {0: rest}
            for i, (days, _) in enumerate(self.parts):
                mask = days.mask(index)
                split = {rules | 1 << i: days_of & mask for rules, days_of in groups.items()}
                groups = {rules: days_of & ~mask for rules, days_of in groups.items()} | split
                groups = {rules: days_of for rules, days_of in groups.items() if days_of}
            total += sum(days_of.bit_count() * len(self._union(rules)) for rules, days_of in groups.items())
        return total
