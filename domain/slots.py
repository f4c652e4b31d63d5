"""From days and times of day to instants: the engines that a schedule is compiled to.

Engines speak whole microseconds since 1970 in UTC. They hold no clock, and every search in them is bounded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from domain.calendar import Days
from domain.walltime import FIRST_DAY, LAST_DAY, MergedTimes, WallTimes
from domain.zone import Period, Zone

__all__ = ["Bounded", "Engine", "Grid", "OddTime", "OnDays", "Shifted", "Single", "Union", "WallClock"]

_SECOND = 1_000_000
_DAY = 86_400
_FIRST_SECOND, _LAST_SECOND = (FIRST_DAY + 3) * _DAY, (LAST_DAY - 3) * _DAY
_KEPT_WINDOWS = 32
_MAX_SKIPS = 5_000  # days and changes of offset that are passed over in one search


class Engine(Protocol):
    """Computes slots, in microseconds since 1970. What one answered is remembered: they never change."""

    def __hash__(self) -> int: ...

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


class OddTime(NamedTuple):
    """A local time (wall-clock seconds) that a change of the zone leaves out (``missing``) or repeats.

    ``until`` is the local time at which the gap or the fold ends; ``seconds`` is how far the clock jumps.
    """

    wall: int
    missing: bool
    until: int
    seconds: int


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

    def __init__(self, times: WallTimes | MergedTimes, zone: Zone, gap: str, fold: str) -> None:
        self._times, self._zone, self._gap, self._fold = times, zone, gap, fold
        self._windows: dict[int, _Window] = {}
        self._recent = _Window(0, 0, 0, 0, 0, ())  # an empty stretch: the first question replaces it

    def merged(self, other: WallClock) -> WallClock | None:
        """One engine for the slots of both; None where their zones or policies differ."""
        if (self._zone, self._gap, self._fold) != (other._zone, other._gap, other._fold):
            return None
        times = MergedTimes((*self._times.parts, *other._times.parts))
        return WallClock(times, self._zone, self._gap, self._fold)

    @property
    def days(self) -> tuple[Days, ...]:
        """The sets of days that the rule is about."""
        return tuple(days for days, _ in self._times.parts)

    def odd_times(self, start: int, end: int) -> Iterator[OddTime]:
        """The local times of the rule that come never or twice, at changes with ``start`` < change <= ``end``."""
        second, last = max(start // _SECOND, _FIRST_SECOND), min(end // _SECOND, _LAST_SECOND)
        while second < last:
            period = self._zone.period_at(second + 1)
            if period.before != period.offset and second < period.start <= last:
                low, high = sorted((period.start + period.before, period.start + period.offset))
                wall = self._times.next(low)
                while wall is not None and wall < high:
                    yield OddTime(wall, period.before < period.offset, high, high - low)
                    wall = self._times.next(wall + 1)
            second = period.end - 1

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
            period = self._zone.period_at(second)
            known = self._windows.get(period.start)
            if known is None:
                if len(self._windows) >= _KEPT_WINDOWS:
                    self._windows.clear()
                known = self._windows[period.start] = self._window(period)
            window = self._recent = known
        return window

    def after(self, instant: int) -> int | None:
        second = instant // _SECOND + 1
        if second < _FIRST_SECOND:
            second = _FIRST_SECOND
        while second < _LAST_SECOND:
            start, end, offset, low, high, pushed = self._recent
            if not start <= second < end:
                start, end, offset, low, high, pushed = self._window_at(second)
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


class OnDays:
    """The slots of another engine whose local date belongs to a set of days."""

    def __init__(self, engine: Engine, zone: Zone, days: Days) -> None:
        self._engine, self._zone, self._days = engine, zone, days

    def after(self, instant: int) -> int | None:
        for _ in range(_MAX_SKIPS):
            slot = self._engine.after(instant)
            if slot is None or not _FIRST_SECOND < slot // _SECOND < _LAST_SECOND:
                return None
            period = self._zone.period_at(slot // _SECOND)
            day = (slot // _SECOND + period.offset) // _DAY
            following = self._days.next(day)
            if following == day:
                return slot
            if following is None:
                return None
            # Nothing before the following day, nor before the offset changes and with it the local date.
            instant = min(following * _DAY - period.offset, period.end) * _SECOND - 1
        return None

    def before(self, instant: int) -> int | None:
        for _ in range(_MAX_SKIPS):
            slot = self._engine.before(instant)
            if slot is None or not _FIRST_SECOND < slot // _SECOND < _LAST_SECOND:
                return None
            period = self._zone.period_at(slot // _SECOND)
            day = (slot // _SECOND + period.offset) // _DAY
            preceding = self._days.previous(day)
            if preceding == day:
                return slot
            if preceding is None:
                return None
            instant = max((preceding + 1) * _DAY - period.offset, period.start) * _SECOND
        return None

    def count(self, start: int, end: int) -> int:
        start, end = max(start, _FIRST_SECOND * _SECOND), min(end, _LAST_SECOND * _SECOND)
        total, at = 0, start
        while at < end:
            period = self._zone.period_at((at + 1) // _SECOND)
            until = min(period.end * _SECOND - 1, end)
            total += self._count_within(period, at, until)
            at = until
        return total

    def _count_within(self, period: Period, start: int, end: int) -> int:
        """The count of one period, by runs of days that belong to the set."""
        total = 0
        day = ((start + 1) // _SECOND + period.offset) // _DAY
        last = (end // _SECOND + period.offset) // _DAY
        while (first := self._days.next(day)) is not None and first <= last:
            day = first + 1
            while day <= last and self._days.next(day) == day:
                day += 1
            low = (first * _DAY - period.offset) * _SECOND - 1
            high = (day * _DAY - period.offset) * _SECOND - 1
            total += self._engine.count(max(low, start), min(high, end))
        return total


class Shifted:
    """The slots of another engine, all later by ``offset`` microseconds."""

    def __init__(self, engine: Engine, offset: int) -> None:
        self._engine, self._offset = engine, offset

    def after(self, instant: int) -> int | None:
        slot = self._engine.after(instant - self._offset)
        return None if slot is None else slot + self._offset

    def before(self, instant: int) -> int | None:
        slot = self._engine.before(instant - self._offset)
        return None if slot is None else slot + self._offset

    def count(self, start: int, end: int) -> int:
        return self._engine.count(start - self._offset, end - self._offset)


class Bounded:
    """The slots of another engine with ``first`` <= slot <= ``last``."""

    def __init__(self, engine: Engine, first: int | None, last: int | None) -> None:
        self._engine, self._first, self._last = engine, first, last

    def after(self, instant: int) -> int | None:
        if self._first is not None and instant < self._first:
            instant = self._first - 1
        slot = self._engine.after(instant)
        return None if slot is None or (self._last is not None and slot > self._last) else slot

    def before(self, instant: int) -> int | None:
        if self._last is not None and instant > self._last:
            instant = self._last + 1
        slot = self._engine.before(instant)
        return None if slot is None or (self._first is not None and slot < self._first) else slot

    def count(self, start: int, end: int) -> int:
        start = start if self._first is None else max(start, self._first - 1)
        end = end if self._last is None else min(end, self._last)
        return self._engine.count(start, end) if start < end else 0


class Union:
    """The slots of several engines; what several of them name is one slot."""

    def __init__(self, engines: tuple[Engine, ...]) -> None:
        self._engines = engines

    def after(self, instant: int) -> int | None:
        return min((slot for engine in self._engines if (slot := engine.after(instant)) is not None), default=None)

    def before(self, instant: int) -> int | None:
        return max((slot for engine in self._engines if (slot := engine.before(instant)) is not None), default=None)

    def count(self, start: int, end: int) -> int:
        """The densest rule is counted; of the others, each slot that no denser rule has."""
        by_count = sorted(((engine.count(start, end), i) for i, engine in enumerate(self._engines)), reverse=True)
        engines = [self._engines[i] for _, i in by_count]
        total = by_count[0][0]
        for i, engine in enumerate(engines[1:], 1):
            slot = engine.after(start)
            while slot is not None and slot <= end:
                total += not any(denser.after(slot - 1) == slot for denser in engines[:i])
                slot = engine.after(slot)
        return total
