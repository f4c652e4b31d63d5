"""From days and times of day to instants: the engines that a schedule is compiled to.

Engines speak whole microseconds since 1970 in UTC. They hold no clock, and every search in them is bounded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple, Protocol

from domain.calendar import Days
from domain.zone import Period, Zone

__all__ = ["Engine", "Grid", "Single", "WallClock", "WallTimes"]

_SECOND = 1_000_000
_DAY = 86_400
_FIRST_DAY, _LAST_DAY = -719_000, 2_932_000  # a year inside what dates can hold
_FIRST_SECOND, _LAST_SECOND = (_FIRST_DAY + 3) * _DAY, (_LAST_DAY - 3) * _DAY


class Engine(Protocol):
    """Computes slots, in microseconds since 1970."""

    def after(self, instant: int) -> int | None:
        """The first slot after ``instant``, strictly."""
        ...

    def before(self, instant: int) -> int | None:
        """The last slot before ``instant``, strictly."""
        ...

    def count(self, start: int, end: int) -> int:
        """How many slots there are with ``start`` < slot <= ``end``."""
        ...


class Single:
    """One slot."""

    def __init__(self, at: int) -> None:
        self._at = at

    def after(self, instant: int) -> int | None:
        return self._at if self._at > instant else None

    def before(self, instant: int) -> int | None:
        return self._at if self._at < instant else None

    def count(self, start: int, end: int) -> int:
        return int(start < self._at <= end)


class Grid:
    """Slots every ``step`` microseconds of elapsed time, from ``origin`` on (the origin is a slot)."""

    def __init__(self, origin: int, step: int) -> None:
        self._origin, self._step = origin, step

    def after(self, instant: int) -> int | None:
        if instant < self._origin:
            return self._origin
        return instant + self._step - (instant - self._origin) % self._step

    def before(self, instant: int) -> int | None:
        if instant <= self._origin:
            return None
        return instant - 1 - (instant - 1 - self._origin) % self._step

    def count(self, start: int, end: int) -> int:
        if end < self._origin or end <= start:
            return 0
        until_start = (start - self._origin) // self._step + 1 if start >= self._origin else 0
        return (end - self._origin) // self._step + 1 - until_start


class WallTimes:
    """Times of day on a set of days, as wall-clock seconds: seconds since 1970 as if the zone were UTC."""

    def __init__(self, days: Days, times: tuple[int, ...]) -> None:
        self._days, self._times = days, times

    def next(self, wall: int) -> int | None:
        """The first at or after ``wall``."""
        day, second = divmod(wall, _DAY)
        if not _FIRST_DAY <= day <= _LAST_DAY:
            if day > 0:
                return None
            day, second = _FIRST_DAY, 0
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
        if not _FIRST_DAY <= day <= _LAST_DAY:
            if day < 0:
                return None
            day, second = _LAST_DAY, _DAY
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


class _Window(NamedTuple):
    """What a rule does in one period: local times with ``low`` <= wall < ``high`` are slots at wall - offset.

    ``pushed`` are slots (seconds, ascending) that stand for local times lost in a gap at the start of the period.
    """

    start: int
    end: int
    offset: int
    low: int
    high: int
    pushed: tuple[int, ...]


class WallClock:
    """Local times of a zone as instants, under a policy for times that do not exist or come twice.

    ``gap``: "next_valid" (the first instant after the gap), "shift" (as much later as the clock jumped) or "skip".
    ``fold``: "first", "second" or "both". With "skip" and "both" the rule fires at every real instant that matches.
    """

    def __init__(self, times: WallTimes, zone: Zone, gap: str, fold: str) -> None:
        self._times, self._zone, self._gap, self._fold = times, zone, gap, fold
        self._recent = self._window(zone.period_at(0))

    def _window(self, period: Period) -> _Window:
        start, end, offset, before, after = period
        low, high = start + offset, end + offset
        if before > offset and self._fold == "first":
            low = start + before
        if after < offset and self._fold == "second":
            high = end + after
        pushed: tuple[int, ...] = ()
        if before < offset and self._gap != "skip":
            pushed = self._pushed(start, start + before, start + offset)
        return _Window(start, end, offset, low, high, pushed)

    def _pushed(self, start: int, gap_start: int, gap_end: int) -> tuple[int, ...]:
        found: list[int] = []
        wall = self._times.next(gap_start)
        while wall is not None and wall < gap_end:
            if self._gap == "next_valid":
                return (start,)
            found.append(start + wall - gap_start)
            wall = self._times.next(wall + 1)
        return tuple(found)

    def _window_at(self, second: int) -> _Window:
        window = self._recent
        if not window.start <= second < window.end:
            window = self._recent = self._window(self._zone.period_at(second))
        return window

    def after(self, instant: int) -> int | None:
        second = max(instant // _SECOND + 1, _FIRST_SECOND)
        while second < _LAST_SECOND:
            _, end, offset, low, high, pushed = self._window_at(second)
            wall = second + offset
            found = self._times.next(wall if wall > low else low)
            slot = found - offset if found is not None and found < high else None
            if pushed and second <= pushed[-1]:
                first = pushed[bisect_left(pushed, second)]
                slot = first if slot is None or first < slot else slot
            if slot is not None:
                return slot * _SECOND
            # Slots from here on belong to local times from two days earlier on: no offset and no gap is larger.
            if (found := self._times.next(end + offset - 2 * _DAY)) is None:
                return None
            second = max(end, found - 2 * _DAY)
        return None

    def before(self, instant: int) -> int | None:
        second = min(-(-instant // _SECOND) - 1, _LAST_SECOND)
        while second > _FIRST_SECOND:
            start, _, offset, low, high, pushed = self._window_at(second)
            wall = second + offset
            found = self._times.previous(wall if wall < high else high - 1)
            slot = found - offset if found is not None and found >= low else None
            if pushed and pushed[0] <= second:
                last = pushed[bisect_right(pushed, second) - 1]
                slot = last if slot is None or last > slot else slot
            if slot is not None:
                return slot * _SECOND
            if (found := self._times.previous(start + offset + 2 * _DAY)) is None:
                return None
            second = min(start - 1, found + 2 * _DAY)
        return None

    def count(self, start: int, end: int) -> int:
        second, last = max(start // _SECOND, _FIRST_SECOND), min(end // _SECOND, _LAST_SECOND)
        total = 0
        while second < last:
            window = self._window_at(second + 1)
            until = min(window.end - 1, last)
            low = max(window.low, second + 1 + window.offset)
            high = min(window.high, until + 1 + window.offset)
            total += self._times.count(low, high)
            for pushed in window.pushed:
                if second < pushed <= until:
                    wall = pushed + window.offset
                    total += not (low <= wall < high and self._times.next(wall) == wall)
            second = until
        return total
